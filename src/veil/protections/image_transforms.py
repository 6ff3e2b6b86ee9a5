"""Protections of images for Python programs: functions on what lies in memory, and a transform for a ``Dataset``.

Images come and go as `veil.images.in_memory` has it: Pillow images, arrays or tensors of bytes; one, a batch, a list.

**Workers.** A ``DataLoader`` with workers hands each of them a copy of its dataset, with the key of an `ImageTransform`
in it. Where workers are forked, as on Linux, they have the parent's memory. Where they are started anew, as on macOS
and Windows, the copy goes through a pipe, in memory. A key is pickled in no other case
(`veil.protections.ciphers.keys`), so that it reaches no file, no cache and no log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from veil.protections import PROTECTIONS, find
from veil.protections.image_protection import Protect

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from veil.protections.ciphers.keys import Key
    from veil.protections.image_protection import ImageProtection

    What = str | Path | ImageProtection | Callable[..., Tensor]


class ImageTransform:
    """A protection as a transform of images, to be called on one or many.

    Args:
        protection: a name of `PROTECTIONS`, a transformation file, ``module:object``, a row, or a callable on uint8
            images (N, 3, H, W).
        key: where it takes one: a key, or the path of a key file without a passphrase.
        seeded: draw what is drawn anew for every image, such as the keys of ``pixel-different``, from torch's random
            state, so that a training can be repeated. Without it they come from the operating system, as they must
            where images leave your hands.

    Raises:
        ValueError: where there is no such protection, or a key too many or too few.
        KeyFileError: where a key file cannot be read.
    """

    def __init__(self, protection: What, key: Key | str | os.PathLike[str] | None = None, *, seeded: bool = False):
        if isinstance(key, str | os.PathLike):
            from veil.protections.ciphers.keys import Key

            key = Key.load(key)
        self.row = find(protection)
        self.key, self.seeded = key, seeded
        self._what = protection
        self._protect: Protect = self.row.build(key)

    def __call__(self, images: Any) -> Any:
        """Protects one image or many; the same kind comes back.

        Raises:
            TypeError: for images of another kind.
            ImageError: for a file that cannot be read.
        """
        from veil.images import in_memory

        return in_memory.changed(images, self._protected)

    def decrypt(self, images: Any, size: tuple[int, int] | None = None) -> Any:
        """Brings protected images back, as the kind that they are given as.

        Args:
            size: height and width that they had, where the cipher pads images.

        Raises:
            ValueError: where nobody can; for a size that the cipher does not make.
            TypeError: for images of another kind.
        """
        from veil.images import in_memory

        if self.key is None or not self.row.decrypts:
            raise ValueError(f"nobody can decrypt what {self.row.name} made")
        cipher = self.row.cipher(self.key)
        return in_memory.changed(images, lambda pixels: cipher.decrypt(pixels, size))

    def _protected(self, pixels: Tensor) -> Tensor:
        import torch

        return self._protect(pixels, torch.default_generator if self.seeded else None)

    def __repr__(self) -> str:
        key = "" if self.key is None else f", key {self.key.fingerprint}"
        return f"ImageTransform({self.row.name!r}{key}{', seeded' if self.seeded else ''})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._named(), self.key, self.seeded)

    def _named(self) -> What:
        """What `find` makes the same row of in another process."""
        name = self.row.name
        return name if name in PROTECTIONS and PROTECTIONS[name] is self.row else self._what


def _again(what: What, key: Key | None, seeded: bool) -> ImageTransform:
    return ImageTransform(what, key, seeded=seeded)


def encrypt(images: Any, key: Key | str | os.PathLike[str] | None = None, cipher: What = "pixel-same") -> Any:
    """Encrypts images that lie in memory: people see noise, networks can learn from it.

    It is no strong encryption: docs/encryption.md says what breaks it. Files and folders: `veil encrypt`.

    Args:
        images: a Pillow image, uint8 array (H, W, 3) or tensor (3, H, W), a path, a batch or a list of them.
        key: a key, or the path of a key file without a passphrase; None for ciphers that throw keys away.
        cipher: a name of `PROTECTIONS`, ``module:object``, or a row.

    Returns:
        The same kind; of a path, a Pillow image. Tanaka's cipher rounds sizes up to multiples of 4.

    Raises:
        TypeError: for images of another kind.
        ValueError: for an unknown cipher, or a key too many or too few.
    """
    return ImageTransform(cipher, key)(images)


def decrypt(
    images: Any,
    key: Key | str | os.PathLike[str],
    cipher: What = "pixel-same",
    *,
    size: tuple[int, int] | None = None,
) -> Any:
    """Decrypts images that lie in memory. A wrong key or cipher is not noticed: it gives other images.

    Args:
        images, key, cipher: as for `encrypt`.
        size: height and width before encryption, where the cipher pads images.

    Raises:
        ValueError: where nobody can decrypt them; and as `encrypt` does.
    """
    return ImageTransform(cipher, key).decrypt(images, size)


def transform(images: Any, transformation: What = "transformation-cifar10") -> Any:
    """Transforms images that lie in memory: people do not see what they show, networks can learn from them.

    There is no key: whoever has the transformation can train an inverse (docs/transformation.md).

    Args:
        images: as for `encrypt`.
        transformation: a name of `PROTECTIONS` that takes no key, a transformation file, ``module:object``, a row, or a
            callable on uint8 images (N, 3, H, W).

    Raises:
        TypeError: for images of another kind.
        ValueError: where there is no such transformation.
    """
    if isinstance(transformation, str) and transformation in PROTECTIONS:
        return _loaded(transformation)(images)
    return ImageTransform(transformation)(images)


@cache
def _loaded(name: str) -> ImageTransform:
    """A transformation that comes with Veil or a package, read once."""
    return ImageTransform(name)
