"""Finds rows of a folder job in their file, the latest of every source, and keeps none in memory.

A file of rows may hold several of one source, where it failed and was tried again; the latest counts.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from veil.jobs import rows
from veil.jobs.database import Database
from veil.jobs.job import FolderError
from veil.jobs.row_formats import Row
from veil.runtime import foreign
from veil.runtime.files import printable


class Place(NamedTuple):
    """Position and length of a row in its file, in bytes."""

    at: int
    length: int


Reader = Callable[[Place], Row]


class RowIndex:
    """The places of rows in a file of rows: the latest of every source. Empty where there is no file.

    Raises:
        FolderError: where the file cannot be read, or a line of it is not the row of a file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._database = Database()
        self._database.run(
            "CREATE TABLE rows (name TEXT PRIMARY KEY, first INTEGER, at INTEGER, length INTEGER, out TEXT,"
            " done INTEGER) WITHOUT ROWID"
        )
        self._database.insert(
            "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " at = excluded.at, length = excluded.length, out = excluded.out, done = excluded.done",
            self._read(),
        )
        self._length = self._database.count("rows")

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Row]:
        """The rows, in the order in which their sources first appear."""
        with self.reading() as read:
            for at, length in self._database.rows("SELECT at, length FROM rows ORDER BY first"):
                yield read(Place(at, length))

    def place(self, name: str) -> Place | None:
        """The place of a source's row."""
        row = self._database.find("SELECT at, length FROM rows WHERE name = ?", json.dumps(name))
        return Place(*row) if row else None

    def outputs(self) -> Iterator[tuple[str, Any]]:
        """Sources with the names of their outputs, for rows that name one."""
        for name, out in self._database.rows("SELECT name, out FROM rows WHERE out <> 'null' ORDER BY first"):
            yield foreign.parse_json(name), foreign.parse_json(out, finite=False)

    def row_of_output(self, out_name: str) -> Row | None:
        """The row of a file that has an output, by the output's name."""
        self._database.run("CREATE INDEX IF NOT EXISTS by_output ON rows (out)")
        place = self._database.find(
            "SELECT at, length FROM rows WHERE out = ? AND done ORDER BY first DESC", json.dumps(out_name)
        )
        if place is None:
            return None
        with self.reading() as read:
            row = read(Place(*place))
        if row.get("out") != out_name:
            raise _changed(self.file)
        return row

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Opens the file; yields a function that reads the row at a place.

        Raises:
            FolderError: where it was changed since it was indexed.
        """
        with foreign.opened(self.file) if len(self) else BytesIO() as handle:

            def read(place: Place) -> Row:
                handle.seek(place.at)
                try:
                    row = foreign.parse_json(handle.read(place.length).decode(), finite=False)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise _changed(self.file)
                return row

            yield read

    def _read(self) -> Iterator[tuple[str, int, int, int, str, bool]]:
        try:
            for at, length, row in rows.stream(self.file):
                if not isinstance(row.get("file"), str):
                    raise FolderError(
                        f"a row of {printable(self.file)} names no file; remove that row, or choose another folder"
                    )
                done = not row.get("error", "not said")
                yield json.dumps(row["file"]), at, at, length, json.dumps(row.get("out")), done
        except OSError as error:
            raise FolderError(f"{printable(self.file)} cannot be read: {error.strerror}") from None
        except rows.RowsError as error:
            raise FolderError(printable(str(error))) from None


def _changed(file: Path) -> FolderError:
    return FolderError(f"{printable(file)} was changed while it was read")
