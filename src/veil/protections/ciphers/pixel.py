"""Pixel-based image encryption (W. Sirichotedumrong et al., ICIP 2019; IEEE Access 7, 2019).

Every value p of every pixel becomes p or p ⊕ 255, by a key bit; then the three colours of every pixel change places, in
one of six ways. `PixelSame`: one key for all images. `PixelDifferent`: an independent key for every image, which is
thrown away; a network learns from such images and is asked about such images, or about plain ones.

Threat model: a person, or the staff of a cloud that trains a network on encrypted images, sees these and lacks the key.
This is no encryption in the cryptographic sense. Every pixel goes through one of 48 maps, and goes alone. So
- edges and shapes show, whatever the key: v ≤ 127 ? v : 255 - v is the same before and after, but for the order of
  colours (feature reconstruction, which needs neither key nor training, and works on different keys as well);
- with the same key, a few dozen encrypted images, without any plain form, give the key of every pixel by their
  statistics (`veil.attacks.images.pixel_statistics`), and so do a few known images and their encrypted forms. A network
  with weights of its own for every pixel finds it in part (unshared weight attack; SSIM 0.17 in Sirichotedumrong and
  Kiya 2020, Table I);
- a network trained without any pairs makes images again in part (GAN attack; SSIM 0.27 for the same key and 0.15 for
  different ones in that table).

Deviations: every size of images has a key of its own in `PixelSame`, all from one secret. The colours change places
without loss. A common mistake is to assign the channels in place, one after another, so that one is read when it was
overwritten before: five of the six orders then lose a colour, and nothing can be decrypted.

How it is fast: an order of three colours is made by exchanging the last two, the first two, and the last two again,
each where a mask says so. All is bit operations on planes, eight pixels at a time; masks are kept, or drawn for many
images at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from veil.images import require_batch
from veil.protections.ciphers.batches import SERIAL, Piece, piece_of, pieces, share
from veil.protections.image_protection import ImageProtection, Protect
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from veil.protections.ciphers.cipher import Key, Stream

    Step = Callable[[Tensor, Tensor, slice], None]
    """Takes the pixels of a piece, where to put the new ones, and which rows they are from."""

ORDERS = tuple(itertools.permutations(range(3)))
"""Of order number o, channel c of the encrypted pixel is channel ORDERS[o][c] of the pixel."""

_EXCHANGES = ((1, 2), (0, 1), (1, 2))
_SIZES_KEPT = 4


class PixelSame:
    """The cipher with one key for all images. See `veil.protections.ciphers.cipher.Cipher`.

    What the key gives for a size, 6 bytes a pixel, is kept for the last four sizes.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._masks = lru_cache(_SIZES_KEPT)(self._draw)

    def __repr__(self) -> str:
        return "PixelSame()"

    def __call__(self, images: Tensor, generator: Generator | None = None, /) -> Tensor:
        """`encrypt`; nothing is drawn."""
        return self.encrypt(images)

    def encrypt(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, height, width) to the same.

        Raises:
            ValueError: where the images are not such a batch.
        """
        require_batch(images, "ciphers take")
        return self._change(images, scramble)

    def decrypt(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """uint8 (N, 3, height, width) as before `encrypt`; ``size`` can only be their own, for it does not change.

        Raises:
            ValueError: where the images are not such a batch, or ``size`` is another one.
        """
        require_batch(images, "ciphers take")
        height, width = images.shape[2:]
        if size is not None and tuple(size) != (height, width):
            raise ValueError(f"images of {size[0]}×{size[1]} do not become {height}×{width} when they are encrypted")
        return self._change(images, unscramble)

    def _change(self, images: Tensor, change: Callable[[Tensor, Tensor, Sequence[Tensor]], None]) -> Tensor:
        masks = self._masks(images.shape[2], images.shape[3], images.device)

        def step(before: Tensor, after: Tensor, rows: slice) -> None:
            change(before, after, masks[:, rows].flatten(1).view(before.dtype).unbind(0))

        return by_pieces(images, lambda: step)

    def _draw(self, height: int, width: int, device: torch.device) -> Tensor:
        """The masks of `scramble` for images of a size: uint8 (6, height, width)."""
        stream = self._key.stream("pixel", f"{height}x{width}")
        signs = stream.bits(3 * height * width).view(torch.uint8).neg()
        swaps = _swaps()[stream.integers(height * width, len(ORDERS))].t().flatten()
        return torch.cat([signs, swaps]).view(6, height, width).to(device)


class PixelDifferent:
    """The cipher with a fresh key for every image, which is nowhere kept. See `veil.protections.ciphers.cipher.Cipher`.

    Args:
        throwaway: gives a stream whose key exists nowhere else; asked anew for every piece of a batch, in order.
            None draws it from the operating system.
    """

    def __init__(self, throwaway: Callable[[], Stream] | None = None) -> None:
        from veil.protections.ciphers import keys

        self._throwaway = throwaway or keys.throwaway

    def __repr__(self) -> str:
        return "PixelDifferent()"

    def __call__(self, images: Tensor, generator: Generator | None = None, /) -> Tensor:
        """`encrypt`; with a generator, by keys from it.

        The images of a training get a fresh key each time that they are seen. If these keys come from the generator,
        that is from the seed of the training, a run that was stopped and goes on sees the same images as one that was
        not. What leaves a client for good is encrypted without a generator: its keys come from the operating system.

        Raises:
            ValueError: where the images are not such a batch.
        """
        if generator is None:
            return self.encrypt(images)
        return PixelDifferent(lambda: _drawn(generator)).encrypt(images)

    def encrypt(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, height, width) to the same; to other images each time.

        Raises:
            ValueError: where the images are not such a batch.
        """
        require_batch(images, "ciphers take")

        def start() -> Step:
            stream = self._throwaway()
            return lambda before, after, _: scramble(before, after, fresh_masks(stream, before))

        return by_pieces(images, start)

    def decrypt(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Nobody can.

        Raises:
            ValueError: always.
        """
        raise ValueError("the keys of these images were thrown away: nobody can decrypt them")


def key_space(height: int, width: int) -> int:
    """Number of keys for images of a size, exactly: eight ways of complements and six orders for every pixel."""
    number: int = (2**3 * len(ORDERS)) ** (height * width)
    return number


def key_bits(height: int, width: int) -> float:
    """Base-2 logarithm of `key_space`."""
    return height * width * math.log2(2**3 * len(ORDERS))


# On pieces: pixels (n, 3, length), where one integer holds up to eight bytes. Of the six masks, (length,) or (n,
# length), three say where a channel is complemented and three where colours are exchanged: 255 for yes, 0 for no.

_INTEGERS = {8: "int64", 4: "int32", 2: "int16", 1: "uint8"}  # of torch, by their bytes


def by_pieces(images: Tensor, start: Callable[[], Step]) -> Tensor:
    """Images (N, 3, H, W) changed piece by piece, each by a step of its own: which thread takes it does not matter."""
    size = next(size for size in _INTEGERS if images.shape[2] * images.shape[3] % size == 0)
    integers: torch.dtype = getattr(torch, _INTEGERS[size])
    out = torch.empty(images.shape, dtype=torch.uint8, device=images.device)

    @torch.inference_mode()
    def work(waiting: Iterator[tuple[Piece, Step]]) -> None:
        for piece, step in waiting:
            before, after = (piece_of(batch, piece).flatten(2).view(integers) for batch in (images, out))
            step(before, after, piece[1])

    cut = pieces(images, most=3 * size * SERIAL, rows=8)  # one channel to an operation
    share(work, ((piece, start()) for piece in cut), images.device)
    return out


def scramble(pixels: Tensor, out: Tensor, masks: Sequence[Tensor]) -> None:
    """Complements values, then exchanges colours."""
    for before, after, mask in zip(pixels.unbind(1), out.unbind(1), masks[:3], strict=True):
        torch.bitwise_xor(before, mask, out=after)
    exchange(out, list(zip(_EXCHANGES, masks[3:], strict=True)))


def unscramble(pixels: Tensor, out: Tensor, masks: Sequence[Tensor]) -> None:
    """Undoes `scramble`."""
    for before, after in zip(pixels.unbind(1), out.unbind(1), strict=True):
        after.copy_(before)
    exchange(out, list(zip(_EXCHANGES, masks[3:], strict=True))[::-1])
    for after, mask in zip(out.unbind(1), masks[:3], strict=True):
        after.bitwise_xor_(mask)


def exchange(pixels: Tensor, exchanges: Sequence[tuple[tuple[int, int], Tensor]]) -> None:
    """Exchanges two colours where the mask is 255, in place, for each pair of colours and mask."""
    colours = pixels.unbind(1)
    change = torch.empty(colours[0].shape, dtype=pixels.dtype, device=pixels.device)
    for (first, second), mask in exchanges:
        torch.bitwise_xor(colours[first], colours[second], out=change)
        change.bitwise_and_(mask)
        colours[first].bitwise_xor_(change)
        colours[second].bitwise_xor_(change)


def exchanges_of(order: tuple[int, ...]) -> tuple[bool, ...]:
    """Which of the three exchanges make an order of the colours."""
    for chosen in itertools.product((False, True), repeat=len(_EXCHANGES)):
        colours = [0, 1, 2]
        for first, second in itertools.compress(_EXCHANGES, chosen):
            colours[first], colours[second] = colours[second], colours[first]
        if tuple(colours) == order:
            return chosen
    raise ValueError(f"{order} is no order of three colours")


@cache
def _swaps() -> Tensor:
    """For every order of the colours, 255 where an exchange is made, else 0: uint8 (6, 3)."""
    return torch.tensor([exchanges_of(order) for order in ORDERS], dtype=torch.uint8).neg_()


def _drawn(generator: Generator) -> Stream:
    """The stream of a key that a generator gives."""
    from veil.protections.ciphers.keys import Key

    secret = torch.randint(256, (32,), generator=generator, dtype=torch.uint8)
    return Key(secret.numpy().tobytes()).stream("pixel", "image keys of a training")


def fresh_masks(stream: Stream, pixels: Tensor) -> list[Tensor]:
    """Six masks for pixels (n, 3, length), each image with its own key.

    A bit says whether the last two colours change places, a number below 3 how many of them the first one then passes.
    Both are drawn for eight pixels at a time.
    """
    shape = pixels.shape[0], pixels.shape[2]
    size = math.prod(shape) * pixels.element_size()
    eights = -(-size // 8)
    bits = torch.frombuffer(bytearray(stream.bytes(4 * eights)), dtype=torch.uint8)
    once, twice = masks_of_eight(3, 1), masks_of_eight(3, 2)
    thirds = stream.integers(eights, len(once))
    drawn = [masks_of_eight(2, 1).index_select(0, of_one.int()) for of_one in bits.chunk(4)]
    drawn += [once.index_select(0, thirds), twice.index_select(0, thirds)]
    return [mask.view(torch.uint8)[:size].view(pixels.dtype).view(shape).to(pixels.device) for mask in drawn]


@cache
def masks_of_eight(below: int, least: int) -> Tensor:
    """For all ways of eight numbers, eight bytes in an int64: 255 where the number is at least ``least``."""
    ways = torch.tensor(list(itertools.product(range(below), repeat=8)), dtype=torch.uint8)
    return ways.ge(least).byte().neg_().view(torch.int64)[:, 0].contiguous()


_THREAT = "people, and the staff of a cloud that trains a network on encrypted images; they lack the key"


def _same(key: Key | None, settings: object) -> Protect:
    assert key is not None
    return PixelSame(key)


def _different(key: Key | None, settings: object) -> Protect:
    return PixelDifferent()


SAME = ImageProtection(
    name="pixel-same",
    title="values complemented and colours permuted, pixel by pixel, alike in all images",
    threat=_THREAT,
    broken_by=(
        "a few dozen encrypted images give the key by their statistics alone, a few known ones do, too; min(v, 255 "
        "- v) shows shapes without it; unshared weight attack and GAN attack without pairs"
    ),
    create=_same,
    form="pixels",
    key="one",
    family="pixel",
    decrypts=True,
    key_space=key_space,
    key_bits=key_bits,
    adaptation="pixel",
)
DIFFERENT = ImageProtection(
    name="pixel-different",
    title="values complemented and colours permuted, pixel by pixel, by a key for every image that nobody keeps",
    threat=_THREAT,
    broken_by="min(v, 255 - v) shows shapes without any key; GAN attack without pairs",
    create=_different,
    form="pixels",
    key="per image",
    family="pixel",
    key_space=key_space,
    key_bits=key_bits,
    adaptation="pixel",
)
