"""MS-SSIM as a training loss: differentiable, per image, and able to leave the photo negative.

Source: Wang et al. 2003 (Multiscale structural similarity for image quality assessment); the loss 1 − MS-SSIM of
Li et al. 2019, equations (6) and (8). Window, constants, scales and weights are those of the reported metric,
`veil.metrics.fidelity.ms_ssim`, whose module's head also says why the sum and the difference of the two images are
filtered; values from different numbers of scales are not comparable.

Deviation: where a scale's term t falls below ε = 0.01, ε² / (2ε − t) takes its place. The two meet at ε in value and
slope, so the whole is smooth, always rises with t and stays above zero: at t = −1 it is some ε² = 0.0001, the metric's
own smallest term. The metric's plain clamp has no gradient there, and the photo negative x̂ = 1 − x, whose terms are
all negative, could never be left. Where all terms are at least 0.01 the two functions agree but for the rounding to 8
bits; a term t of weight w below multiplies this one by at most 51^w against the metric. The gradient at a negative is
some 0.0001 of the usual one: optimisers that do not mind its scale (Adam) move on, plain gradient descent needs large
steps.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from veil.metrics.fidelity import SCALE_WEIGHTS, SIGMA, WINDOW, scale_count

C1 = 0.01**2  # of images in [0, 1]
C2 = 0.03**2
SMALLEST_PLAIN_TERM = 0.01
"""The ε of the module's head."""


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Multi-scale structural similarity of each pair, differentiable in both, in (0, 1]; 1 for identical images.

    Computed in float32 whatever the images are and whatever autocast says: bfloat16 would return values above 1.

    Args:
        x: floats in [0, 1], (N, C, H, W), C = 1 or 3, sides at least 11.
        y: the same shape.

    Returns:
        (N,) float32.

    Raises:
        ValueError: for any other type or shape.
    """
    _check(x, y)
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.float(), y.float()
        s, d = x + y - 1, x - y  # centred, because small squares round less
        count = scale_count(min(x.shape[-2:]))
        weights = [weight / sum(SCALE_WEIGHTS[:count]) for weight in SCALE_WEIGHTS[:count]]
        powers: list[Tensor] = []
        for scale, weight in enumerate(weights):
            if scale > 0:
                s, d = F.avg_pool2d(s, 2), F.avg_pool2d(d, 2)
            term = _above_zero(_term(s, d, coarsest=scale == count - 1))
            powers.append(term.pow(weight))
        return torch.stack(powers).prod(dim=0)


def _term(s: Tensor, d: Tensor, *, coarsest: bool) -> Tensor:
    """Contrast-structure term, or the whole SSIM at the coarsest scale: (N, C, H, W) to (N,), in [−1, 1]."""
    mean_s, mean_d, square_s, square_d = _gaussian(torch.stack((s, d, s * s, d * d)))
    variance_s, variance_d = square_s - mean_s**2, square_d - mean_d**2
    term = (variance_s - variance_d + 2 * C2) / (variance_s + variance_d + 2 * C2)
    if coarsest:
        mean_s = mean_s + 1
        term = term * (mean_s**2 - mean_d**2 + 2 * C1) / (mean_s**2 + mean_d**2 + 2 * C1)
    return torch.mean(term, dim=(1, 2, 3))


def _above_zero(term: Tensor) -> Tensor:
    """The term where it is at least ε, the smooth continuation of the module's head below."""
    below = term.clamp_max(SMALLEST_PLAIN_TERM)  # keeps the branch that is not taken from dividing by zero
    return torch.where(term < SMALLEST_PLAIN_TERM, SMALLEST_PLAIN_TERM**2 / (2 * SMALLEST_PLAIN_TERM - below), term)


def _gaussian(x: Tensor) -> Tensor:
    """Filters with the Gaussian window where it fits: (..., H, W) to (..., H − 10, W − 10).

    One channel for every plane: on a CPU, depthwise convolutions are fast where they have many channels.
    """
    weights = [math.exp(-(((i - WINDOW // 2) / SIGMA) ** 2) / 2) for i in range(WINDOW)]
    window = torch.tensor(weights, dtype=torch.float64, device=x.device)
    window = (window / window.sum()).float()
    planes = x.reshape(1, -1, *x.shape[-2:])
    count = planes.shape[1]
    planes = F.conv2d(planes, window.view(1, 1, 1, WINDOW).expand(count, 1, 1, WINDOW), groups=count)
    planes = F.conv2d(planes, window.view(1, 1, WINDOW, 1).expand(count, 1, WINDOW, 1), groups=count)
    return planes.view(*x.shape[:-2], *planes.shape[-2:])


def _check(x: Tensor, y: Tensor) -> None:
    for name, image in (("x", x), ("y", y)):
        if not image.is_floating_point():
            raise ValueError(f"{name} must hold floats in [0, 1], got {image.dtype}; see veil.images.to_float")
        if image.ndim != 4 or image.shape[1] not in (1, 3) or image.numel() == 0 or min(image.shape[-2:]) < WINDOW:
            raise ValueError(
                f"{name} must have shape (N, C, H, W), C 1 or 3, sides at least {WINDOW}, got {tuple(image.shape)}"
            )
    if x.shape != y.shape:
        raise ValueError(f"shapes differ: {tuple(x.shape)} and {tuple(y.shape)}")
