"""Keys as attacks recover them: they undo a cipher of blocks or of pixels, and need not equal its real key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from veil.images import require_batch
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 4
NIBBLES = 2 * 3 * SIDE**2
_CHUNK = 1 << 22  # values at a time, bounds memory


@cache
def pixel_maps() -> Tensor:
    """The 48 maps of a pixel as matrices, (48, 3, 3): by order of colours, then by complements."""
    matrices = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3)
            matrix[torch.arange(3), torch.tensor(order)] = torch.tensor(signs)
            matrices.append(matrix)
    return torch.stack(matrices)


@dataclass(frozen=True, eq=False)
class BlockKey:
    """What undoes a cipher of blocks; a `veil.attacks.images.attack.Reconstruct`.

    Attributes:
        sources: which nibble of the protected block each nibble of the plain one is; a permutation, int64 (96,).
        flips: what it is XORed with, 0 or 15: uint8 (96, 1).
        settled: share of the 96 nibbles, from 0 to 1, that are known for certain; None where that is not known.
    """

    sources: Tensor = field(repr=False)
    flips: Tensor = field(repr=False)
    settled: float | None = None

    def __call__(self, protected: Tensor) -> Tensor:
        """Decrypts uint8 (N, 3, H, W), of any height and width that are multiples of 4.

        Raises:
            ValueError: for others.
        """
        require_batch(protected, "this key is for")
        if not has_whole_blocks(protected):
            raise ValueError(f"this key is for blocks of 4×4, not for images of {size_of(protected)}")
        sources, flips = self.sources.to(protected.device), self.flips.to(protected.device)
        return torch.cat([images_of(nibbles(part)[sources] ^ flips, part.shape) for part in parts(protected)])


@dataclass(frozen=True, eq=False)
class PixelKey:
    """What undoes the cipher, as far as it is known; a `veil.attacks.images.attack.Reconstruct`.

    Attributes:
        maps: the number, below 48, of each pixel's map back, in `pixel_maps`: int64 (H, W).
        settled: share of the pixels, from 0 to 1, that are known for certain; None where that is not known.
    """

    maps: Tensor = field(repr=False)
    settled: float | None = None

    def __call__(self, protected: Tensor) -> Tensor:
        """Decrypts uint8 (N, 3, H, W).

        Raises:
            ValueError: for images of another size.
        """
        require_batch(protected, "this key is for")
        if protected.shape[2:] != self.maps.shape:
            raise ValueError(f"this key is of images of {tuple(self.maps.shape)}, not {tuple(protected.shape[2:])}")
        matrices = pixel_maps().to(protected.device)[self.maps.to(protected.device)]  # (H, W, 3, 3)
        sources = matrices.abs().argmax(3).permute(2, 0, 1)
        flips = 255 * (matrices.sum(3).permute(2, 0, 1) < 0).byte()
        return torch.cat([
            part.gather(1, sources.expand(len(part), -1, -1, -1)) ^ flips for part in parts(protected)
        ])  # fmt: skip


def size_of(images: Tensor) -> str:
    return f"{images.shape[2]}×{images.shape[3]}"


def has_whole_blocks(images: Tensor) -> bool:
    return not any(side % SIDE for side in images.shape[2:])


def parts(images: Tensor) -> Iterator[Tensor]:
    yield from torch.split(images, max(1, _CHUNK // images[0].numel()))


def nibbles(images: Tensor) -> Tensor:
    """Values of each nibble of a block, low ones first, in all blocks: uint8 (96, blocks)."""
    count, colours, height, width = images.shape
    rows = images.reshape(count, colours, height // SIDE, SIDE, width // SIDE, SIDE)
    values = rows.permute(1, 3, 5, 0, 2, 4).reshape(NIBBLES // 2, -1)
    return torch.cat([values & 15, values >> 4])


def images_of(nibbles: Tensor, shape: torch.Size) -> Tensor:
    """Undoes `nibbles`, for images of the shape."""
    count, colours, height, width = shape
    low, high = nibbles.chunk(2)
    rows = (low | high << 4).view(colours, SIDE, SIDE, count, height // SIDE, width // SIDE)
    return rows.permute(3, 0, 4, 1, 5, 2).reshape(shape)
