"""The losses of the transformation network, each by its number in Sirichotedumrong and Kiya 2020, section III-C.

Images are float [0, 1], (N, 3, H, W); b = G_AB(x) is the transformed image, a = G_BA(x_p) the plain-looking one.
Squared norms are means over all values, so that no weight depends on the size of the images. Where the paper is silent,
the adversarial loss is CycleGAN's: least squares.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from veil.models.classifier import LUMA

_UNSEEN = 0.02**2
"""A variance below which there is little to be seen: a standard deviation of five grey levels."""


def adversarial(judged: Tensor, *, real: bool) -> Tensor:
    """L_ad of equation (4), one term: (F(·) − 1)² where F is to say "real", F(·)² where "made"."""
    return F.mse_loss(judged, torch.full_like(judged, float(real)))


def discriminator(judged_real: Tensor, judged_made: Tensor) -> Tensor:
    """What a discriminator minimises: L_ad on real and on made images, halved as in CycleGAN's code."""
    return (adversarial(judged_real, real=True) + adversarial(judged_made, real=False)) / 2


def gan(adversarial_a: Tensor, adversarial_b: Tensor, cycle_consistency: Tensor, weight: float) -> Tensor:
    """L_gan, equation (4), as the generators minimise it: λ L_ad + λ L_ad + L_cyc."""
    return weight * (adversarial_a + adversarial_b) + cycle_consistency


def cycle(
    perceptual: Tensor, classification: Tensor, reconstruction: Tensor, weights: tuple[float, float, float]
) -> Tensor:
    """L_cyc, equation (5): γ1 L_p + γ2 L_c + γ3 L_r."""
    return weights[0] * perceptual + weights[1] * classification + weights[2] * reconstruction


def perceptual(features: Tensor, of_transformed: Tensor, of_returned: Tensor, margin: float | None) -> Tensor:
    """L_p, equation (6): L_feat(x, b) + L_feat(x, a), which is to become large.

    Args:
        features, of_transformed, of_returned: φ(x), φ(b), φ(a).
        margin: None is the paper's form, which has no upper bound. Else an image counts in units of the distance
            between different plain images, and as ``margin`` at most: then it pulls no further.
    """
    distances = (feature(features, each) for each in (of_transformed, of_returned))
    if margin is not None:
        unit = unrelated(features)
        distances = ((each / unit).clamp_max(margin) for each in distances)
    first, second = (each.mean() for each in distances)
    return first + second


def visible(plain: Tensor, transformed: Tensor) -> Tensor:
    """How much of each plain image shows in the transformed one, 0 to 1: (N,). Ours; the paper has nothing like it.

    The mean squared correlation, over windows of 8×8 pixels, of the plain image's brightness with each channel and the
    brightness of the transformed one, and of the strength of their outlines; in units of what the plain image has with
    itself. Squared, because a negative shows as much. Windows without anything in the plain image count for little.
    """
    with torch.no_grad():
        whole = _likeness(plain, plain).clamp_min(1e-6)
    return (_likeness(plain, transformed) / whole).clamp_max(1)


def _likeness(plain: Tensor, other: Tensor) -> Tensor:
    before, after = (torch.cat([each.float(), _brightness(each.float())], 1) for each in (plain, other))
    shapes = _correlation(before[:, 3:], after)
    outlines = _correlation(_outlines(before).sum(1, keepdim=True), _outlines(after))
    return (shapes + outlines) / 2


def _brightness(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _outlines(values: Tensor) -> Tensor:
    """Length of the gradient at each pixel but those at the right and lower border."""
    across = values[..., :-1, 1:] - values[..., :-1, :-1]
    down = values[..., 1:, :-1] - values[..., :-1, :-1]
    return (across.square() + down.square() + 1e-6).sqrt()


def _correlation(one: Tensor, others: Tensor) -> Tensor:
    """Squared correlation within windows of (N, 1, H, W) with (N, C, H, W): (N,), weighted by what is in ``one``."""
    window = 8, 2
    mean, means = F.avg_pool2d(one, *window), F.avg_pool2d(others, *window)
    variance = (F.avg_pool2d(one.square(), *window) - mean.square()).clamp_min(0)
    variances = (F.avg_pool2d(others.square(), *window) - means.square()).clamp_min(0)
    together = F.avg_pool2d(one * others, *window) - mean * means
    squared = together.square() / (variance * variances + _UNSEEN**2)
    weight = (variance / (variance + _UNSEEN)).expand_as(squared)
    return (weight * squared).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1e-6)


def feature(one: Tensor, other: Tensor) -> Tensor:
    """L_feat, equation (7), of each image: (N,)."""
    return (one.float() - other.float()).square().flatten(1).mean(1)


def unrelated(features: Tensor) -> Tensor:
    """Mean L_feat between the images of a batch and their neighbours in it: how far plain images are apart."""
    return feature(features, features.roll(1, 0)).mean().clamp_min(1e-6)


def classification(logits_transformed: Tensor, logits_returned: Tensor, labels: Tensor) -> Tensor:
    """L_c, equation (8): cross-entropy of h_θ on b and on a."""
    return F.cross_entropy(logits_transformed.float(), labels) + F.cross_entropy(logits_returned.float(), labels)


def reconstruction(plain: Tensor, plain_again: Tensor, protected: Tensor, protected_again: Tensor) -> Tensor:
    """L_r, equation (9): G_BA(G_AB(x)) against x, and G_AB(G_BA(x_p)) against x_p."""
    return F.mse_loss(plain_again, plain) + F.mse_loss(protected_again, protected)
