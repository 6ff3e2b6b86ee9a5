"""Common functions for data sets in a few large files, such as CIFAR's and STL-10's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veil.data.labelled_images import LabelledImages
from veil.runtime import foreign

MOST_NAMES_BYTES = 1 << 20


def existing(file: Path) -> Path:
    """The file.

    Raises:
        FileNotFoundError: where it is missing.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent}: {file.name} is missing")
    return file


def lines(file: Path) -> tuple[str, ...]:
    """The words of a text, such as names of classes.

    Raises:
        FileNotFoundError: where it is missing.
    """
    return tuple(foreign.text_of(existing(file), MOST_NAMES_BYTES).split())


def values(file: Path) -> np.ndarray[Any, Any]:
    """All bytes of a file, as numbers.

    Raises:
        FileNotFoundError: where it is missing.
        Unreadable: where it is larger than such files are.
    """
    return np.frombuffer(foreign.bytes_of(existing(file), foreign.MOST_PACKED_BYTES), np.uint8)


def labelled(
    images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], classes: Sequence[str], folder: Path
) -> LabelledImages:
    """Images (N, C, H, W) with their labels.

    Raises:
        ValueError: if images, labels and classes do not match.
    """
    if len(images) != len(labels) or labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(f"{folder}: labels that do not fit {len(images):,} images of {len(classes)} classes")
    return LabelledImages(torch.from_numpy(images), torch.from_numpy(labels), tuple(classes))
