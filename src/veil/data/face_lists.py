"""Lists of face photos with yes-or-no attributes, and the reading of such lists; photos are not opened.

Attributes are 1 and −1, or 1 and 0. One list never mixes −1 and 0, because 0 may then mean "unknown".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from veil.runtime import csv_files, foreign
from veil.runtime import names as file_names
from veil.runtime.lazy import torch
from veil.runtime.names import UnsafeName

if TYPE_CHECKING:
    from torch import Tensor

Split = Literal["official", "paper"]
"""How faces are split: by the partition of the list, or by the paper's shares."""
_TRUTH = {"1": 1, "-1": 0, "0": 0}


@dataclass(frozen=True)
class FaceList:
    """Photo files with their attributes, identities and partition, in the order of the list.

    Attributes:
        name: ``celeba``, or the folder's name.
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

    def __repr__(self) -> str:
        return f"FaceList({self.name!r}: {len(self.files):,} photos, {len(self.names)} attributes)"


def csv_table(file: Path) -> tuple[list[str], Iterator[list[str]]]:
    """Header and rows, each as long as the header; empty lines are left out."""
    rows = csv_files.rows_of(file)
    header = [name.strip() for name in next(rows, (0, list[str]()))[1]]
    if len(header) < 2:
        raise ValueError(f"{file}: no table with a header")

    def checked() -> Iterator[list[str]]:
        for line, row in rows:
            if len(row) != len(header):
                raise ValueError(f"{file}, line {line}: {len(row)} columns, the header has {len(header)}")
            yield row

    return header, checked()


def truths_of(
    file: Path, names: tuple[str, ...], rows: Iterator[tuple[str, Sequence[str]]]
) -> tuple[list[str], Tensor]:
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


def numbers_of(file: Path, listed: Sequence[str]) -> Tensor:
    """Whole numbers, one for each listed photo, from a list of photos and numbers: int64 (N,)."""
    rows = (line.replace(",", " ").split() for line in foreign.lines_of(file))
    pairs = [row for row in rows if row]
    if pairs and not pairs[0][-1].lstrip("-").isdecimal():
        pairs = pairs[1:]  # a header
    try:
        known = {photo: foreign.whole_number(number) for photo, number in pairs}
    except ValueError:
        raise ValueError(f"{file}: expected a photo and a whole number in every line") from None
    if len(known) < len(pairs):
        raise ValueError(f"{file}: a photo is listed twice")
    absent = next((photo for photo in listed if photo not in known), None)
    if absent is not None:
        raise ValueError(f"{file}: says nothing about {absent}")
    return torch.tensor([known[photo] for photo in listed])


def below(folder: Path, listed: Sequence[str], listing: Path) -> tuple[Path, ...]:
    """The listed photos in ``folder``. Links are followed: people link to photos elsewhere, and checking each of
    200,000 files is slow on a network drive.

    Raises:
        ValueError: for a name that leads out of the folder.
    """
    try:
        return tuple(folder / file_names.checked(name) for name in listed)
    except UnsafeName as error:
        raise ValueError(f"{listing}: lists a photo by a name that cannot be used: {error}") from None


def require_all(listing: Path, files: Sequence[Path]) -> None:
    """Raises FileNotFoundError where a photo is missing.

    It lists each folder once, because checking each of 200,000 photos is slow on a network drive.
    """
    there = {
        folder: {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        for folder in {file.parent for file in files}
    }
    missing = [file for file in files if file.name not in there[file.parent]]
    if missing:
        more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise FileNotFoundError(f"{listing}: lists {missing[0].name}{more}, missing in {missing[0].parent}")
