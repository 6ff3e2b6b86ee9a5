"""Lists that outgrow memory, in a temporary database of SQLite.

It keeps a few megabytes in memory and the rest in a file of the system's temporary folder that has no name there and is
gone with the process. Texts are stored as bytes (`blob`), because file names may hold what is no valid Unicode.
"""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from veil.jobs.job import FolderError

_MEMORY = 8 << 10  # KiB of pages that are kept in memory


class Database:
    """A database that is empty at first and gone when nobody holds it any more.

    Its methods take a statement and the values of its question marks.

    Raises:
        FolderError: in every method, where the temporary folder is full.
    """

    def __init__(self) -> None:
        with _said():
            connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            weakref.finalize(self, connection.close)
            for setting in (f"cache_size=-{_MEMORY}", "journal_mode=OFF", "synchronous=OFF", "temp_store=FILE"):
                connection.execute(f"PRAGMA {setting}")
            connection.execute("BEGIN")  # never to be committed: that would be a wait for every statement
        self._connection = connection

    def run(self, statement: str, *values: Any) -> int:
        """Runs a statement; returns how many rows it changed."""
        with _said():
            return self._connection.execute(statement, values).rowcount

    def insert(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Runs a statement for each of many rows."""
        with _said():
            self._connection.executemany(statement, rows)

    def find(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row, if there is one."""
        with _said():
            found: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
            return found

    def rows(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """All rows, as they are asked for."""
        with _said():
            yield from self._connection.execute(statement, values)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        found = self.find(f"SELECT COUNT(*) FROM {table}")
        return int(found[0]) if found else 0


def blob(text: str) -> bytes:
    """A text as bytes, whatever it holds; such bytes have the order of the texts."""
    return text.encode("utf-8", "surrogatepass")


def text(stored: bytes) -> str:
    """The text that `blob` was given."""
    return stored.decode("utf-8", "surrogatepass")


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise FolderError(f"the list of files does not fit into the temporary folder ({error})") from None
