"""The best affine map of every pixel, from pairs: what the unshared weight attack (UWA; Sirichotedumrong and Kiya 2020,
section II-B) comes to where its attacker has pairs. Ours: least squares in closed form, no training.

What the attacker knows: some images before and after, all of one size; nothing of the scheme.

Of a pixel's three protected values v, its plain ones are taken to be A v + b, with a matrix A (3×3) and an offset b (3)
of its own: UWA's generator. The A and b of least mean squared error over the pairs are, with C for covariances over
the images and m for means,

    A = C_plain,v (C_v,v + λ)⁻¹,   b = m_plain - A m_v.

This undoes the same-key pixel-based cipher, whose maps are affine. Where a key serves one image only, v says nothing of
the plain values on average, and the map is towards the mean image.

Fewer than four different images leave A open; the ridge λ then takes the smallest that serves. It is as if v had noise
of so much variance, and least squares trusted v that much less.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from veil.attacks.images.attack import ImageAttack, as_large
from veil.images import require_batch
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1 / 12
"""Variance of what rounding to bytes adds to a value, in grey levels squared."""
_CHUNK = 1 << 20  # values at a time, bounds memory


@dataclass(frozen=True, eq=False)
class PixelAffine:
    """A map for every pixel; a `veil.attacks.images.attack.Reconstruct` for images of one size.

    Attributes:
        weight: A, by plain and protected colour: float32 (3, 3, H, W).
        offset: b, in grey levels: float32 (3, H, W).
    """

    weight: Tensor = field(repr=False)
    offset: Tensor = field(repr=False)

    def __call__(self, protected: Tensor) -> Tensor:
        """Reconstructs uint8 (N, 3, H, W): rounded, and cut off below 0 and above 255.

        Raises:
            ValueError: for images of another size.
        """
        require_batch(protected, "this map is for")
        size = self.offset.shape[1:]
        if protected.shape[2:] != size:
            raise ValueError(f"this map is for images of {tuple(size)}, not {tuple(protected.shape[2:])}")
        weight, offset = self.weight.to(protected.device), self.offset.to(protected.device)
        done = []
        for part in torch.split(protected, _at_once(protected)):
            values = torch.einsum("pvhw,nvhw->nphw", weight, part.float()) + offset
            done.append(values.round_().clamp_(0, 255).byte())
        return torch.cat(done)


def fit(plain: Tensor, protected: Tensor, *, ridge: float = ROUNDING) -> PixelAffine:
    """The map of least squared error for every pixel.

    Args:
        plain, protected: the same images before and after, uint8 (N, 3, H, W); protected ones may be larger.
        ridge: λ, in grey levels squared, above 0. The default is small beside the variances of photos, which are
            hundreds, so that five of them undo the same-key pixel-based cipher with an SSIM of 0.99.

    Raises:
        AttackFailed: where protected images are smaller.
        ValueError: where the images are not such pairs, or the ridge is not positive.
    """
    plain = as_large(plain, protected)
    if not ridge > 0:
        raise ValueError(f"the ridge must be positive, not {ridge}")
    mean, product = _moments(plain, protected)
    covariance = product - mean[:, :, None] * mean[:, None, 3:]  # H W, all six values, protected ones
    across, within = torch.split(covariance, 3, 1)
    within = within + ridge * torch.eye(3, dtype=within.dtype, device=within.device)
    weight = torch.linalg.solve(within, across.transpose(1, 2)).transpose(1, 2)
    offset = mean[:, :3] - (weight @ mean[:, 3:, None])[:, :, 0]
    size = protected.shape[2:]
    return PixelAffine(
        weight.permute(1, 2, 0).unflatten(2, size).float().contiguous(),
        offset.T.unflatten(1, size).float().contiguous(),
    )


def _moments(plain: Tensor, protected: Tensor) -> tuple[Tensor, Tensor]:
    """For every pixel, means of its three plain and three protected values, and of products of all with the protected.

    Sums of integers, so that nothing is lost before the division: float64 (H W, 6) and (H W, 6, 3).
    """
    count, pixels = len(plain), plain[0, 0].numel()
    total = torch.zeros(pixels, 6, dtype=torch.float64, device=plain.device)
    products = torch.zeros(pixels, 6, 3, dtype=torch.float64, device=plain.device)
    at_once = _at_once(plain)
    for before, after in zip(torch.split(plain, at_once), torch.split(protected, at_once), strict=True):
        values = torch.cat([before, after], 1).flatten(2).permute(2, 1, 0).double()  # H W, 6, n
        total += values.sum(2)
        products += values @ values[:, 3:].transpose(1, 2)
    return total / count, products / count


def _at_once(images: Tensor) -> int:
    return max(1, _CHUNK // images[0].numel())


ATTACK = ImageAttack(name="affine", title="affine map of every pixel", knows="pairs", attack=fit)
