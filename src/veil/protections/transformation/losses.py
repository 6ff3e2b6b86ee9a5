"""The losses of the transformation network, each by its number in Sirichotedumrong and Kiya 2020, section III-C.

Images are float [0, 1], (N, 3, H, W); b = G_AB(x) is the transformed image, a = G_BA(x_p) the plain-looking one.
Squared norms are means over all values, so that no weight depends on the size of the images. Where the paper is silent,
the adversarial loss is CycleGAN's: least squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


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
    transformed, returned = feature(features, of_transformed), feature(features, of_returned)
    if margin is not None:
        unit = unrelated(features)
        transformed, returned = (transformed / unit).clamp_max(margin), (returned / unit).clamp_max(margin)
    return transformed.mean() + returned.mean()


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
