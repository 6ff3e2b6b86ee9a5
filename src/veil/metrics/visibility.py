"""How much of an image is visible in another one, even if colours or brightness were inverted.

This measure is Veil's own, not a paper's. SSIM rates a negative as completely different, although a person can read it;
this measure ignores signs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from veil.images import LUMA

SMALLEST_SIDE = 9
"""Smallest side of the images: outlines are one pixel smaller and must hold the window of 8."""
_UNSEEN = 0.02**2
"""A variance below which little is visible: a standard deviation of five grey levels."""


def visible(plain: Tensor, other: Tensor) -> Tensor:
    """How much of each plain image is visible in the other one, 0 to 1: (N,), differentiable in ``other``.

    The mean squared correlation, over windows of 8×8 pixels, of the plain image's brightness with each channel and the
    brightness of the other one, and of the strength of their outlines; in units of what the plain image has with
    itself. Squared, because a negative shows as much. Windows without anything in the plain image count for little.

    Args:
        plain: float [0, 1], (N, 3, H, W), sides at least `SMALLEST_SIDE`.
        other: the same shape.
    """
    with torch.no_grad():
        whole = _likeness(plain, plain).clamp_min(1e-6)
    return (_likeness(plain, other) / whole).clamp_max(1)


def _likeness(plain: Tensor, other: Tensor) -> Tensor:
    before, after = (torch.cat([images.float(), _brightness(images.float())], 1) for images in (plain, other))
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
