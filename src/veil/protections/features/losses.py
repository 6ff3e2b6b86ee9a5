"""Losses of DeepObfuscator, equations (1) to (9) of Li et al. 2019, and what Veil puts in their place.

Logits and labels are (N, labels); an image's losses over its labels are summed, as in the paper, and averaged over
images where the paper sums. Adam's steps stay the same, and λ1, λ2 weigh the same for batches of any size. Networks
end in logits; the paper's sigmoid is in the loss. Everything is computed in float32.

Two of the paper's losses reward the wrong goal. −L(AC) has no bound: it falls as long as the adversary becomes surer of
the wrong answer. An adversary that is always wrong is always right once its answers are inverted. `confusion` is least
where the adversary gives both answers the same probability. −L(AR1) is bounded, but least for a photo negative, which
shows everything. `towards` one image for everybody, the mean face, is least where nothing of the photo comes back.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from veil.metrics.structural import ms_ssim

_KERNELS = (0.25, 0.5, 1.0, 2.0, 4.0)
_FEWEST = 4


def attributes(logits: Tensor, labels: Tensor) -> Tensor:
    """Equations (1) and (3), L(C) and L(AC): binary cross-entropy."""
    return F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none").sum(1).mean()


def defended_attributes(classifier: Tensor, adversary: Tensor, weight: float) -> Tensor:
    """Equation (5): L(C) − λ1 L(AC), for the obfuscator."""
    return classifier - weight * adversary


def reconstruction(images: Tensor, reconstructed: Tensor) -> Tensor:
    """Equation (6), L(AR1): 1 − MS-SSIM, of images in [0, 1], (N, 3, H, W)."""
    return 1 - ms_ssim(images, reconstructed).mean()


def towards(image: Tensor, reconstructed: Tensor) -> Tensor:
    """Equation (8), L(AR2): `reconstruction` of another image, (3, H, W) or (N, 3, H, W); the paper's is noise."""
    return reconstruction(image.expand_as(reconstructed), reconstructed)


def defended_reconstruction(classifier: Tensor, towards_noise: Tensor, original: Tensor, weight: float) -> Tensor:
    """Equation (9): L(C) + λ2 (L(AR2) − L(AR1)), for the obfuscator."""
    return classifier + weight * (towards_noise - original)


def confusion(logits: Tensor) -> Tensor:
    """Cross-entropy of an adversary's logits to one half, above its least value: 0 where it has no opinion."""
    half = torch.full_like(logits.float(), 0.5)
    return F.binary_cross_entropy_with_logits(logits.float(), half, reduction="none").sum(1).mean() - (
        logits.shape[1] * torch.log(torch.tensor(2.0, device=logits.device))
    )


def discrepancy(features: Tensor, private: Tensor, target: Tensor) -> Tensor:
    """How far apart the features of the two kinds of each private attribute are: an adversary in closed form.

    Squared maximum mean discrepancy (Gretton et al. 2012, "A kernel two-sample test") with Gaussian kernels of five
    widths, within images of the same target labels: what these say of a private attribute stays said, and only what
    features say beyond it counts. 0 for equal distributions.

    Args:
        features: (N, values).
        private, target: bool (N, P) and (N, T).

    Returns:
        The sum over private attributes of the mean over groups, weighted by their sizes; 0 where no group has at least
        four images of both kinds.
    """
    features = features.float().flatten(1)
    squared = torch.cdist(features, features).square()
    scale = squared.detach().mean().clamp_min(1e-6)
    kernel = torch.stack([torch.exp(-squared / (width * scale)) for width in _KERNELS]).mean(0)
    powers = 2 ** torch.arange(target.shape[1], device=target.device)
    groups = (target.long() * powers).sum(1)
    total = features.new_zeros(())
    for kind in private.T:
        apart, images = features.new_zeros(()), 0
        for group in torch.unique(groups):
            yes, no = (groups == group) & kind, (groups == group) & ~kind
            if min(int(yes.sum()), int(no.sum())) < _FEWEST:
                continue
            count = int(yes.sum()) + int(no.sum())
            of_group = _mean(kernel, yes, yes) + _mean(kernel, no, no) - 2 * _mean(kernel, yes, no)
            apart, images = apart + count * of_group, images + count
        total = total + apart / max(1, images)
    return total


def _mean(kernel: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of a kernel over two kinds of images; no image is compared with itself."""
    part = kernel[rows][:, columns]
    if rows is columns:
        count = len(part)
        return (part.sum() - part.diagonal().sum()) / (count * (count - 1))
    return part.mean()
