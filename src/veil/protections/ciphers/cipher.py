"""What every cipher is made of: the streams that a key gives, the cipher itself, and its row in the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

SECRET_BITS = 256
"""Bits of a secret key (`veil.protections.ciphers.keys`), from which all else is expanded."""


class Stream(Protocol):
    """Secret random values, one after another; tensors are on the CPU."""

    def bytes(self, n: int) -> bytes: ...

    def bits(self, n: int) -> Tensor:
        """bool (n,)."""

    def integers(self, n: int, below: int) -> Tensor:
        """int64 (n,), each from 0 to ``below`` - 1, all alike."""

    def permutation(self, n: int) -> Tensor:
        """int64 (n,), all n! orders alike."""


class Key(Protocol):
    """A secret key: the same cipher and use give the same stream, others unrelated ones."""

    def stream(self, cipher: str, use: str) -> Stream: ...


class Cipher(Protocol):
    """Encrypts batches of images, uint8 (N, 3, height, width), on their device; its input stays as it is."""

    def encrypt(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, height', width'), contiguous; the size grows only where the cipher says so.

        Raises:
            ValueError: where the images are not such a batch.
        """

    def decrypt(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """The images as they were before `encrypt`; with ``size``, their height and width then, without the padding.

        A wrong key is not noticed: it gives other images.

        Raises:
            ValueError: where the images are not such a batch, images of ``size`` do not become as large as these, or
                their keys were thrown away.
        """


@dataclass(frozen=True, kw_only=True)
class CipherRow:
    """A row of the table of ciphers.

    Attributes:
        summary: what it does to an image, in a few words.
        create: makes the cipher: ``create(key)``, with its settings where it has any; or ``create()`` where
            ``decrypts`` is false, for then there is no key to keep.
        settings: their class, if it has any.
        decrypts: whether whoever has the key gets the images back.
        key_space: number of keys for images of a height and width, exactly; slow above some 1,000 pixels a side.
        key_bits: its base-2 logarithm.
        attacks: what is known to break it.
        adaptation: the network that makes its images fit for convolutions, a key of
            `veil.models.architectures.ADAPTATIONS`.
    """

    summary: str
    create: Callable[..., Cipher]
    settings: type | None
    decrypts: bool
    key_space: Callable[[int, int], int]
    key_bits: Callable[[int, int], float]
    attacks: str
    adaptation: str

    def effective_bits(self, height: int, width: int) -> float:
        """Bits to guess for who tries all keys: the 256 of the secret, at most. No known attack does that."""
        return min(self.key_bits(height, width), SECRET_BITS)
