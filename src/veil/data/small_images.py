"""CIFAR-10, CIFAR-100 and STL-10 in the layouts that they are published in, and folders of class folders, as tensors.

- CIFAR (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): the Python version (pickles, read by
  `veil.data.restricted_pickle`) and the binary version. 32×32, 50,000 training and 10,000 test images.
- STL-10 (Coates et al. 2011, https://cs.stanford.edu/~acoates/stl10/): the binary version, labelled parts only. 96×96,
  5,000 training and 8,000 test images.
- ``train/`` and ``test/`` (or ``val/``) with one folder per class, each image resized to the side that is wanted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from veil.data import class_folders, restricted_pickle
from veil.data.class_folders import LabelledImages

LAYOUTS = (
    "CIFAR-10 or CIFAR-100 (Python or binary version), STL-10 (binary version), "
    "or train/ and test/ (or val/) with one folder per class"
)


@dataclass(frozen=True)
class Parts:
    """A data set in memory: its name, and two parts of uint8 images (N, 3, side, side) with one set of classes."""

    name: str
    train: LabelledImages
    test: LabelledImages


def read(folder: Path, side: int | None = None) -> Parts:
    """The data set that ``folder`` holds, itself or in its published folder one below.

    Args:
        side: of the images of class folders, in pixels; that of the first image where it is None. Other layouts have
            their own.

    Raises:
        FileNotFoundError: where a file of the layout is missing.
        ValueError: where ``folder`` holds none of `LAYOUTS`, or a file is broken.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    for sign, reader in _PUBLISHED.items():
        for place in (folder, *sorted(each for each in folder.iterdir() if each.is_dir())):
            if (place / sign).is_file():
                return reader(place)
    if (folder / "train").is_dir():
        return _folders(folder, side)
    raise ValueError(f"{folder}: not a set of small images: expected {LAYOUTS}")


def _folders(folder: Path, side: int | None) -> Parts:
    held_out = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
    if held_out is None:
        raise FileNotFoundError(f"{folder}: beside train/ there must be test/ or val/")
    if side is None:
        from PIL import Image

        with Image.open(class_folders.list_files(folder / "train")[0][0]) as first:
            if first.width != first.height:
                raise ValueError(
                    f"{folder}: its images are {first.width}×{first.height}; say which side they are to have"
                )
            side = first.width
    train, test = (class_folders.read(part, side) for part in (folder / "train", held_out))
    if train.classes != test.classes:
        raise ValueError(f"{folder}: train/ and {held_out.name}/ have different classes")
    return Parts(folder.name, train, test)


def _cifar_pickles(names: Sequence[str], folder: Path, labels: bytes, classes: Sequence[str]) -> LabelledImages:
    images, found = [], []
    for name in names:
        batch = restricted_pickle.load(_existing(folder / name))
        try:
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            found.append(np.asarray(batch[labels], np.int64))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder / name}: not a batch of CIFAR ({error})") from None
    return _labelled(np.concatenate(images), np.concatenate(found), classes, folder)


def _cifar10_python(folder: Path) -> Parts:
    classes = _names(folder / "batches.meta", b"label_names")
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return Parts(
        "cifar10",
        _cifar_pickles(train, folder, b"labels", classes),
        _cifar_pickles(["test_batch"], folder, b"labels", classes),
    )


def _cifar100_python(folder: Path) -> Parts:
    classes = _names(folder / "meta", b"fine_label_names")
    train, test = (_cifar_pickles([part], folder, b"fine_labels", classes) for part in ("train", "test"))
    return Parts("cifar100", train, test)


def _names(file: Path, key: bytes) -> tuple[str, ...]:
    meta = restricted_pickle.load(_existing(file))
    try:
        return tuple(name.decode() for name in meta[key])
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{file}: no names of classes") from None


def _cifar_binary(names: Sequence[str], folder: Path, label_bytes: int, classes: Sequence[str]) -> LabelledImages:
    """Records of ``label_bytes`` labels, the last of which counts, and 3,072 bytes of pixels."""
    record = label_bytes + 3 * 32 * 32
    parts = []
    for name in names:
        data = np.fromfile(_existing(folder / name), np.uint8)
        if not len(data) or len(data) % record:
            raise ValueError(f"{folder / name}: {len(data):,} bytes are no whole number of records of {record:,}")
        parts.append(data.reshape(-1, record))
    whole = np.concatenate(parts)
    images = whole[:, label_bytes:].reshape(-1, 3, 32, 32).copy()
    return _labelled(images, whole[:, label_bytes - 1].astype(np.int64), classes, folder)


def _cifar10_binary(folder: Path) -> Parts:
    classes = _lines(folder / "batches.meta.txt")
    train = [f"data_batch_{number}.bin" for number in range(1, 6)]
    return Parts(
        "cifar10", _cifar_binary(train, folder, 1, classes), _cifar_binary(["test_batch.bin"], folder, 1, classes)
    )


def _cifar100_binary(folder: Path) -> Parts:
    classes = _lines(folder / "fine_label_names.txt")
    train, test = (_cifar_binary([name], folder, 2, classes) for name in ("train.bin", "test.bin"))
    return Parts("cifar100", train, test)


def _stl10(folder: Path) -> Parts:
    """Columns come before rows, and labels count from 1."""
    classes = _lines(folder / "class_names.txt")

    def part(name: str) -> LabelledImages:
        pixels = np.fromfile(_existing(folder / f"{name}_X.bin"), np.uint8)
        if not len(pixels) or len(pixels) % (3 * 96 * 96):
            raise ValueError(f"{folder / name}_X.bin: {len(pixels):,} bytes are no whole number of images")
        images = pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2).copy()
        labels = np.fromfile(_existing(folder / f"{name}_y.bin"), np.uint8).astype(np.int64) - 1
        return _labelled(images, labels, classes, folder)

    return Parts("stl10", part("train"), part("test"))


def _labelled(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], classes: Sequence[str],
              folder: Path) -> LabelledImages:  # fmt: skip
    if len(images) != len(labels) or labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(f"{folder}: labels that do not fit {len(images):,} images of {len(classes)} classes")
    tensor: Tensor = torch.from_numpy(images)
    return LabelledImages(tensor, torch.from_numpy(labels), tuple(classes))


def _lines(file: Path) -> tuple[str, ...]:
    return tuple(_existing(file).read_text(encoding="utf-8").split())


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent}: {file.name} is missing")
    return file


_PUBLISHED: dict[str, Callable[[Path], Parts]] = {
    "batches.meta": _cifar10_python,
    "batches.meta.txt": _cifar10_binary,
    "fine_label_names.txt": _cifar100_binary,
    "class_names.txt": _stl10,
    "meta": _cifar100_python,
}
