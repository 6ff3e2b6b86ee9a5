"""Tanaka's learnable image encryption (M. Tanaka, "Learnable image encryption", ICCE-TW 2018).

Blocks of 4×4 pixels are flattened by row, column and channel to 48 bytes, and these are split into 96 nibbles v: first
the low ones, then the high ones. With the key's permutation and its 96 reversal bits,

    v[rev] = 15 - v[rev];  v = v[permutation];  v[rev] = 15 - v[rev],

and nibbles become bytes and bytes blocks again; the same for all blocks of all images. Where height or width is no
multiple of 4, the last row or column is repeated, so that the encrypted image may be larger than the image.

Threat model: a person, or the staff of a cloud that trains a network on encrypted images, sees these and lacks the key.
This is no encryption in the cryptographic sense. The cipher is one fixed permutation of nibbles, some of them
complemented, and every block goes through it alone. So
- sixteen encrypted images, without any plain form, give the key as far as people see by their statistics
  (`veil.attacks.images.block_statistics`);
- one known image and its encrypted form give the whole key, if it is a photo of 32×32 pixels or more;
- equal blocks stay equal and like ones alike: flat areas and outlines show, at a quarter of the resolution;
- a network trained without any pairs makes recognisable images again (GAN attack; SSIM 0.72 in Sirichotedumrong and
  Kiya 2020, Table I).

Deviation: the reference code reverses position i where permutation[i] > 48, and so has 96! keys, not the 96!·2⁹⁶ that
are claimed for it. Here the bits come from the key; ``reversal="permutation"`` is the reference. Of those 96!·2⁹⁶ keys
many are equivalent, for it only shows where rev[i] ≠ rev[permutation[i]]: 1·3·5·…·191 different ciphers are left.

How it is fast: eight words of 64 bits, 16 nibbles each, are transposed as two matrices of 8×8 nibbles. That makes, of
12 planes of block rows, 96 planes that hold one position of the block each. To permute is then to copy planes, and the
same transposition leads back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from veil.images import require_batch
from veil.protections.ciphers.batches import SERIAL, Piece, piece_of, pieces, share
from veil.protections.image_protection import ImageProtection, Protect
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from veil.protections.ciphers.cipher import Key

SIDE = 4
NIBBLES = 2 * 3 * SIDE**2
_MOST = 16 * SERIAL  # bytes of a piece: no operation is on more than a quarter of it as int32, or half of it as int64

Reversal = Literal["key", "permutation"]


@dataclass(frozen=True, kw_only=True)
class TanakaSettings:
    """Settings of the cipher.

    Attributes:
        reversal: where the reversal bits come from: ``key``, 96 bits of their own; ``permutation``, as in the
            reference code.
    """

    reversal: Reversal = "key"

    def __post_init__(self) -> None:
        if self.reversal not in get_args(Reversal):
            raise ValueError(f"reversal is one of {', '.join(get_args(Reversal))}, not {self.reversal!r}")


@dataclass(frozen=True, eq=False, repr=False)
class Moves:
    """What the key does to planes of nibbles; in two halves, the first and the last 48 planes.

    Attributes:
        sources: int64 (48,) each: the plane that each plane is taken from.
        flips: int64 (48, 1) each: -1 where it is complemented then, else 0.
    """

    sources: tuple[Tensor, ...]
    flips: tuple[Tensor, ...]

    def to(self, device: torch.device) -> Moves:
        return Moves(tuple(half.to(device) for half in self.sources), tuple(half.to(device) for half in self.flips))


class Tanaka:
    """The cipher with a key, for images of every size. See `veil.protections.ciphers.cipher.Cipher`."""

    def __init__(self, key: Key, settings: TanakaSettings | None = None) -> None:
        self.settings = settings or TanakaSettings()
        permutation = key.stream("tanaka", "permutation").permutation(NIBBLES)
        if self.settings.reversal == "key":
            reversal = key.stream("tanaka", "reversal").bits(NIBBLES)
        else:
            reversal = permutation > NIBBLES // 2
        self._there, self._back = moves(permutation, reversal), moves(permutation.argsort(), reversal)

    def __repr__(self) -> str:
        return f"Tanaka({self.settings})"

    def __call__(self, images: Tensor, generator: Generator | None = None, /) -> Tensor:
        """`encrypt`; nothing is drawn."""
        return self.encrypt(images)

    def encrypt(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, height, width) to the same, with height and width rounded up to multiples of 4.

        Raises:
            ValueError: where the images are not such a batch.
        """
        require_batch(images, "ciphers take")
        size = images.shape[2], images.shape[3]
        out = torch.empty(images.shape[:2] + encrypted_size(*size), dtype=torch.uint8, device=images.device)
        if out.shape == images.shape:
            move_nibbles(images, out, self._there)
        else:
            pad(images, out)
            move_nibbles(out, out, self._there)
        return out

    def decrypt(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """uint8 (N, 3, height, width) as before `encrypt`; with ``size``, the height and width then, without padding.

        Raises:
            ValueError: where the images are not such a batch, their size is no multiple of 4, or images of ``size`` do
                not become as large as these.
        """
        require_batch(images, "ciphers take")
        height, width = images.shape[2:]
        if encrypted_size(height, width) != (height, width):
            raise ValueError(f"images from Tanaka's cipher have sizes that are multiples of 4, not {height}×{width}")
        if size is not None and encrypted_size(*size) != (height, width):
            raise ValueError(f"images of {size[0]}×{size[1]} do not become {height}×{width} when they are encrypted")
        out = torch.empty(images.shape, dtype=torch.uint8, device=images.device)
        move_nibbles(images, out, self._back)
        return out if size is None else out[:, :, : size[0], : size[1]].contiguous()


def encrypted_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the encrypted image, in pixels."""
    return -(-height // SIDE) * SIDE, -(-width // SIDE) * SIDE


def key_space(height: int = SIDE, width: int = SIDE) -> int:
    """Number of keys: 96! permutations, 2⁹⁶ reversals, for images of every size."""
    return math.factorial(NIBBLES) << NIBBLES


def key_bits(height: int = SIDE, width: int = SIDE) -> float:
    """Base-2 logarithm of `key_space`."""
    return math.log2(key_space(height, width))


def different_ciphers(nibbles: int = NIBBLES) -> int:
    """Number of keys of which no two do the same to every image: 1·3·5·…·(2·nibbles - 1).

    What shows of the reversals, rev[i] ⊕ rev[permutation[i]], sums to 0 along each cycle, so that c cycles leave
    2^(nibbles - c) ways; and the sum of x^c over all permutations of n is x(x + 1)…(x + n - 1).
    """
    return math.prod(range(1, 2 * nibbles, 2))


def pad(images: Tensor, out: Tensor) -> None:
    """Copies images (N, 3, H, W) into larger ones and repeats their last row and column there."""
    height, width = images.shape[2:]
    out[:, :, :height, :width] = images
    out[:, :, height:, :width] = images[:, :, -1:]
    out[:, :, :, width:] = out[:, :, :, width - 1 : width].clone()


# Plane 8·(3·row + channel) + 2·column + high holds the low (0) or high (1) nibbles of that place in the block: 32 bits
# are four columns, the first in the lowest bits.
@cache
def _planes() -> Tensor:
    return torch.tensor(
        [
            8 * (3 * row + channel) + 2 * column + high
            for high in range(2)
            for row in range(SIDE)
            for column in range(SIDE)
            for channel in range(3)
        ]
    )


def moves(permutation: Tensor, reversal: Tensor) -> Moves:
    """The paper's permutation, int64 (96,), and reversal, bool (96,), in terms of planes."""
    sources, flips, planes = torch.empty_like(permutation), torch.empty_like(permutation), _planes()
    sources[planes] = planes[permutation]
    flips[planes] = -(reversal ^ reversal[permutation]).long()
    return Moves(sources.chunk(2), flips[:, None].chunk(2))


def move_nibbles(images: Tensor, out: Tensor, secret: Moves) -> None:
    """Moves the nibbles of all blocks, from uint8 images (N, 3, H, W) to ``out``, which may be the same."""
    secret = secret.to(images.device)

    @torch.inference_mode()
    def work(waiting: Iterator[Piece]) -> None:
        before = after = None
        for piece in waiting:
            pixels, encrypted = block_rows(piece_of(images, piece)), block_rows(piece_of(out, piece))
            if before is None or after is None or before.shape != pixels.shape:
                before, after = Planes(pixels.shape, images.device), Planes(pixels.shape, images.device)
            for target, row in zip(before.rows, pixels.unbind(0), strict=True):
                target.copy_(row)
            before.transpose()
            for target, source, flips in zip(after.halves, secret.sources, secret.flips, strict=True):
                torch.index_select(before.nibbles, 0, source, out=target)
                target.bitwise_xor_(flips)
            after.transpose()
            for target, row in zip(encrypted.unbind(0), after.rows, strict=True):
                target.copy_(row)

    share(work, pieces(images, most=_MOST, rows=SIDE), images.device)


def block_rows(images: Tensor) -> Tensor:
    """uint8 images (N, 3, H, W) seen as int32 (4, 3, H/4, N, W/4): row and channel within the block first."""
    count, channels, height, width = images.shape
    rows = images.view(torch.int32).view(count, channels, height // SIDE, SIDE, width // SIDE)
    return rows.permute(3, 1, 2, 0, 4)


# Words that change places, as a distance, and what of them does: a shift and the bits that stay in the lower half.
_ROUNDS = (4, 16, 0x0000FFFF0000FFFF), (2, 8, 0x00FF00FF00FF00FF), (1, 4, 0x0F0F0F0F0F0F0F0F)


class Planes:
    """Room for the pixels of some blocks, and for their nibbles in planes: the same memory.

    Attributes:
        rows: int32, as `block_rows` gives them, for each of the four rows.
        nibbles: int64 (96, n).
        halves: the first and the last 48 of them.
    """

    def __init__(self, shape: torch.Size, device: torch.device) -> None:
        self.shape, length = shape, shape[2:].numel()
        words = -(-length // 16)  # what lies behind the pixels is carried along and never read
        self.nibbles = torch.empty((NIBBLES, words), dtype=torch.int64, device=device)
        self.halves = self.nibbles.chunk(2)
        self.rows = self.nibbles.view(torch.int32).view(12, -1)[:, :length].view(shape).unbind(0)
        change = torch.empty((NIBBLES // 2, words), dtype=torch.int64, device=device)
        self._rounds = []
        for distance, shift, mask in _ROUNDS:
            low, high = self.nibbles.view(NIBBLES // 2 // distance, 2, distance * words).unbind(1)
            self._rounds.append((low, high, change.view(low.shape), torch.tensor(shift), torch.tensor(mask)))

    def transpose(self) -> None:
        """Of every eight rows of ``nibbles``, nibble j in row k changes places with nibble k in row j.

        Both halves of a word alike, by exchanging halves, quarters and eighths of the matrix (H. S. Warren, Hacker's
        Delight, section 7-3). Done twice, it undoes itself.
        """
        for low, high, change, shift, mask in self._rounds:
            torch.bitwise_right_shift(low, shift, out=change)
            change.bitwise_xor_(high).bitwise_and_(mask)
            high.bitwise_xor_(change)
            low.bitwise_xor_(change.bitwise_left_shift_(shift))


def _create(key: Key | None, settings: TanakaSettings | None) -> Protect:
    assert key is not None
    return Tanaka(key, settings)


PROTECTION = ImageProtection(
    name="tanaka",
    title="half bytes of every block of 4×4 pixels permuted and complemented, alike in all blocks",
    threat="people, and the staff of a cloud that trains a network on encrypted images; they lack the key",
    broken_by=(
        "sixteen encrypted images give what people see of the key by their statistics alone; one known image "
        "gives all of it; equal blocks stay equal, so that flat areas and outlines show at a quarter of the "
        "resolution; GAN attack without pairs"
    ),
    create=_create,
    form="blocks",
    key="one",
    family="tanaka",
    decrypts=True,
    multiple=SIDE,
    settings=TanakaSettings,
    key_space=key_space,
    key_bits=key_bits,
    adaptation="block",
)
