"""Names of outputs: every file gets a name of its own and keeps it in later runs."""

from collections.abc import Callable, Iterable

from veil.jobs.database import Database, blob
from veil.jobs.job import MANIFEST, PAGE, ROWS
from veil.runtime import names
from veil.runtime.names import UnsafeName

RESERVED = (ROWS, MANIFEST, PAGE)
"""Names that the old layout (`veil.jobs.layout`) has a use for."""


class OutputNames:
    """Gives every file an output name of its own, with its suffix, below the output folder.

    ``a.jpg`` becomes ``a.png``; where that name is wanted twice in a folder (letter case aside), each such file keeps
    its own suffix too: ``a.jpg.png``, ``a.webp.png``. No name holds a control character (`veil.runtime.names.plain`).

    Args:
        suffix: of all outputs, or what gives the suffix of a file's output by the file's name; of its own output's
            name it gives the same.
        wanted: the names of all files.
    """

    def __init__(self, database: Database, suffix: str | Callable[[str], str], wanted: Iterable[str]) -> None:
        self._database = database
        self._suffix = (lambda name: suffix) if isinstance(suffix, str) else suffix
        database.run("CREATE TABLE wanted (name BLOB)")
        database.insert("INSERT INTO wanted VALUES (?)", ((blob(self._short(name).casefold()),) for name in wanted))
        database.run("CREATE TABLE twice (name BLOB PRIMARY KEY) WITHOUT ROWID")
        database.run("INSERT INTO twice SELECT name FROM wanted GROUP BY name HAVING COUNT(*) > 1")
        database.run("DROP TABLE wanted")
        database.run("CREATE TABLE used (name BLOB PRIMARY KEY) WITHOUT ROWID")
        for name in RESERVED:
            self._claim(name)

    def keep(self, out: object) -> None:
        """Keeps a name that an earlier run gave.

        Raises:
            UnsafeName: for a name that no run can have given: not below the folder, with another suffix, or given
                twice.
        """
        checked = names.checked(out)
        if not checked.endswith(suffix := self._suffix(checked)):
            raise UnsafeName(f"{checked!r} does not end in {suffix}")
        if not self._claim(checked):
            raise UnsafeName(f"{checked!r} belongs to another row")

    def give(self, name: str) -> str:
        """A new name for the output of a file."""
        chosen, suffix = self._short(name), self._suffix(names.plain(name))
        if self._database.find("SELECT 1 FROM twice WHERE name = ?", blob(chosen.casefold())):
            chosen = names.plain(name) + suffix
        stem, count = chosen.removesuffix(suffix), 1
        while not self._claim(chosen):
            count += 1
            chosen = f"{stem}-{count}{suffix}"
        return chosen

    def _short(self, name: str) -> str:
        """The name with the outputs' suffix in place of its own."""
        plain = names.plain(name)
        folder, slash, last = plain.rpartition("/")
        dot = last.rfind(".")
        return folder + slash + (last[:dot] if 0 < dot < len(last) - 1 else last) + self._suffix(plain)

    def _claim(self, name: str) -> bool:
        """Takes a name; returns False where it was taken before, letter case aside."""
        return self._database.run("INSERT OR IGNORE INTO used VALUES (?)", blob(name.casefold())) > 0
