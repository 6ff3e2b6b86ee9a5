"""Writes rows to their file: every row after its output has reached the disk, sorted by input in the end."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from veil.jobs import rows
from veil.jobs.database import Database
from veil.jobs.job import Item
from veil.jobs.row_formats import Row
from veil.jobs.row_index import Place
from veil.runtime.files import PRIVATE_FILE, replacing

_AT_ONCE, _SECONDS = 256, 1.0  # rows that wait for their outputs to reach the disk, and how long
_SYNCING = 8  # threads that wait for the disk: it takes many small files at once far faster than one by one
_COPIED = 1 << 20  # bytes of rows that are copied at once


class Recorder(AbstractContextManager["Recorder"]):
    """Appends rows to their file. Rows that wait are written also where the work ends with an error.

    Args:
        file: of the rows.
        synced: whether outputs have reached the disk already; else this is done here, before their rows.
    """

    def __init__(self, file: Path, *, synced: bool) -> None:
        self.file, self.synced = file, synced
        self._waiting: list[tuple[Item, Row]] = []
        self._written = time.monotonic()
        self._places = Database()
        self._places.run("CREATE TABLE places (number INTEGER PRIMARY KEY, at INTEGER, length INTEGER, failed INTEGER)")

    def __enter__(self) -> Self:
        self._handle = rows.open_to_append(self.file, PRIVATE_FILE)
        return self

    def __exit__(self, *_: object) -> None:
        with self._handle:
            self._write()

    def keep(self, number: int, place: Place) -> None:
        """Keeps the row of an earlier run, for the file with that number."""
        self._note(number, place, failed=False)

    def add(self, item: Item, row: Row) -> None:
        """Adds the row of a file whose output is written."""
        self._waiting.append((item, row))
        if self.synced or len(self._waiting) == _AT_ONCE or time.monotonic() - self._written > _SECONDS:
            self._write()

    def counts(self) -> tuple[int, int]:
        """How many files have a row, and how many of them failed."""
        return self._places.count("places"), self._places.count("places WHERE failed")

    def sort(self) -> None:
        """Sorts the file by input and drops old rows; called after the last row. A sorted file is left as it is."""
        end = 0
        for at, length in self._in_order():
            if at != end:
                break
            end += length
        else:
            if end == self.file.stat().st_size:
                return
        with replacing(self.file, mode=PRIVATE_FILE) as target, self.file.open("rb") as source:
            begins, end = 0, 0  # neighbours are copied together
            for at, length in self._in_order():
                if at != end or end - begins > _COPIED:
                    _copy(source, target, begins, end)
                    begins = at
                end = at + length
            _copy(source, target, begins, end)

    def _write(self) -> None:
        if self._waiting and not self.synced:
            _bring_to_disk([item.out for item, row in self._waiting if not row["error"]])
        places = rows.append(self._handle, *(row for _, row in self._waiting))
        for (item, row), place in zip(self._waiting, places, strict=True):
            self._note(item.number, Place(*place), failed=bool(row["error"]))
        self._waiting.clear()
        self._written = time.monotonic()

    def _note(self, number: int, place: Place, *, failed: bool) -> None:
        self._places.run("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", number, *place, failed)

    def _in_order(self) -> Iterator[tuple[int, int]]:
        yield from self._places.rows("SELECT at, length FROM places ORDER BY number")


def _copy(source: BinaryIO, target: BinaryIO, begins: int, end: int) -> None:
    source.seek(begins)
    target.write(source.read(end - begins))


def _bring_to_disk(files: Sequence[Path]) -> None:
    """Waits until files and their names are on the disk."""
    with ThreadPoolExecutor(_SYNCING) as pool:
        list(pool.map(_sync, files))
    for folder in {file.parent for file in files}:
        with suppress(OSError):  # a file system without that for folders
            _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows syncs only what it may write
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
