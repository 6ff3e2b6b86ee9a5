"""Labelled photo files in the layouts that they are published in, as paths: photos are decoded later, one by one.

- The NIPS 2017 adversarial development set (Kurakin et al. 2018, https://arxiv.org/abs/1804.00097): ``images.csv`` with
  ``ImageId`` and ``TrueLabel`` (1 to 1000, 0 is background), ``images/<ImageId>.png`` or ``.jpg``.
- The ILSVRC-2012 validation photos in one folder, with Caffe's ``val.txt`` or Kaggle's ``LOC_val_solution.csv``.
- One folder per class, named by its WordNet id; where there is a ``val/`` of these, that is taken. `class_folders`
  lists them.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from veil.data import class_folders

LAYOUTS = (
    "images.csv with images/ (NIPS 2017), ILSVRC2012_val_*.JPEG with val.txt or LOC_val_solution.csv, "
    "or one folder per WordNet id"
)
IMAGENET_CLASSES = 1000
_WORDNET_ID = re.compile(r"n\d{8}")
_ILSVRC_PHOTO = "ILSVRC2012_val_"
_ILSVRC_FOLDERS = ("", "val", "ILSVRC2012_img_val", "CLS-LOC/val", "Data/CLS-LOC/val", "ILSVRC/Data/CLS-LOC/val")
_DEVKIT_FILES = ("ILSVRC*_validation_ground_truth.txt", "ILSVRC*devkit*/data/ILSVRC*_validation_ground_truth.txt")
# A sea snake. In the devkit's order it is 490, or 489 from 0; lists that count from 1 say 66.
_FIRST_PHOTO, _FIRST_LABEL = "ILSVRC2012_val_00000001", 65


@dataclass(frozen=True)
class PhotoSet:
    """Photo files with their true classes.

    Attributes:
        name: ``nips17``, ``ilsvrc2012-val``, else the folder's.
        files: in a stable order.
        labels: one per file, an index into the set's classes.
        class_ids: WordNet ids in the order of the labels, where the layout gives them.
        class_names: in the order of the labels, where there is a ``words.txt``.
        imagenet: whether labels are the indices 0 to 999 of ImageNet-1k, in the order of the WordNet ids.
    """

    name: str
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    class_ids: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    imagenet: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def take(self, count: int) -> "PhotoSet":
        """At most ``count`` photos, evenly spread over the set and in its order; the same ones each time.

        Raises:
            ValueError: where ``count`` is less than 1.
        """
        if count < 1:
            raise ValueError(f"take at least one photo, not {count}")
        if count >= len(self):
            return self
        chosen = [index * len(self) // count for index in range(count)]
        return replace(self, files=tuple(self.files[i] for i in chosen), labels=tuple(self.labels[i] for i in chosen))


def truths_for(
    photo_set: PhotoSet, classes: Sequence[str], imagenet_ids: Sequence[str] | None = None
) -> tuple[int | None, ...]:
    """The true class of each file as a classifier counts its classes; None where the classifier does not have it.

    Classes are matched where all names are the same, by WordNet ids where both sides have them, or by their indices
    where the set counts as ImageNet-1k does: any classifier of 1000 classes is taken to do so, too.

    Args:
        classes: the classifier's class names, in the order of its logits.
        imagenet_ids: their WordNet ids, where they are known; looked at where there is one for each class.
    """
    if photo_set.class_names == tuple(classes):
        return photo_set.labels
    if photo_set.class_ids is not None and imagenet_ids is not None and len(imagenet_ids) == len(classes):
        place = {wordnet_id: index for index, wordnet_id in enumerate(imagenet_ids)}
        return tuple(place.get(photo_set.class_ids[label]) for label in photo_set.labels)
    if photo_set.imagenet and len(classes) == IMAGENET_CLASSES:
        return photo_set.labels
    return (None,) * len(photo_set)


def read(folder: Path) -> PhotoSet:
    """The photo set that ``folder`` holds.

    Raises:
        FileNotFoundError: where there is no such folder, or photos that its list names are missing.
        ValueError: where it has none of the layouts, or its list of labels is broken.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    for layout in _LAYOUTS:
        if layout.place(folder) is not None:
            return layout.read(folder)
    raise ValueError(f"{folder}: not a set of labelled photos: expected {LAYOUTS}")


