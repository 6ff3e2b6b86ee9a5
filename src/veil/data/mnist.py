"""MNIST in its standard layout: four gzipped IDX files (http://yann.lecun.com/exdb/mnist/, LeCun et al. 1998).

Liu et al. 2019, section 5.1, split it into 55,000 training, 5,000 validation and 10,000 test images; `read` gives
that split, in the files' own order.
"""

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from veil.data.class_folders import LabelledImages

CLASSES = tuple("0123456789")
VALIDATION = 5_000
_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True)
class Mnist:
    """The three parts; images are uint8 (N, 1, 28, 28)."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages


def read_idx(file: Path) -> Tensor:
    """One IDX file of unsigned bytes, gzipped or not, as a uint8 tensor of the shape that it declares.

    Raises:
        ValueError: where it is not such a file, or is cut off.
    """
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise ValueError(f"{file.name}: broken gzip: {error}") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UNSIGNED_BYTE:
        raise ValueError(f"{file.name}: not an IDX file of unsigned bytes")
    head = 4 + 4 * data[3]
    if len(data) < head:
        raise ValueError(f"{file.name}: cut off in its head")
    shape = struct.unpack(f">{data[3]}I", data[4:head])
    if len(data) - head != math.prod(shape):
        raise ValueError(f"{file.name}: {len(data) - head} bytes where {shape} needs {math.prod(shape)}")
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=head).reshape(shape).copy())


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{folder}: {name}.gz is missing")


def _read_part(folder: Path, part: str) -> LabelledImages:
    pictures = read_idx(_find(folder, f"{part}-images-idx3-ubyte"))
    labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte"))
    if pictures.ndim != 3 or labels.ndim != 1 or len(pictures) != len(labels):
        raise ValueError(f"{folder}: {part} has images {tuple(pictures.shape)} and labels {tuple(labels.shape)}")
    return LabelledImages(pictures[:, None], labels.long(), CLASSES)


def read(folder: Path, validation: int = VALIDATION) -> Mnist:
    """Reads all of MNIST; the last ``validation`` training images become the validation part."""
    learn, test = _read_part(folder, "train"), _read_part(folder, "t10k")
    cut = len(learn) - validation
    return Mnist(
        LabelledImages(learn.images[:cut], learn.labels[:cut], CLASSES),
        LabelledImages(learn.images[cut:], learn.labels[cut:], CLASSES),
        test,
    )
