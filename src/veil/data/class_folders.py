"""Images sorted into one folder per class: the layout of ImageNet, Tiny ImageNet and things100.

``<root>/<class id>/**/<image>``; an optional ``words.txt`` beside the splits maps class ids to names
(``n02123045<TAB>tabby, tabby cat``).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from veil import images
from veil.data.labelled_images import LabelledImages
from veil.images.pillow_warnings import silent_pillow
from veil.images.resizing import resize

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # Pillow knows more, one of which starts a program
_THREADS = 8  # small files are waited for more than they are decoded
_CHUNK = 256  # images that a thread reads in one go


class OtherSize(ValueError):
    """An image has another size than it must have; the message names it and both sizes."""


def list_files(root: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The image files below ``root`` in sorted order, their class indices, and the class ids; nothing hidden.

    Raises:
        FileNotFoundError: where ``root`` has no class folder with images.
    """
    folders = (entry for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else ()
    classes = tuple(sorted(folder.name for folder in folders if not folder.name.startswith(".")))
    files: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        below = (root / name).rglob("*")
        found = sorted(p for p in below if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        files += found
        labels += [index] * len(found)
    if not files:
        raise FileNotFoundError(f"{root}: expected one folder per class with images in it")
    return files, labels, classes


def read(root: Path, size: int | None = None, *, resizes: bool = True) -> LabelledImages:
    """Reads every image below ``root`` as RGB of ``size`` × ``size`` pixels.

    Args:
        size: the width of the first image where it is None.
        resizes: whether images of another size are resized (bicubic, not cropped), or refused.

    Raises:
        FileNotFoundError: as `list_files` does.
        OtherSize: where an image is refused for its size.
        ValueError: where a file cannot be read as an image.
    """
    files, labels, classes = list_files(root)
    images = decode(files, list(map(str, files)), size, resizes=resizes)
    return LabelledImages(images, torch.tensor(labels), classes)


def decode(
    sources: Sequence[Path | bytes], names: Sequence[str], size: int | None = None, *, resizes: bool = True
) -> Tensor:
    """Images as one uint8 tensor (N, 3, size, size), as `read` makes it.

    Args:
        sources: at least one; files, or what is in them.
        names: one for each, for messages.

    Raises:
        OtherSize, ValueError: as `read` does.
    """
    if size is None:
        size = _rgb(sources[0], names[0]).width
    images = np.empty((len(sources), 3, size, size), np.uint8)

    def fill(start: int) -> None:
        chunk = slice(start, start + _CHUNK)
        for index, (source, name) in enumerate(zip(sources[chunk], names[chunk], strict=True), start):
            rgb = _rgb(source, name)
            if rgb.size != (size, size) and not resizes:
                raise OtherSize(f"{name}: {rgb.width}×{rgb.height} pixels where {size}×{size} are expected")
            images[index] = np.asarray(resize(rgb, size)).transpose(2, 0, 1)

    with silent_pillow(), ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(fill, range(0, len(sources), _CHUNK)):
            pass  # raises what a thread raised
    return torch.from_numpy(images)


def _rgb(source: Path | bytes, name: str) -> Image.Image:
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as opened:
            if opened.mode[0] not in "IF":
                return opened.convert("RGB")
        # More than 8 bits: Pillow would cut every value off at 255.
        pixels = images.decode(source if isinstance(source, bytes) else source.read_bytes()).pixels
        return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).numpy())
    except UnidentifiedImageError:
        raise ValueError(f"{name}: not an image of a format that is read ({', '.join(_FORMATS)})") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged data raise anything
        raise ValueError(f"{name}: cannot be read ({' '.join(str(error).split())[:120]})") from error


def read_words(file: Path) -> dict[str, str]:
    """Class id to name, the first of its synonyms, from ``words.txt``."""
    rows = (line.split("\t", 1) for line in file.read_text(encoding="utf-8").splitlines() if "\t" in line)
    return {key.strip(): names.split(",")[0].strip() for key, names in rows}