def find(roots: Sequence[Path], name: str | None = None) -> PhotoSet:
    """The first photo set among ``roots``, each of which is one or holds some one folder below.

    In a root that holds several, NIPS 2017 comes first, then ILSVRC-2012, then class folders, each sorted by name.

    Args:
        name: the set that is wanted, by its own name or its folder's; None takes any.

    Raises:
        FileNotFoundError: where there is none, or none of that name; or photos of the one found are missing.
        ValueError: where the one found is broken.
    """
    found = [each for root in roots for each in sorted(_candidates(root), key=lambda each: each.order)]
    for each in found:
        if name is None or name in (each.name, each.folder.absolute().name):
            return read(each.folder)
    where = ", ".join(map(str, roots)) or "no folder at all"
    if found:
        names = ", ".join(sorted({each.name for each in found}))
        raise FileNotFoundError(f"no photo set '{name}' in {where}: there is {names}")
    raise FileNotFoundError(f"no photo set in {where}: expected {LAYOUTS}, there or one folder below")


@dataclass(frozen=True)
class _Candidate:
    """A folder that looks like a photo set; ``order`` sorts those of one root."""

    folder: Path
    name: str
    order: tuple[int, bool, str]


def _candidates(root: Path) -> Iterator[_Candidate]:
    for folder in (root, *_folders(root)):
        for rank, layout in enumerate(_LAYOUTS):
            try:
                place = layout.place(folder)
            except PermissionError:  # lost+found
                continue
            if place is not None:
                yield _Candidate(folder, layout.name(place), (rank, folder != root, folder.name))
                break


