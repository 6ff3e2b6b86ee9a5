"""Lists of photos as text, and the files that they name."""

from collections.abc import Mapping
from pathlib import Path

from veil.data.class_folders import SUFFIXES
from veil.data.labelled_photos import IMAGENET_CLASSES
from veil.runtime import csv_files, foreign


def photos(folder: Path, named: Mapping[str, object], source: Path) -> tuple[Path, ...]:
    """The files in ``folder`` by their names without suffix, in the order of ``named``; PNG where there are two."""
    if not named:
        raise ValueError(f"{source}: names no photos")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: the folder of the photos that {source.name} names is missing")
    there = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES}
    missing = [name for name in named if name not in there]
    if missing:
        count = f"{len(missing)} of the {len(named)} photos that {source.name} names"
        raise FileNotFoundError(f"{folder}: {count} are missing, {missing[0]!r} is the first")
    return tuple(there[name] for name in named)


def columns(file: Path, *names: str) -> list[tuple[str, ...]]:
    """Some columns of a CSV file."""
    rows = (row for _, row in csv_files.rows_of(file))
    header = next(rows, None)
    if header is None:
        raise ValueError(f"{file}: names no photos")
    for name in names:
        if name not in header:
            raise ValueError(f"{file}: has no column {name}")
    places = [header.index(name) for name in names]
    columns = [tuple(row[place].strip() if place < len(row) else "" for place in places) for row in rows]
    if not columns:
        raise ValueError(f"{file}: names no photos")
    return columns


def class_number(text: str, first: int, file: Path, photo: str) -> int:
    """The index of one of a thousand classes; numbers in the file start at ``first``."""
    last = first + IMAGENET_CLASSES - 1
    try:
        return foreign.whole_number(text, first, last)
    except ValueError:
        raise ValueError(f"{file}: {text[:40]!r} for {photo!r} is not a class from {first} to {last}") from None
