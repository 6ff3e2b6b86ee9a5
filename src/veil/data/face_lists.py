"""Lists of face photos with yes-or-no attributes, in the layouts that they are published in; photos are not opened.

- CelebA (Liu et al. 2015, Deep learning face attributes in the wild): ``list_attr_celeba.txt``,
  ``list_eval_partition.txt``, optionally ``identity_CelebA.txt``, and ``img_align_celeba/``, each in the folder or in
  one directly below, such as ``Anno/``, ``Eval/`` and ``Img/``. The first line of the attributes may be the number of
  images.
- CelebA as Kaggle has it: the same lists as ``.csv``, the photos in ``img_align_celeba/img_align_celeba/``.
- Any folder with ``attributes.csv``, or one other ``.csv``: the column ``file`` (or ``image_id``) is a path in the
  folder, ``identity`` (optional) anything that tells people apart, ``partition`` (optional) train, val or test or 0, 1
  or 2; every other column is an attribute.

Attributes are 1 and −1, or 1 and 0; one list never mixes −1 and 0, for 0 may mean "unknown" then.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from veil.runtime import names as file_names
from veil.runtime.names import UnsafeName

LAYOUTS = (
    "list_attr_celeba.txt or .csv with img_align_celeba/ (CelebA), "
    "or attributes.csv with the columns file, identity and partition (optional), and attributes"
)
PARTITIONS = {"train": 0, "val": 1, "validation": 1, "test": 2, "0": 0, "1": 1, "2": 2}
_FILE_COLUMNS = ("file", "image_id")
_TRUTH = {"1": 1, "-1": 0, "0": 0}


@dataclass(frozen=True)
class FaceList:
    """Photo files with what is known of them, in the order of the list.

    Attributes:
        name: ``celeba``, else the folder's.
        files: N paths, all of which exist.
        attributes: bool (N, A).
        names: of the A attributes.
        identities: int64 (N,); None where unknown.
        partition: int64 (N,), 0 for training, 1 validation, 2 test; None where the list does not say.
    """

    name: str
    files: tuple[Path, ...]
    attributes: Tensor
    names: tuple[str, ...]
    identities: Tensor | None
    partition: Tensor | None


def read(folder: Path) -> FaceList:
    """The list that ``folder`` holds.

    Raises:
        FileNotFoundError: where there is no such folder, or a file of the layout or a listed photo is missing.
        ValueError: where ``folder`` holds none of `LAYOUTS`, or its list is wrong: columns that do not fit, a value
            that is no attribute, a photo that is listed twice.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    for suffix in (".txt", ".csv"):
        attributes = _near(folder, f"list_attr_celeba{suffix}")
        if attributes is not None:
            return _celeba(folder, attributes)
    return _any_csv(folder, _only_csv(folder))


def _celeba(folder: Path, attributes: Path) -> FaceList:
    photos = _near(folder, "img_align_celeba")
    if photos is None:
        raise FileNotFoundError(f"{folder}: img_align_celeba is missing")
    if (photos / photos.name).is_dir():
        photos = photos / photos.name
    names, rows = _csv_rows(attributes) if attributes.suffix == ".csv" else _text_rows(attributes)
    listed, truths = _truths(attributes, names, rows)
    files = _below(photos, listed, attributes)
    _require_all(attributes, files)
    partition = _near(folder, "list_eval_partition.txt") or _near(folder, "list_eval_partition.csv")
    identity = _near(folder, "identity_CelebA.txt") or _near(folder, "identity_CelebA.csv")
    parts = None if partition is None else _column(partition, listed)
    if parts is not None and not ((parts >= 0) & (parts <= 2)).all():
        raise ValueError(f"{partition}: a partition is 0, 1 or 2")
    return FaceList(
        "celeba", files, truths, names, None if identity is None else _column(identity, listed), parts
    )  # fmt: skip


