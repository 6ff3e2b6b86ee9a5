"""Sets of small labelled images in memory: CIFAR-10, CIFAR-100 and STL-10 as published, or folders of class folders.

- CIFAR (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): the Python version (pickles, read by
  `veil.data.restricted_pickle`) and the binary version. 32×32, 50,000 training and 10,000 test images.
- STL-10 (Coates et al. 2011, https://cs.stanford.edu/~acoates/stl10/): the binary version, labelled parts only. 96×96,
  5,000 training and 8,000 test images.
- ``train/`` and ``test/`` (or ``val/``) with one folder per class. What `veil encrypt` or `veil transform apply` makes
  of such a folder is one, too; its images are never resized.

`read` takes a folder, `find` looks for a name, and `load` takes what a person says on the command line: a folder, or
``hub:NAME`` for a set of the Hugging Face hub (`veil.data.hub`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from veil.data import class_folders, restricted_pickle
from veil.data.class_folders import OtherSize
from veil.data.labelled_images import TRANSFORMED, LabelledImages, Parts
from veil.jobs import folders

LAYOUTS = (
    "CIFAR-10 or CIFAR-100 (Python or binary version), STL-10 (binary version), "
    "or train/ and test/ (or val/) with one folder per class"
)
HUB = "hub:"
"""What the name of a set of the Hugging Face hub begins with, where `load` is to fetch it."""
_DEPTH = 2  # folders below a root that `find` looks into
_LONGEST_NAME = 1000  # of a class of CIFAR, in bytes; one name can stand in a list a million times


def load(what: str, side: int | None = None) -> Parts:
    """The data set that a person names: a folder, or ``hub:NAME`` for one of the Hugging Face hub.

    Args:
        side: of the images in pixels, as `read` takes it.

    Raises:
        FileNotFoundError, ValueError: as `read` does, or `veil.data.hub.read`.
        HubMissing, DownloadError: as `veil.data.hub.read` does.
    """
    if what.startswith(HUB):
        from veil.data import hub

        return hub.read(what.removeprefix(HUB), side)
    return read(Path(what), side)


def read(folder: Path, side: int | None = None) -> Parts:
    """The data set that ``folder`` holds, itself or in its published folder one below.

    Args:
        side: that all images are resized to, in pixels. Where it is None they stay as they are, all of one side.

    Raises:
        FileNotFoundError: where there is no such folder, or a file of the layout is missing.
        ValueError: where ``folder`` holds none of `LAYOUTS`, or several sets; where a file is broken, or images
            differ in size or are no squares and no ``side`` is given, or would have to be resized and are protected.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "train").is_dir():
        return _read_class_folders(folder, side)
    found = [(place, layout) for place in (folder, *_folders_in(folder)) if (layout := _published(place))]
    if not found:
        raise ValueError(f"{folder}: not a set of small images: expected {LAYOUTS}")
    if len({layout.name for _, layout in found}) > 1:
        raise ValueError(f"{folder}: holds several sets; name one of {', '.join(place.name for place, _ in found)}")
    place, layout = found[0]
    parts = layout.read(place)
    return parts if side is None else replace(parts, train=parts.train.resized(side), test=parts.test.resized(side))


def find(roots: Sequence[Path], name: str, side: int | None = None) -> Parts:
    """The first data set called ``name`` among ``roots``: a root itself, or a folder one or two below it.

    A published set is called ``cifar10``, ``cifar100`` or ``stl10``, or as its archive's folder; any other as its
    folder. Letter case does not count. In a root, plain images come before protected ones, then higher folders before
    deeper ones, then they are sorted by name.

    Args:
        side: as `read` takes it.

    Raises:
        FileNotFoundError: where there is none of that name; or files of the one found are missing.
        ValueError: where the one found is broken, or is not of one size, as in `read`.
    """
    seen: set[str] = set()
    for root in roots:
        candidates = list(_candidates(root))
        seen |= {called for _, called in candidates}
        named = [place for place, called in candidates if _alias(name) in (called, _alias(place.absolute().name))]
        if named:
            return read(next((place for place in named if _cipher(place) is None), named[0]), side)
    where = ", ".join(map(str, roots)) or "no folder at all"
    there = f" (there is {', '.join(sorted(seen))})" if seen else ""
    raise FileNotFoundError(
        f"no set of small images '{name}' in {where}{there}: expected {LAYOUTS}, there or up to {_DEPTH} folders below"
    )


def _candidates(root: Path) -> Iterator[tuple[Path, str]]:
    """The folders that look like a set, and what each is called; nothing inside of them."""
    level = [root]
    for _ in range(1 + _DEPTH):
        below: list[Path] = []
        for folder in level:
            if called := _called(folder):
                yield folder, called
            else:
                below += _folders_in(folder)
        level = below


