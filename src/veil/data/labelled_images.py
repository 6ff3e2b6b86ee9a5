"""Labelled images of one size in memory: one set of them, and a data set of two parts."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from veil.data import previews
from veil.images.marks import Mark
from veil.images.resizing import resize

TRANSFORMED = "transformation"
"""The name in place of a cipher for images that `veil transform apply` wrote."""


@dataclass(frozen=True)
class LabelledImages:
    """A whole data set in memory.

    Attributes:
        images: uint8, (N, C, H, W).
        labels: int64, (N,), indices into ``classes``.
        classes: class ids, sorted; for ImageNet-like sets these are WordNet ids.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"LabelledImages({self._described()})"

    def _repr_html_(self) -> str:
        """The view in notebooks: the first images, and how many there are."""
        return previews.figure(self._described(), self._strip())

    def _described(self) -> str:
        return f"{len(self):,} images of {'×'.join(map(str, self.images.shape[1:]))}, {len(self.classes)} classes"

    def _strip(self) -> str:
        return previews.strip(self.images, [self.classes[label] for label in self.labels[: previews.SHOWN].tolist()])

    def resized(self, side: int) -> "LabelledImages":
        """The same with RGB images of ``side`` × ``side`` pixels (bicubic, not cropped); itself if they have this
        size."""
        if self.images.shape[2:] == (side, side):
            return self
        images = np.empty((len(self), side, side, 3), np.uint8)
        for index, image in enumerate(self.images.permute(0, 2, 3, 1).contiguous().numpy()):
            images[index] = np.asarray(resize(Image.fromarray(image), side))
        return replace(self, images=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


@dataclass(frozen=True)
class Mnist:
    """Digits in three parts; images are uint8 (N, 1, 28, 28)."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages

    def __repr__(self) -> str:
        counts = (f"{len(part):,} for {name}" for name, part in vars(self).items())
        return f"Mnist({', '.join(counts)})"


@dataclass(frozen=True)
class Parts:
    """A data set in memory: its name, and two parts of uint8 images (N, 3, side, side) with one set of classes.

    Attributes:
        cipher: what `veil encrypt` encrypted the images with, or `TRANSFORMED`; None for plain images.
        key: fingerprint of the key, where that is known; `veil.images.marks.NO_KEY` where every image had its own.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
    cipher: str | None = None
    key: str | None = None

    @property
    def mark(self) -> Mark | None:
        """How the images are encrypted; None where they are not."""
        return None if self.cipher is None else Mark(self.cipher, self.key)

    def __repr__(self) -> str:
        return f"Parts({self._described()})"

    def _repr_html_(self) -> str:
        """The view in notebooks: the first images of each part, and how many there are."""
        return previews.figure(self._described(), self.train._strip(), self.test._strip())

    def _described(self) -> str:
        shape = "×".join(map(str, self.train.images.shape[1:]))
        protected = "" if self.cipher is None else f", protected ({self.cipher})"
        return (
            f"{self.name!r}: {len(self.train):,} training and {len(self.test):,} test images of {shape}, "
            f"{len(self.train.classes)} classes{protected}"
        )

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify this data: the start of the SHA-256 of images and labels, in order.

        The same for the same pixels from any folder and layout; names, of the set and of classes, do not count.
        """
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for values in (part.images, part.labels):
                digest.update(f"{values.dtype} {tuple(values.shape)} ".encode())
                digest.update(values.cpu().contiguous().view(-1).numpy().data)
        return digest.hexdigest()[:16]
