"""Any folder of photos with a table of attributes, ``attributes.csv`` or one other ``.csv``.

The column ``file`` (or ``image_id``) is a path in the folder, ``identity`` (optional) anything that tells people apart,
``partition`` (optional) train, val or test or 0, 1 or 2; every other column is an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veil.data.face_lists import FaceList, below, csv_table, require_all, truths_of
from veil.data.layouts import FacesLayout
from veil.runtime import foreign
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

TABLE = "attributes.csv"
PARTITIONS = {"train": 0, "val": 1, "validation": 1, "test": 2, "0": 0, "1": 1, "2": 2}
_FILE_COLUMNS = ("file", "image_id")


def read(folder: Path) -> FaceList:
    """The list of faces in a folder."""
    file = _table_in(folder)
    header, rows = csv_table(file)
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
    listed, truths = truths_of(file, names, split())
    files = below(folder, listed, file)
    require_all(file, files)
    partition = _partitions(file, kept["partition"]) if "partition" in kept else None
    identities = _numbered(file, kept["identity"]) if "identity" in kept else None
    return FaceList(folder.absolute().name, files, truths, names, identities, partition)


def _table_in(folder: Path) -> Path:
    if (folder / TABLE).is_file():
        return folder / TABLE
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        raise FileNotFoundError(f"{folder}: {TABLE} is missing")
    if len(tables) > 1:
        raise ValueError(f"{folder}: several lists ({', '.join(file.name for file in tables)}); name one {TABLE}")
    return tables[0]


def _partitions(file: Path, words: Sequence[str]) -> Tensor:
    wrong = next((word for word in words if word.casefold() not in PARTITIONS), None)
    if wrong is not None:
        raise ValueError(f"{file}: '{wrong}' is no partition; they are {', '.join(PARTITIONS)}")
    return torch.tensor([PARTITIONS[word.casefold()] for word in words])


def _numbered(file: Path, people: Sequence[str]) -> Tensor:
    """Names of people as numbers: the names themselves if all are whole numbers, else their places in sorted order."""
    if not all(people):
        raise ValueError(f"{file}: a photo has no identity")
    if all(person.isascii() and person.isdecimal() and len(person) < 19 for person in people):
        return torch.tensor([foreign.whole_number(person) for person in people])
    numbers = {person: number for number, person in enumerate(sorted(set(people)))}
    return torch.tensor([numbers[person] for person in people])


LAYOUT = FacesLayout(
    name="attribute-table",
    title="any photos of faces",
    on_disk=f"{TABLE} with the columns file, identity and partition (optional), and attributes",
    matches=lambda folder: any(folder.glob("*.csv")),
    read=read,
)
