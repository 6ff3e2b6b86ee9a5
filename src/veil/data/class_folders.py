"""Images sorted into one folder per class: the layout of ImageNet, Tiny ImageNet and things100.

``<root>/<class id>/**/<image>``; an optional ``words.txt`` beside the splits maps class ids to names
(``n02123045<TAB>tabby, tabby cat``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from veil.runtime import foreign
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from veil.data.labelled_images import LabelledImages

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})


def list_files(root: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The image files below ``root`` in sorted order without hidden files, their class indices, and the class ids.

    Raises:
        FileNotFoundError: where ``root`` has no class folder with images.
    """
    folders = (entry for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else ()
    classes = tuple(sorted(folder.name for folder in folders if not folder.name.startswith(".")))
    files: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        below = (root / name).rglob("*")
        own = sorted(p for p in below if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        files += own
        labels += [index] * len(own)
    if not files:
        raise FileNotFoundError(f"{root}: expected one folder per class with images in it")
    return files, labels, classes


def folders_in(root: Path) -> list[Path]:
    """The folders in ``root`` that are not hidden, unsorted; empty if there is no ``root``."""
    try:
        return [entry for entry in root.iterdir() if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


def read(root: Path, size: int | None = None, *, resizes: bool = True) -> LabelledImages:
    """Reads every image below ``root`` as RGB of ``size`` × ``size`` pixels.

    Args:
        size: None takes the width of the first image.
        resizes: True resizes images of another size (bicubic, not cropped); False refuses them.

    Raises:
        FileNotFoundError: as `list_files` does.
        OtherSize: where an image is refused for its size.
        ValueError: where a file cannot be read as an image.
    """
    from veil.data.decoding import decode
    from veil.data.labelled_images import LabelledImages

    files, labels, classes = list_files(root)
    images = decode(files, list(map(str, files)), size, resizes=resizes)
    return LabelledImages(images, torch.tensor(labels), classes)


def read_words(file: Path) -> dict[str, str]:
    """Class id to name, the first of its synonyms, from ``words.txt``."""
    rows = (line.split("\t", 1) for line in foreign.lines_of(file) if "\t" in line)
    return {key.strip(): names.split(",")[0].strip() for key, names in rows}
