"""What every cipher is made of: the streams that a key gives, and the cipher itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Stream(Protocol):
    """Secret random values, one after another; tensors are on the CPU."""

    def bytes(self, n: int) -> bytes: ...

    def bits(self, n: int) -> Tensor:
        """bool (n,)."""

    def integers(self, n: int, below: int) -> Tensor:
        """int64 (n,), from 0 to ``below`` - 1, all alike."""

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

    def __call__(self, images: Tensor, generator: Generator | None = None, /) -> Tensor:
        """`encrypt`, as a protection is called (`veil.protections.image_protection.Protect`).

        Args:
            generator: for keys that are drawn; with None they come from the operating system.
        """