def _folders(root: Path) -> list[Path]:
    """The folders in ``root`` that can be seen, unsorted; none where there is no ``root``."""
    try:
        return [entry for entry in root.iterdir() if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


@dataclass(frozen=True)
class _Layout:
    """One way to lay a set out.

    Attributes:
        place: what the photos are named by, a file or folder in a folder of this layout; None for any other folder.
        name: of the set with that place.
        read: the set in a folder that has a place.
    """

    place: Callable[[Path], Path | None]
    name: Callable[[Path], str]
    read: Callable[[Path], PhotoSet]


def _nips17_list(folder: Path) -> Path | None:
    file = folder / "images.csv"
    return file if file.is_file() else None


def _read_nips17(folder: Path) -> PhotoSet:
    file = folder / "images.csv"
    named: dict[str, int] = {}
    for photo, label in _columns(file, "ImageId", "TrueLabel"):
        if photo in named:
            raise ValueError(f"{file}: {photo!r} is named twice")
        named[photo] = _number(label, 1, file, photo) - 1
    files = _photos(folder / "images", named, file)
    return PhotoSet("nips17", files, tuple(named.values()), imagenet=True)


def _ilsvrc_folder(folder: Path) -> Path | None:
    for part in _ILSVRC_FOLDERS:
        if any(file.suffix.lower() in class_folders.SUFFIXES for file in (folder / part).glob(f"{_ILSVRC_PHOTO}*")):
            return folder / part
    return None


def _read_ilsvrc(folder: Path) -> PhotoSet:
    images = _ilsvrc_folder(folder) or folder
    places = [images]
    while places[-1] != folder:
        places.append(places[-1].parent)
    if images == folder:
        places.append(folder.absolute().parent)
    for place in places:
        if (file := place / "LOC_val_solution.csv").is_file():
            return _with_wordnet_ids(images, file)
        for file in (place / "val.txt", place / "meta" / "val.txt"):
            if file.is_file():
                return _with_indices(images, file)
    use = "put Caffe's val.txt or Kaggle's LOC_val_solution.csv beside the photos"
    devkits = (file for place in places for pattern in _DEVKIT_FILES for file in place.glob(pattern))
    if devkit := next(devkits, None):
        raise ValueError(f"{devkit} counts classes in the devkit's own order, not in ImageNet-1k's: {use}")
    raise ValueError(f"{images}: ILSVRC-2012 photos without labels: {use}")


def _with_indices(images: Path, file: Path) -> PhotoSet:
    """Caffe's list: lines like ``ILSVRC2012_val_00000001.JPEG 65``, indices in the order of the WordNet ids."""
    named: dict[str, int] = {}
    for line in filter(str.strip, _text(file).splitlines()):
        path, _, label = " ".join(line.split()).rpartition(" ")
        photo = Path(path)
        # Kaggle's own val.txt has no suffixes, and running numbers in the place of labels.
        if not photo.stem.startswith(_ILSVRC_PHOTO) or photo.suffix.lower() not in class_folders.SUFFIXES:
            raise ValueError(f"{file}: {line[:60]!r} is not a line like '{_FIRST_PHOTO}.JPEG {_FIRST_LABEL}'")
        named[photo.stem] = _number(label, 0, file, photo.stem)
    if (first := named.get(_FIRST_PHOTO, _FIRST_LABEL)) != _FIRST_LABEL:
        raise ValueError(
            f"{file}: gives {_FIRST_PHOTO} class {first}, where ImageNet-1k has {_FIRST_LABEL} (sea snake): "
            "not the order of the WordNet ids from 0, as Caffe's val.txt has it"
        )
    named = dict(sorted(named.items()))
    return PhotoSet("ilsvrc2012-val", _photos(images, named, file), tuple(named.values()), imagenet=True)


def _with_wordnet_ids(images: Path, file: Path) -> PhotoSet:
    """Kaggle's list: a photo's first token is its WordNet id; with all of the 1000, their order gives the index."""
    named: dict[str, str] = {}
    for photo, boxes in _columns(file, "ImageId", "PredictionString"):
        named[photo] = boxes.partition(" ")[0]
        if not _WORDNET_ID.fullmatch(named[photo]):
            raise ValueError(f"{file}: {named[photo][:40]!r} for {photo!r} is not a WordNet id")
    ids = sorted(set(named.values()))
    place = {wordnet_id: index for index, wordnet_id in enumerate(ids)}
    labels = {photo: place[named[photo]] for photo in sorted(named)}
    files = _photos(images, labels, file)
    imagenet = len(ids) == IMAGENET_CLASSES
    return PhotoSet("ilsvrc2012-val", files, tuple(labels.values()), tuple(ids), imagenet=imagenet)


def _class_root(folder: Path) -> Path | None:
    for place in (folder / "val", folder):
        if any(_WORDNET_ID.fullmatch(entry.name) for entry in _folders(place)):
            return place
    return None


def _class_root_name(place: Path) -> str:
    place = place.absolute()
    if place.name == "val":
        return place.parent.name
    return f"{place.parent.name}-train" if place.name == "train" else place.name


def _read_class_folders(folder: Path) -> PhotoSet:
    place = _class_root(folder) or folder
    files, labels, folders = class_folders.list_files(place)
    ids = tuple(each for each in folders if not each.startswith("."))
    for each in ids:
        if not _WORDNET_ID.fullmatch(each):
            raise ValueError(f"{place}: the folder {each!r} among the classes is not named by a WordNet id")
    index = {wordnet_id: number for number, wordnet_id in enumerate(ids)}
    kept = [
        (file, index[folders[label]])
        for file, label in zip(files, labels, strict=True)
        if folders[label] in index and not file.name.startswith(".")
    ]
    if not kept:
        raise FileNotFoundError(f"{place}: the class folders hold no photos")
    return PhotoSet(
        name=_class_root_name(place),
        files=tuple(file for file, _ in kept),
        labels=tuple(label for _, label in kept),
        class_ids=ids,
        class_names=_words(place, ids),
        imagenet=len(ids) == IMAGENET_CLASSES,
    )


def _words(place: Path, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Class names from the ``words.txt`` in ``place`` or beside it; the id for a class that it leaves out."""
    for file in (place / "words.txt", place.absolute().parent / "words.txt"):
        if file.is_file():
            try:
                words = class_folders.read_words(file)
            except UnicodeDecodeError:
                raise ValueError(f"{file}: not text in UTF-8") from None
            if not words.keys().isdisjoint(ids):
                return tuple(words.get(each, each) for each in ids)
    return None


_LAYOUTS = (
    _Layout(_nips17_list, lambda place: "nips17", _read_nips17),
    _Layout(_ilsvrc_folder, lambda place: "ilsvrc2012-val", _read_ilsvrc),
    _Layout(_class_root, _class_root_name, _read_class_folders),
)


def _photos(folder: Path, named: Mapping[str, object], source: Path) -> tuple[Path, ...]:
    """The files in ``folder`` by their names without suffix, in the order of ``named``; PNG where there are two."""
    if not named:
        raise ValueError(f"{source}: names no photos")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: the folder of the photos that {source.name} names is missing")
    there = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in class_folders.SUFFIXES}
    missing = [name for name in named if name not in there]
    if missing:
        count = f"{len(missing)} of the {len(named)} photos that {source.name} names"
        raise FileNotFoundError(f"{folder}: {count} are missing, {missing[0]!r} is the first")
    return tuple(there[name] for name in named)


def _columns(file: Path, *names: str) -> list[tuple[str, ...]]:
    """Some columns of a CSV file."""
    try:
        rows = list(csv.DictReader(io.StringIO(_text(file), newline=""), restval=""))
    except csv.Error as error:
        raise ValueError(f"{file}: not a CSV file: {error}") from None
    if not rows:
        raise ValueError(f"{file}: names no photos")
    for name in names:
        if name not in rows[0]:
            raise ValueError(f"{file}: has no column {name}")
    return [tuple(row[name].strip() for name in names) for row in rows]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not text in UTF-8") from None


def _number(text: str, first: int, file: Path, photo: str) -> int:
    """A class from ``first`` on, of a thousand."""
    last = first + IMAGENET_CLASSES - 1
    if not (text.isascii() and text.isdigit() and len(text) < 5 and first <= int(text) <= last):
        raise ValueError(f"{file}: {text[:40]!r} for {photo!r} is not a class from {first} to {last}")
    return int(text)
