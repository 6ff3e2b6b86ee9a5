"""STL-10, the binary version, its labelled parts (Coates et al. 2011, https://cs.stanford.edu/~acoates/stl10/).

5,000 training and 8,000 test images of 96×96. Columns come before rows, and labels count from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from veil.data.layouts import SmallImagesLayout

if TYPE_CHECKING:
    from veil.data.labelled_images import LabelledImages, Parts

NAMES = "class_names.txt"


def read(folder: Path, side: int | None = None) -> Parts:
    """The set in a folder with `NAMES`, at its own size."""
    from veil.data.labelled_images import Parts

    return Parts("stl10", _part(folder, "train"), _part(folder, "test"))


def _part(folder: Path, name: str) -> LabelledImages:
    import numpy as np

    from veil.data.packed_files import labelled, lines, values

    pixels = values(folder / f"{name}_X.bin")
    if not len(pixels) or len(pixels) % (3 * 96 * 96):
        raise ValueError(f"{folder / name}_X.bin: {len(pixels):,} bytes are no whole number of images")
    images = pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2).copy()
    labels = values(folder / f"{name}_y.bin").astype(np.int64) - 1
    return labelled(images, labels, lines(folder / NAMES), folder)


LAYOUT = SmallImagesLayout(
    name="stl10",
    title="STL-10, binary version",
    on_disk=f"{NAMES} with train_X.bin and test_X.bin",
    matches=lambda folder: (folder / NAMES).is_file(),
    called=lambda folder: "stl10",
    read=read,
    archives={"stl10_binary": "stl10", "stl-10": "stl10"},
)
