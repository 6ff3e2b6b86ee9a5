"""Lists of photos as text, and the files that they name."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from veil.data.class_folders import SUFFIXES
from veil.data.labelled_photos import IMAGENET_CLASSES


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
    try:
        rows = list(csv.DictReader(io.StringIO(text_of(file), newline=""), restval=""))
    except csv.Error as error:
        raise ValueError(f"{file}: not a CSV file: {error}") from None
    if not rows:
        raise ValueError(f"{file}: names no photos")
    for name in names:
        if name not in rows[0]:
            raise ValueError(f"{file}: has no column {name}")
    return [tuple(row[name].strip() for name in names) for row in rows]


def text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not text in UTF-8") from None


def class_number(text: str, first: int, file: Path, photo: str) -> int:
    """The index of one of a thousand classes; numbers in the file start at ``first``."""
    last = first + IMAGENET_CLASSES - 1
    if not (text.isascii() and text.isdigit() and len(text) < 5 and first <= int(text) <= last):
        raise ValueError(f"{file}: {text[:40]!r} for {photo!r} is not a class from {first} to {last}")
    return int(text)
