"""CSV files: the one reader of tables that others may have written, and the one writer.

Spreadsheets run a cell that begins like a formula. What is written here may hold names of files and of classes, which
others have chosen, so such a cell begins with an apostrophe.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from veil.runtime import foreign
from veil.runtime.files import printable
from veil.runtime.foreign import Unreadable

MOST_ROWS = 5_000_000
"""Of a table. What is kept of a short row takes thirty times its bytes."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings of a cell that a spreadsheet may run."""


class TextFile(Protocol):
    """What text can be written to."""

    def write(self, text: str, /) -> object: ...


def rows_of(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not empty, with the number of the line where they end.

    Raises:
        FileNotFoundError: where there is no file.
        Unreadable: where it cannot be read, is too large, or is not CSV.
    """
    reader = csv.reader(foreign.lines_of(file))
    count = 0
    try:
        for row in reader:
            count += 1
            if count > MOST_ROWS:
                raise Unreadable(f"{printable(file)} has more than {MOST_ROWS:,} rows")
            if any(row):
                yield reader.line_num, row
    except csv.Error as error:
        raise Unreadable(f"{printable(file)}, line {reader.line_num}: {error}") from None


def writer(handle: TextFile) -> Callable[[Iterable[object]], None]:
    """Returns a function that writes a row. Numbers stay as they are, None is an empty cell."""
    rows = csv.writer(handle, lineterminator="\n")
    return lambda cells: (rows.writerow([harmless(cell) for cell in cells]), None)[1]


def harmless(cell: object) -> object:
    """A cell that no spreadsheet runs: text that begins like a formula gets an apostrophe before it.

    A carriage return, which `csv` does not quote, becomes a space.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", " ")
    return f"'{text}" if cell.startswith(FORMULA) else text