def _any_csv(folder: Path, file: Path) -> FaceList:
    header, rows = _csv_table(file)
    lower = [name.casefold() for name in header]
    place = next((lower.index(name) for name in _FILE_COLUMNS if name in lower), None)
    if place is None:
        raise ValueError(f"{file}: no column is called {' or '.join(_FILE_COLUMNS)}")
    extra = {name: lower.index(name) for name in ("identity", "partition") if name in lower}
    columns = [index for index in range(len(header)) if index not in (place, *extra.values())]
    kept: dict[str, list[str]] = {name: [] for name in extra}

    def split() -> Iterator[tuple[str, Sequence[str]]]:
        for row in rows:
            for name, index in extra.items():
                kept[name].append(row[index].strip())
            yield row[place].strip(), [row[index].strip() for index in columns]

    names = tuple(header[index] for index in columns)
    listed, truths = _truths(file, names, split())
    files = _below(folder, listed, file)
    _require_all(file, files)
    partition = _partitions(file, kept["partition"]) if "partition" in kept else None
    identities = _numbered(file, kept["identity"]) if "identity" in kept else None
    return FaceList(folder.absolute().name, files, truths, names, identities, partition)


def _near(folder: Path, name: str) -> Path | None:
    """A file or folder called ``name`` in ``folder`` or directly below; None where there is none."""
    below = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return next((place / name for place in (folder, *below) if (place / name).exists()), None)


def _only_csv(folder: Path) -> Path:
    if (folder / "attributes.csv").is_file():
        return folder / "attributes.csv"
    found = sorted(folder.glob("*.csv"))
    if not found:
        raise ValueError(f"{folder}: not a set of faces: expected {LAYOUTS}")
    if len(found) > 1:
        raise ValueError(f"{folder}: several lists ({', '.join(file.name for file in found)}); name one attributes.csv")
    return found[0]


