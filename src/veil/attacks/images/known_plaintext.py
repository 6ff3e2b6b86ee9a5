"""The key of Tanaka's and of the same-key pixel-based cipher, exactly, from a few pairs. Known and chosen
images break every cipher that only moves values (Li et al. 2008, "A general quantitative cryptanalysis of
permutation-only multimedia ciphers against plaintext attacks"). The treatment of complements is ours.

What the attacker knows: any few images before and after, and the form of the cipher:

- `blocks`: every block of 4×4 pixels becomes another by one fixed permutation of its 96 nibbles, some complemented;
- `pixels`: the three values of a pixel change places, some complemented; at every place in one of 48 ways, the same in
  all images of a size.

An attacker who can have chosen images encrypted needs one small image (`chosen_blocks`, `chosen_pixels`).

No nibble v is 15 - v, and no byte is 255 - v. So the first value before and after tells whether there is a complement,
once it is known what became what. For that, every sequence of values, over all blocks or images, is complemented where
it begins in the upper half of its range: then it is the same before and after, wherever it went. Sequences that are
alike cannot be told apart by the pairs. What became of each is then a guess: the first is taken to have become the
first, which gives a key that explains the pairs as well as any other, and ``settled`` says how much is no guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from veil.attacks.errors import AttackFailed
from veil.attacks.images.attack import ImageAttack, as_large
from veil.attacks.images.recovered_keys import (
    NIBBLES,
    SIDE,
    BlockKey,
    PixelKey,
    has_whole_blocks,
    images_of,
    nibbles,
    parts,
    size_of,
)
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

_ORDERS = tuple(itertools.permutations(range(3)))


def recover(plain: Tensor, protected: Tensor) -> BlockKey | PixelKey:
    """The key of the form that explains the pairs; where both do, the one of which more is settled.

    Args:
        plain, protected: the same images before and after, uint8 (N, 3, H, W); protected ones may be larger.

    Raises:
        AttackFailed: where neither form does; for what reasons.
        ValueError: where the images are not such pairs.
    """
    plain = as_large(plain, protected)
    keys: list[BlockKey | PixelKey] = []
    reasons = []
    for attack in (blocks, pixels):
        try:
            keys.append(attack(plain, protected))
        except AttackFailed as reason:
            reasons.append(str(reason))
    if not keys:
        raise AttackFailed("; ".join(reasons))
    return max(keys, key=lambda key: key.settled or 0.0)


def blocks(plain: Tensor, protected: Tensor) -> BlockKey:
    """The key of a cipher of blocks, Tanaka's; every block of every pair counts.

    Args:
        plain, protected: the same images before and after, uint8 (N, 3, H, W); protected ones may be larger.

    Raises:
        AttackFailed: where no key explains the pairs.
        ValueError: where the images are not such pairs.
    """
    plain = as_large(plain, protected)
    if not has_whole_blocks(protected):
        raise AttackFailed(f"protected images of {size_of(protected)} are not made of blocks of 4×4")
    flips = 15 * torch.cat([nibbles(images[:1, :, :SIDE, :SIDE]) > 7 for images in (plain, protected)]).byte()
    alike = torch.zeros(2 * NIBBLES, dtype=torch.int64, device=protected.device)
    for before, after in zip(parts(plain), parts(protected), strict=True):
        sequences = torch.cat([nibbles(before), nibbles(after)]) ^ flips
        _, number = torch.unique(sequences, dim=0, return_inverse=True)
        _, alike = torch.unique(alike * 2 * NIBBLES + number, return_inverse=True)
    earlier, later = alike.chunk(2)
    there, here = (numbers.bincount(minlength=2 * NIBBLES) for numbers in (earlier, later))
    lost = NIBBLES - int(torch.minimum(there, here).sum())
    if lost:
        raise AttackFailed(f"no key of blocks explains the pairs: {lost} of {NIBBLES} nibbles turn up nowhere")
    sources = torch.empty_like(earlier)
    sources[earlier.argsort(stable=True)] = later.argsort(stable=True)
    turned, back = flips.chunk(2)
    return BlockKey(sources, turned ^ back[sources], float((there[earlier] == 1).double().mean()))


def pixels(plain: Tensor, protected: Tensor) -> PixelKey:
    """The key of a cipher of pixels, where one key serves all images.

    Args:
        plain, protected: the same images before and after, uint8 (N, 3, H, W); protected ones may be larger.

    Raises:
        AttackFailed: where no key explains the pairs.
        ValueError: where the images are not such pairs.
    """
    plain = as_large(plain, protected)
    turned, back = (255 * (images[0] > 127).byte() for images in (plain, protected))
    agree = torch.ones(3, *plain.shape[1:], dtype=torch.bool, device=protected.device)  # before, after, H, W
    for before, after in zip(parts(plain), parts(protected), strict=True):
        agree &= ((before ^ turned)[:, :, None] == (after ^ back)[:, None]).all(0)
    orders = torch.tensor(_ORDERS, device=protected.device)
    possible = agree[torch.arange(3), orders].all(1)  # order, H, W
    left = possible.sum(0)
    lost = int((left == 0).sum())
    if lost:
        raise AttackFailed(
            f"no key of pixels explains the pairs: at {lost} of {left.numel()} pixels no map fits all images"
        )
    order = possible.byte().argmax(0)
    flips = turned ^ back.gather(0, orders[order].permute(2, 0, 1))
    signs = (flips & torch.tensor([4, 2, 1], device=flips.device)[:, None, None]).sum(0)
    return PixelKey(8 * order + signs, float((left == 1).double().mean()))


def recover_chosen(protect: Callable[[Tensor], Tensor], height: int, width: int) -> BlockKey | PixelKey:
    """The key, from one chosen image for each form of cipher.

    Args:
        protect: takes uint8 (1, 3, height, width) to its protected form.
        height, width: of images that ``protect`` takes, at least 4 and 8.

    Raises:
        AttackFailed: where neither form explains what becomes of the images, or they are too small.
    """
    if height < SIDE or width < 2 * SIDE:
        raise AttackFailed(f"images of {height}×{width} are too small for two blocks of 4×4")
    image = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    image[:, :, :SIDE, : 2 * SIDE] = chosen_blocks()
    reasons = []
    for attack, chosen in ((blocks, image), (pixels, chosen_pixels(height, width))):
        try:
            key = attack(chosen, protect(chosen))
        except AttackFailed as reason:
            reasons.append(str(reason))
            continue
        if key(protect(image)).eq(as_large(image, protect(image))).all():
            return key
        reasons.append("what explains one chosen image does not explain another")
    raise AttackFailed("; ".join(reasons))


def chosen_blocks() -> Tensor:
    """The smallest image that settles a cipher of blocks: uint8 (1, 3, 4, 8).

    It settles it if, over all its blocks, no two of the 96 nibbles have the same values, nor one the complements of
    another's: such two could change places unseen. In n blocks a nibble has one of 16ⁿ sequences of values, and with
    their complements these are 16ⁿ / 2 pairs. One block has 8, too few for 96; two have 128.
    """
    number = torch.arange(NIBBLES, dtype=torch.uint8)
    return images_of(torch.stack([number // 16, number % 16], 1), torch.Size((1, 3, SIDE, 2 * SIDE)))


def chosen_pixels(height: int, width: int) -> Tensor:
    """The one image that settles a cipher of pixels for its size: uint8 (1, 3, height, width).

    It settles it if no two values of a pixel are the same or complements. One image has 256 / 2 = 128 pairs of a value
    and its complement, and three are enough.
    """
    return torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1).repeat(1, 1, height, width)


KNOWN = ImageAttack(name="known-plaintext", title="known plaintext", knows="few", attack=recover)
CHOSEN = ImageAttack(name="chosen-plaintext", title="chosen plaintext", knows="chosen", attack=recover_chosen)
