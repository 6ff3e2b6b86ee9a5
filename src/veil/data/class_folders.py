"""Images sorted into one folder per class: the layout of ImageNet, Tiny ImageNet and things100.

``<root>/<class id>/**/<image>``; an optional ``words.txt`` beside the splits maps class ids to names
(``n02123045<TAB>tabby, tabby cat``).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})


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


def list_files(root: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The image files below ``root`` in sorted order, their class indices, and the class ids.

    Raises:
        FileNotFoundError: where ``root`` has no class folder with images.
    """
    classes = tuple(sorted(p.name for p in root.iterdir() if p.is_dir())) if root.is_dir() else ()
    files: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        found = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        files += found
        labels += [index] * len(found)
    if not files:
        raise FileNotFoundError(f"{root}: expected one folder per class with images in it")
    return files, labels, classes


def read(root: Path, size: int) -> LabelledImages:
    """Reads every image below ``root`` as RGB of ``size`` × ``size`` pixels (resized where it is not)."""
    files, labels, classes = list_files(root)
    images = np.empty((len(files), 3, size, size), dtype=np.uint8)
    for index, file in enumerate(files):
        with Image.open(file) as opened:
            rgb = opened.convert("RGB")
        if rgb.size != (size, size):
            rgb = rgb.resize((size, size), Image.Resampling.BICUBIC)
        images[index] = np.asarray(rgb).transpose(2, 0, 1)
    return LabelledImages(torch.from_numpy(images), torch.tensor(labels), classes)


def read_words(file: Path) -> dict[str, str]:
    """Class id to name, the first of its synonyms, from ``words.txt``."""
    rows = (line.split("\t", 1) for line in file.read_text(encoding="utf-8").splitlines() if "\t" in line)
    return {key.strip(): names.split(",")[0].strip() for key, names in rows}
