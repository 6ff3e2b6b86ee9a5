"""Lists that are too long for memory, in a temporary SQLite database.

SQLite keeps a few megabytes in memory and the rest in an unnamed file of the system's temporary folder, which is gone
when the process ends. Texts are stored as bytes (`blob`), because file names may hold what is no valid Unicode.
"""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from veil.jobs.job import FolderError

_MEMORY = 8 << 10  # KiB of pages that are kept in memory


class Database:
    """An empty temporary database; it is closed when the object is deleted.

    Its methods take a statement and the values of its question marks.

    Raises:
        FolderError: in every method, where the temporary folder is full.
    """

    def __init__(self) -> None:
        with _errors():
            connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            weakref.finalize(self, connection.close)
            for setting in (f"cache_size=-{_MEMORY}", "journal_mode=OFF", "synchronous=OFF", "temp_store=FILE"):
                connection.execute(f"PRAGMA {setting}")
            connection.execute("BEGIN")  # never to be committed: that would be a wait for every statement
        self._connection = connection

    def run(self, statement: str, *values: Any) -> int:
        """Runs a statement; returns how many rows it changed."""
        with _errors():
            return self._connection.execute(statement, values).rowcount

    def insert(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Runs a statement for each of many rows."""
        with _errors():
            self._connection.executemany(statement, rows)

    def find(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row, if there is one."""
        with _errors():
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
            return row

    def rows(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """All rows, read one by one."""
        with _errors():
            yield from self._connection.execute(statement, values)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        row = self.find(f"SELECT COUNT(*) FROM {table}")
        return int(row[0]) if row else 0


def blob(text: str) -> bytes:
    """A text as bytes, whatever characters it holds. The bytes sort like the texts."""
    return text.encode("utf-8", "surrogatepass")


def text(stored: bytes) -> str:
    """The text that `blob` was given."""
    return stored.decode("utf-8", "surrogatepass")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise FolderError(f"the list of files does not fit into the temporary folder ({error})") from None