def _called(folder: Path) -> str | None:
    """The name of the set that ``folder`` itself looks like; None where it looks like none."""
    try:
        if (folder / "train").is_dir():
            return _alias(folder.absolute().name)
        layout = _published(folder)
    except PermissionError:  # lost+found
        return None
    return layout.name if layout else None


def _alias(name: str) -> str:
    """A set's own name for that of its archive's folder; any other in small letters."""
    name = name.casefold()
    return _ARCHIVES.get(name, name)


def _folders_in(folder: Path) -> list[Path]:
    """The folders in ``folder`` that can be seen, sorted; none where there is no ``folder``."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def _read_class_folders(folder: Path, side: int | None) -> Parts:
    held_out = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
    if held_out is None:
        raise FileNotFoundError(f"{folder}: beside train/ there must be test/ or val/")
    cipher = _cipher(folder, folder / "train", held_out)
    resizes = side is not None and cipher is None
    try:
        train = class_folders.read(folder / "train", side, resizes=resizes)
        test = class_folders.read(held_out, train.images.shape[-1], resizes=resizes)
    except OtherSize as error:
        raise ValueError(f"{error}: {_remedy(side, cipher)}") from None
    if train.classes != test.classes:
        raise ValueError(f"{folder}: train/ and {held_out.name}/ have different classes")
    return Parts(folder.absolute().name, train, test, cipher)


def _remedy(side: int | None, cipher: str | None) -> str:
    if cipher is None:
        return "say which side the images are to have"
    size = "N" if side is None else side
    if cipher == TRANSFORMED:
        return f"transformed images cannot be resized; `veil transform apply --size {size}` does it before"
    return f"encrypted images ({cipher}) cannot be resized; `veil encrypt --size {size}` does it before it encrypts"


def _cipher(folder: Path, *parts: Path) -> str | None:
    """What `veil encrypt` or `veil transform apply` made ``folder`` with, or each of its ``parts``; else None.

    Raises:
        ValueError: where there is a ``run.json`` that cannot be read, or where the parts differ.
    """
    cipher = _cipher_of_run(folder)
    if cipher is not None or not parts:
        return cipher
    ciphers = {_cipher_of_run(part) for part in parts}
    if len(ciphers) > 1:
        raise ValueError(
            f"{folder}: {' and '.join(part.name for part in parts)} are not encrypted with the same cipher, "
            "or not both transformed"
        )
    return ciphers.pop()


def _cipher_of_run(folder: Path) -> str | None:
    try:
        run = folders.read_manifest(folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / folders.MANIFEST}: cannot be read ({error})") from None
    known = run if isinstance(run, dict) else {}
    cipher = TRANSFORMED if TRANSFORMED in known else known.get("cipher")
    return None if cipher is None else str(cipher)


def _cifar_pickles(names: Sequence[str], folder: Path, labels: bytes, classes: Sequence[str]) -> LabelledImages:
    images, found = [], []
    for name in names:
        batch = restricted_pickle.load(_existing(folder / name))
        data, numbers = (batch.get(b"data"), batch.get(labels)) if isinstance(batch, dict) else (None, None)
        if not isinstance(data, np.ndarray) or not data.size or data.size % (3 * 32 * 32):
            raise ValueError(f"{folder / name}: not a batch of CIFAR: no array of images")
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < len(classes) for n in numbers):
            raise ValueError(f"{folder / name}: not a batch of CIFAR: no list of labels of {len(classes)} classes")
        images.append(data.reshape(-1, 3, 32, 32))
        found.append(np.array(numbers, np.int64))
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
    names = meta.get(key) if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, bytes) and len(name) <= _LONGEST_NAME for name in names):
        raise ValueError(f"{file}: no names of classes")
    return tuple(name.decode() for name in names)


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


@dataclass(frozen=True)
class _Layout:
    """How a set was published: its name, and what reads a folder of its files."""

    name: str
    read: Callable[[Path], Parts]


_PUBLISHED = {
    "batches.meta": _Layout("cifar10", _cifar10_python),
    "batches.meta.txt": _Layout("cifar10", _cifar10_binary),
    "fine_label_names.txt": _Layout("cifar100", _cifar100_binary),
    "class_names.txt": _Layout("stl10", _stl10),
    "meta": _Layout("cifar100", _cifar100_python),
}
"""Layouts by a file that tells them."""
_ARCHIVES = {
    "cifar-10-batches-py": "cifar10", "cifar-10-batches-bin": "cifar10", "cifar-10": "cifar10",
    "cifar-100-python": "cifar100", "cifar-100-binary": "cifar100", "cifar-100": "cifar100",
    "stl10_binary": "stl10", "stl-10": "stl10",
}  # fmt: skip


def _published(folder: Path) -> _Layout | None:
    return next((layout for sign, layout in _PUBLISHED.items() if (folder / sign).is_file()), None)
