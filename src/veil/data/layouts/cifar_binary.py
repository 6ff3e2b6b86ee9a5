"""CIFAR-10 and CIFAR-100, the binary version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

Records of one or two labels, the last of which counts, and 3,072 bytes of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veil.data.layouts import SmallImagesLayout

if TYPE_CHECKING:
    from veil.data.labelled_images import LabelledImages, Parts

TEN, HUNDRED = "batches.meta.txt", "fine_label_names.txt"


def called(folder: Path) -> str:
    """``cifar10`` or ``cifar100``."""
    return "cifar10" if (folder / TEN).is_file() else "cifar100"


def read(folder: Path, side: int | None = None) -> Parts:
    """The set in a folder with `TEN` or `HUNDRED`, at its own size."""
    from veil.data.labelled_images import Parts
    from veil.data.packed_files import lines

    if called(folder) == "cifar10":
        classes = lines(folder / TEN)
        files = [f"data_batch_{number}.bin" for number in range(1, 6)]
        return Parts("cifar10", _part(files, folder, 1, classes), _part(["test_batch.bin"], folder, 1, classes))
    classes = lines(folder / HUNDRED)
    train, test = (_part([name], folder, 2, classes) for name in ("train.bin", "test.bin"))
    return Parts("cifar100", train, test)


def _part(names: Sequence[str], folder: Path, label_bytes: int, classes: Sequence[str]) -> LabelledImages:
    import numpy as np

    from veil.data.packed_files import labelled, values

    record = label_bytes + 3 * 32 * 32
    parts = []
    for name in names:
        data = values(folder / name)
        if not len(data) or len(data) % record:
            raise ValueError(f"{folder / name}: {len(data):,} bytes are no whole number of records of {record:,}")
        parts.append(data.reshape(-1, record))
    whole = np.concatenate(parts)
    images = whole[:, label_bytes:].reshape(-1, 3, 32, 32).copy()
    return labelled(images, whole[:, label_bytes - 1].astype(np.int64), classes, folder)


LAYOUT = SmallImagesLayout(
    name="cifar-binary",
    title="CIFAR-10 and CIFAR-100, binary version",
    on_disk=f"{TEN} or {HUNDRED} with the batches",
    matches=lambda folder: any((folder / sign).is_file() for sign in (TEN, HUNDRED)),
    called=called,
    read=read,
    archives={
        "cifar-10-batches-bin": "cifar10", "cifar-10": "cifar10",
        "cifar-100-binary": "cifar100", "cifar-100": "cifar100",
    },
)  # fmt: skip
