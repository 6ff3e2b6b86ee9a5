"""The key of the pixel-based cipher from encrypted images alone, where one key serves all of them. Ours: no pairs, no
training.

What the attacker knows: images that were encrypted by one key, and plain images of their own, which are others.

A pixel's map is a signed permutation of three values: u = v - 127.5 becomes S u, with one of 48 matrices S. Neighbours
in photos are alike. So of all maps of a pixel, given those of the neighbours at the left and above, the right one makes
the mean product of its values with theirs, over all images, largest:

    <S_left E[u_left uᵀ] + S_above E[u_above uᵀ], S>.

That settles all pixels but for one map that is common to them all; of those 48, the one is taken whose colours have
means and products nearest to those of the attacker's own images. Eight images are most often enough, thirty-two always
were; where it goes wrong, images come back as negatives, or in other colours.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from veil.attacks.errors import AttackFailed
from veil.attacks.images.attack import ImageAttack
from veil.attacks.images.recovered_keys import PixelKey, pixel_maps
from veil.images import require_batch
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

_MIDDLE = 127.5
_CHUNK = 1 << 24  # values at a time, bounds memory
_AGREE = 0.25
"""Share of the pixels whose neighbours at the left and above must want the same of 48 maps. Where there is no common
key, one of 48 does; in photos with one, more than half, with four of them already."""


def recover(protected: Tensor, public: Tensor) -> PixelKey:
    """The key, from images that were encrypted by it and plain ones of the attacker's own.

    Args:
        protected: uint8 (N, 3, H, W), all by one key, of at least 2×2 pixels.
        public: uint8 (M, 3, h, w), of any size.

    Raises:
        AttackFailed: where neighbouring pixels have nothing in common: there is no common key.
        ValueError: where either is no such batch.
    """
    for images in (protected, public):
        require_batch(images, "statistics are of")
    height, width = protected.shape[2:]
    if min(height, width) < 2:
        raise AttackFailed("pixels of a single row or column have too few neighbours")
    across, down = _products(protected)
    possible = pixel_maps()
    maps, chosen, agree = torch.zeros(height, width, dtype=torch.int64), torch.zeros(height, width, 3, 3), 0
    chosen[0, 0] = possible[0]
    for row, column in itertools.islice(itertools.product(range(height), range(width)), 1, None):
        left = chosen[row, column - 1] @ across[row, column - 1] if column else torch.zeros(3, 3)
        above = chosen[row - 1, column] @ down[row - 1, column] if row else torch.zeros(3, 3)
        fits = (possible * torch.stack([left + above, left, above])[:, None]).sum((2, 3)).argmax(1)
        agree += bool(row and column and fits[1] == fits[2])
        maps[row, column], chosen[row, column] = fits[0], possible[fits[0]]
    if agree < _AGREE * (height - 1) * (width - 1):
        raise AttackFailed("neighbouring pixels have nothing in common from image to image: there is no common key")
    return PixelKey(_common(maps, protected, public))


def _centred(images: Tensor) -> Tensor:
    return (images.float() - _MIDDLE) / _MIDDLE


def _products(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean products of each pixel's values with those of its neighbour at the right, and below: (H, W, 3, 3) each."""
    across = down = torch.zeros(())
    for part in torch.split(images, max(1, _CHUNK // images[0].numel())):
        u = _centred(part).permute(2, 3, 1, 0)  # H, W, 3, N
        across = across + u[:, :-1] @ u[:, 1:].transpose(2, 3)
        down = down + u[:-1] @ u[1:].transpose(2, 3)
    return across / len(images), down / len(images)


def _common(maps: Tensor, protected: Tensor, public: Tensor) -> Tensor:
    """The maps after the one that is common to them all and makes colours likest to the public ones."""
    decrypted, own, possible = _centred(PixelKey(maps)(protected)), _centred(public), pixel_maps()
    means, products = decrypted.mean((0, 2, 3)), _colours(decrypted)
    mean, product = own.mean((0, 2, 3)), _colours(own)
    distance = (possible @ means - mean).square().sum(1)
    distance += (possible @ products @ possible.transpose(1, 2) - product).square().sum((1, 2))
    matrices = possible[distance.argmin()] @ possible[maps]
    return (matrices[:, :, None] == possible).all(4).all(3).long().argmax(2)


def _colours(values: Tensor) -> Tensor:
    """Mean products of the three colours of a pixel: (3, 3)."""
    flat = values.transpose(0, 1).flatten(1)
    return flat @ flat.T / flat.shape[1]


ATTACK = ImageAttack(name="pixel-statistics", title="key of pixels from statistics", knows="unpaired", attack=recover)