def _lines(file: Path) -> Iterator[str]:
    """At once, for who stops reading half-way would leave the file open."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not text in UTF-8") from None
    yield from io.StringIO(text, newline="")


def _text_rows(file: Path) -> tuple[tuple[str, ...], Iterator[tuple[str, Sequence[str]]]]:
    """Names and rows of a list whose columns are apart by blanks, with or without the number of images at its head."""
    lines = (words for line in _lines(file) if (words := line.split()))
    names = next(lines, [])
    announced = int(names[0]) if len(names) == 1 and names[0].isdecimal() else None
    if announced is not None:
        names = next(lines, [])

    def rows() -> Iterator[tuple[str, Sequence[str]]]:
        count = 0
        for count, words in enumerate(lines, 1):  # noqa: B007
            yield words[0], words[1:]
        if announced not in (None, count):
            raise ValueError(f"{file}: announces {announced:,} images and lists {count:,}")

    return tuple(names), rows()


def _csv_rows(file: Path) -> tuple[tuple[str, ...], Iterator[tuple[str, Sequence[str]]]]:
    header, rows = _csv_table(file)
    return tuple(header[1:]), ((row[0].strip(), [value.strip() for value in row[1:]]) for row in rows)


def _csv_table(file: Path) -> tuple[list[str], Iterator[list[str]]]:
    """Header and rows, each as long as the header; empty lines are left out."""
    reader = csv.reader(_lines(file))

    def table() -> Iterator[list[str]]:
        try:
            yield from (row for row in reader if any(row))
        except csv.Error as error:
            raise ValueError(f"{file}, line {reader.line_num}: {error}") from None

    rows = table()
    header = [name.strip() for name in next(rows, [])]
    if len(header) < 2:
        raise ValueError(f"{file}: no table with a header")

    def checked() -> Iterator[list[str]]:
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"{file}, line {reader.line_num}: {len(row)} columns, the header has {len(header)}")
            yield row

    return header, checked()


def _truths(file: Path, names: tuple[str, ...], rows: Iterator[tuple[str, Sequence[str]]]) -> tuple[list[str], Tensor]:
    """The photos in order, and their attributes, bool (N, A)."""
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{file}: {'an attribute is named twice' if names else 'no attributes are named'}")
    listed: dict[str, None] = {}
    truths, seen = bytearray(), set[str]()
    for photo, values in rows:
        if len(values) != len(names):
            raise ValueError(f"{file}: {photo} has {len(values)} attributes, {len(names)} are named")
        if photo in listed:
            raise ValueError(f"{file}: {photo} is listed twice")
        if not _TRUTH.keys() >= set(values):
            wrong = next(index for index, value in enumerate(values) if value not in _TRUTH)
            raise ValueError(f"{file}: {photo}: {names[wrong]} is '{values[wrong]}', neither 0 or 1 nor -1 or 1")
        listed[photo] = None
        seen.update(values)
        truths += bytes(map(_TRUTH.__getitem__, values))
    if not listed:
        raise ValueError(f"{file}: lists no photo")
    if {"0", "-1"} <= seen:
        raise ValueError(f"{file}: attributes are 0 and -1 in one list; write 1 and 0, or 1 and -1")
    return list(listed), torch.frombuffer(truths, dtype=torch.bool).view(len(listed), len(names))


def _column(file: Path, listed: Sequence[str]) -> Tensor:
    """Whole numbers, one for each listed photo, from a list of photos and numbers: int64 (N,)."""
    rows = (line.replace(",", " ").split() for line in _lines(file))
    pairs = [row for row in rows if row]
    if pairs and not pairs[0][-1].lstrip("-").isdecimal():
        pairs = pairs[1:]  # a header
    try:
        known = {photo: int(number) for photo, number in pairs}
    except ValueError:
        raise ValueError(f"{file}: expected a photo and a whole number in every line") from None
    if len(known) < len(pairs):
        raise ValueError(f"{file}: a photo is listed twice")
    absent = next((photo for photo in listed if photo not in known), None)
    if absent is not None:
        raise ValueError(f"{file}: says nothing about {absent}")
    return torch.tensor([known[photo] for photo in listed])


def _partitions(file: Path, words: Sequence[str]) -> Tensor:
    wrong = next((word for word in words if word.casefold() not in PARTITIONS), None)
    if wrong is not None:
        raise ValueError(f"{file}: '{wrong}' is no partition; they are {', '.join(PARTITIONS)}")
    return torch.tensor([PARTITIONS[word.casefold()] for word in words])


def _numbered(file: Path, people: Sequence[str]) -> Tensor:
    """Names of people as numbers: their own where all are whole numbers, else their places in sorted order."""
    if not all(people):
        raise ValueError(f"{file}: a photo has no identity")
    if all(person.isdecimal() and len(person) < 19 for person in people):
        return torch.tensor([int(person) for person in people])
    numbers = {person: number for number, person in enumerate(sorted(set(people)))}
    return torch.tensor([numbers[person] for person in people])


def _below(folder: Path, listed: Sequence[str], listing: Path) -> tuple[Path, ...]:
    """The listed photos in ``folder``. Links are followed wherever they lead: people link to photos that lie elsewhere,
    and to ask for every one of 200,000 takes long on a network drive.

    Raises:
        ValueError: for a name that leads out of the folder.
    """
    try:
        return tuple(folder / file_names.checked(name) for name in listed)
    except UnsafeName as error:
        raise ValueError(f"{listing}: lists a photo by a name that cannot be used: {error}") from None


def _require_all(listing: Path, files: Sequence[Path]) -> None:
    """One look into each folder: asking for every one of 200,000 photos takes long on a network drive."""
    there = {
        folder: {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        for folder in {file.parent for file in files}
    }
    missing = [file for file in files if file.name not in there[file.parent]]
    if missing:
        more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise FileNotFoundError(f"{listing}: lists {missing[0].name}{more}, missing in {missing[0].parent}")
