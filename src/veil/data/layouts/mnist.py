"""MNIST in its standard layout: four gzipped IDX files (http://yann.lecun.com/exdb/mnist/, LeCun et al. 1998).

Liu et al. 2019, section 5.1, split it into 55,000 training, 5,000 validation and 10,000 test images; `read` returns
this split in the files' own order. Fashion-MNIST and other sets use the same layout: `read` and `find` accept any
pictures, `download` checks the files by SHA-256.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veil.data.download import fetch
from veil.data.layouts import DigitsLayout
from veil.runtime import foreign
from veil.runtime.foreign import Unpacked
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.data.labelled_images import LabelledImages, Mnist

CLASSES = tuple("0123456789")
VALIDATION = 5_000
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
# Of the unpacked files: copies of MNIST are compressed in more than one way.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_UNSIGNED_BYTE = 0x08
_LARGEST = 1 << 26  # the training images have 47,040,016 bytes


def _unpacked(data: bytes) -> bytes:
    """The bytes of a file, gzipped or not.

    Raises:
        ValueError: for broken gzip, or more than the largest file of MNIST has.
    """
    unpacked = Unpacked(data).read(_LARGEST + 1)
    if len(unpacked) > _LARGEST:
        raise ValueError(f"unpacks to more than {_LARGEST:,} bytes")
    return unpacked


def read_idx(file: Path) -> Tensor:
    """One IDX file of unsigned bytes, gzipped or not, as a uint8 tensor of the shape that it declares.

    No more is unpacked than its head declares, and a head that declares more than the file can hold is refused.

    Raises:
        ValueError: where it is not such a file, is cut off, or is larger than such files are.
    """
    content = Unpacked(foreign.bytes_of(file, foreign.MOST_PACKED_BYTES))
    try:
        return _idx(content)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None


def _idx(content: Unpacked) -> Tensor:
    import numpy as np

    magic = content.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _UNSIGNED_BYTE:
        raise ValueError("not an IDX file of unsigned bytes")
    sides = content.read(4 * magic[3])
    if len(sides) < 4 * magic[3]:
        raise ValueError("cut off in its head")
    shape = struct.unpack(f">{magic[3]}I", sides)
    wanted = math.prod(shape)
    if wanted > min(content.most, foreign.MOST_PACKED_BYTES):
        raise ValueError(f"declares {wanted:,} values, more than such a file can have")
    values = content.read(wanted + 1)
    if len(values) != wanted:
        there = f"{len(values):,} bytes" if len(values) < wanted else "more"
        raise ValueError(f"{there} where {shape} needs {wanted:,}")
    return torch.from_numpy(np.frombuffer(values, np.uint8).reshape(shape).copy())


def _file(folder: Path, name: str) -> Path | None:
    """One of the four files, gzipped or not, if it exists."""
    return next((file for file in (folder / f"{name}.gz", folder / name) if file.is_file()), None)


def _read_file(folder: Path, name: str) -> Tensor:
    file = _file(folder, name)
    if file is None:
        raise FileNotFoundError(f"{folder}: {name}.gz is missing")
    return read_idx(file)


def _read_part(folder: Path, part: str) -> LabelledImages:
    from veil.data.labelled_images import LabelledImages

    pictures = _read_file(folder, f"{part}-images-idx3-ubyte")
    labels = _read_file(folder, f"{part}-labels-idx1-ubyte")
    if pictures.ndim != 3 or labels.ndim != 1 or len(pictures) != len(labels):
        raise ValueError(f"{folder}: {part} has images {tuple(pictures.shape)} and labels {tuple(labels.shape)}")
    if len(labels) and int(labels.max()) >= len(CLASSES):
        raise ValueError(f"{folder}: {part} has the label {int(labels.max())}, of {len(CLASSES)} classes")
    return LabelledImages(pictures[:, None], labels.long(), CLASSES)


def read(folder: Path, validation: int = VALIDATION) -> Mnist:
    """Reads all of MNIST; the last ``validation`` training images become the validation part."""
    from veil.data.labelled_images import LabelledImages, Mnist

    learn, test = _read_part(folder, "train"), _read_part(folder, "t10k")
    cut = len(learn) - validation
    return Mnist(
        LabelledImages(learn.images[:cut], learn.labels[:cut], CLASSES),
        LabelledImages(learn.images[cut:], learn.labels[cut:], CLASSES),
        test,
    )


def find(roots: Sequence[Path]) -> Path | None:
    """The first folder with all four files: a root, or its ``mnist``, ``MNIST`` or ``MNIST/raw`` (torchvision's)."""
    for root in roots:
        for folder in (root, root / "mnist", root / "MNIST", root / "MNIST" / "raw"):
            if matches(folder):
                return folder
    return None


def matches(folder: Path) -> bool:
    """Whether all four files are there."""
    return all(_file(folder, name) for name in SHA256)


def download(to: Path) -> Path:
    """Downloads the missing ones of the four files to ``to``, 11 MB in all, from torchvision's mirrors.

    Raises:
        DownloadError: if a file cannot be downloaded, or another file with its name exists already.
    """
    for name, sha256 in SHA256.items():
        file = _file(to, name) or to / f"{name}.gz"
        fetch([f"{mirror}{name}.gz" for mirror in MIRRORS], file, sha256, content=_unpacked)
    return to


LAYOUT = DigitsLayout(
    name="mnist",
    title="MNIST and what is published like it",
    on_disk="train-images-idx3-ubyte and the other three files, gzipped or not",
    matches=matches,
    read=read,
)
