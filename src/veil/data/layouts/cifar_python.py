"""CIFAR-10 and CIFAR-100, the Python version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

Pickles of 50,000 training and 10,000 test images of 32×32, read by `veil.data.restricted_pickle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veil.data.layouts import SmallImagesLayout

if TYPE_CHECKING:
    from veil.data.labelled_images import LabelledImages, Parts

TEN, HUNDRED = "batches.meta", "meta"
_LONGEST_NAME = 1000  # of a class, in bytes; one name can stand in a list a million times


def called(folder: Path) -> str:
    """``cifar10`` or ``cifar100``."""
    return "cifar10" if (folder / TEN).is_file() else "cifar100"


def read(folder: Path, side: int | None = None) -> Parts:
    """The set in a folder with `TEN` or `HUNDRED`, at its own size."""
    from veil.data.labelled_images import Parts

    if called(folder) == "cifar10":
        classes = _names(folder / TEN, b"label_names")
        files, labels = [f"data_batch_{number}" for number in range(1, 6)], b"labels"
        return Parts("cifar10", _part(files, folder, labels, classes), _part(["test_batch"], folder, labels, classes))
    classes = _names(folder / HUNDRED, b"fine_label_names")
    train, test = (_part([part], folder, b"fine_labels", classes) for part in ("train", "test"))
    return Parts("cifar100", train, test)


def _part(names: Sequence[str], folder: Path, labels: bytes, classes: Sequence[str]) -> LabelledImages:
    import numpy as np

    from veil.data import restricted_pickle
    from veil.data.packed_files import existing, labelled

    images, truths = [], []
    for name in names:
        batch = restricted_pickle.load(existing(folder / name))
        data, numbers = (batch.get(b"data"), batch.get(labels)) if isinstance(batch, dict) else (None, None)
        if not isinstance(data, np.ndarray) or not data.size or data.size % (3 * 32 * 32):
            raise ValueError(f"{folder / name}: not a batch of CIFAR: no array of images")
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < len(classes) for n in numbers):
            raise ValueError(f"{folder / name}: not a batch of CIFAR: no list of labels of {len(classes)} classes")
        images.append(np.asarray(data, np.uint8).reshape(-1, 3, 32, 32))
        truths.append(np.array(numbers, np.int64))
    return labelled(np.concatenate(images), np.concatenate(truths), classes, folder)


def _names(file: Path, key: bytes) -> tuple[str, ...]:
    from veil.data import restricted_pickle
    from veil.data.packed_files import existing

    meta = restricted_pickle.load(existing(file))
    names = meta.get(key) if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, bytes) and len(name) <= _LONGEST_NAME for name in names):
        raise ValueError(f"{file}: no names of classes")
    return tuple(name.decode() for name in names)


LAYOUT = SmallImagesLayout(
    name="cifar-python",
    title="CIFAR-10 and CIFAR-100, Python version",
    on_disk=f"{TEN} or {HUNDRED} with the batches",
    matches=lambda folder: any((folder / sign).is_file() for sign in (TEN, HUNDRED)),
    called=called,
    read=read,
    archives={
        "cifar-10-batches-py": "cifar10", "cifar-10": "cifar10",
        "cifar-100-python": "cifar100", "cifar-100": "cifar100",
    },
)  # fmt: skip
