"""The files of a job and their names.

**Links.** A folder keeps the name that the person gave, also where that is a link. No folder is read twice: where two
names lead to one folder, the first input that names it counts, and within an input its real name before a link's. So
loops end. A link to a file is a file of its own, because albums are made of such links.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

from veil.jobs.database import Database, blob, text
from veil.jobs.job import MANIFEST, PAGE, ROWS, FolderError
from veil.jobs.layout import layout_of
from veil.runtime.files import printable

_BETWEEN = "\0"  # parts of a stored name: below all that names hold, so that folders sort as their files do


class Input(NamedTuple):
    """An input.

    Attributes:
        folder: the names of its files are relative to this folder.
        prefix: begins the names.
        file: name of the file, where the input is a file.
    """

    folder: Path
    prefix: str
    file: str | None


class Files:
    """Files in a stable order, with their paths and names. They lie in a temporary database, not in memory."""

    def __init__(self, inputs: Sequence[Input], found: Iterable[tuple[int, str]]) -> None:
        self.inputs = inputs
        self.database = Database()
        self.database.run("CREATE TABLE found (given INTEGER, name BLOB)")
        self.database.insert("INSERT INTO found VALUES (?, ?)", ((number, blob(name)) for number, name in found))
        self.database.run("CREATE TABLE files AS SELECT given, name FROM found ORDER BY given, name")
        self.database.run("DROP TABLE found")

    def __len__(self) -> int:
        return self.database.count("files")

    def __iter__(self) -> Iterator[tuple[Path, str]]:
        for given, name in self.database.rows("SELECT given, name FROM files ORDER BY rowid"):
            yield self.named(given, name)

    def named(self, given: int, name: bytes) -> tuple[Path, str]:
        """Path and name of a file, from its row in the database."""
        folder, prefix, _ = self.inputs[given]
        relative = text(name).replace(_BETWEEN, "/")
        return folder / relative, prefix + relative


@dataclass(frozen=True)
class Listing:
    """The files of a job, and the number of files that it passed over."""

    files: Files
    passed_over: int


def refuse_in_place(inputs: Sequence[Path], out: Path) -> None:
    """Refuses an output folder that is an input, holds one, or lies in one.

    Raises:
        FolderError: then; it says why, and what to do.
    """
    real_out, shown = Path(os.path.realpath(out)), printable(out)
    for path in inputs:
        real = Path(os.path.realpath(path))
        folder, named = (real, printable(path)) if path.is_dir() else (real.parent, f"the folder of {printable(path)}")
        if folder == real_out:
            why = f"{shown} is {named if named != shown else 'an input'}: outputs would lie among the originals"
        elif folder.is_relative_to(real_out):
            why = f"{shown} holds the input {printable(path)}: outputs would lie among the originals"
        elif path.is_dir() and real_out.is_relative_to(folder) and not layout_of(out).old:
            why = f"{shown} lies in the input {named}: a later run would take outputs for originals"
        else:
            continue
        raise FolderError(f"{why}; choose a folder beside it, such as {printable(folder.name or 'photos')}-out")


def find(inputs: Sequence[Path], suffixes: frozenset[str], out: Path) -> Listing:
    """Lists the files below ``inputs`` in a stable order, with the names that they will have.

    A file is taken whatever its suffix; in a folder only files with one of ``suffixes`` are. Hidden files and the
    output folder are left out. Links to folders are followed (see the head of this module). One folder's files keep
    their names relative to it; with several inputs the folder's own name comes first, as it does for files of one name.

    Raises:
        FolderError: where an input does not exist, or there is no file at all.
    """
    given, passed_over = _named(inputs), 0

    def taken() -> Iterator[tuple[int, str]]:
        nonlocal passed_over
        for number, name, fits in _found(given, suffixes, out):
            if fits:
                yield number, name
            else:
                passed_over += 1

    files = Files(given, taken())
    if not len(files):
        raise FolderError("no photos found in " + ", ".join(printable(path) for path in inputs))
    return Listing(files, passed_over)


def locate(inputs: Sequence[Path], suffixes: frozenset[str], out: Path, names: Collection[str]) -> dict[str, Path]:
    """Paths by name, of those files that `find` lists for these inputs and whose names are among ``names``."""
    given, wanted = _named(inputs), frozenset(names)
    paths = {}
    for number, name, fits in _found(given, suffixes, out):
        relative = name.replace(_BETWEEN, "/")
        if fits and given[number].prefix + relative in wanted:
            paths[given[number].prefix + relative] = given[number].folder / relative
    return paths


def _named(inputs: Sequence[Path]) -> list[Input]:
    """The inputs, with the prefixes of their files' names.

    Raises:
        FolderError: where one does not exist.
    """
    prefixes: set[str] = set()
    names = Counter(path.name for path in inputs if not path.is_dir())
    given = []
    for path in inputs:
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links keep their names
        if path.is_dir():
            prefix = _unused(absolute.name, prefixes) + "/" if len(inputs) > 1 else ""
            given.append(Input(path, prefix, None))
        elif path.is_symlink() or path.exists():
            alone = names[path.name] == 1
            prefix = "" if alone else _unused(absolute.parent.name, prefixes) + "/"
            given.append(Input(path.parent, prefix, path.name))
        else:
            raise FolderError(f"there is no {printable(path)}")
    return given


def _unused(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate.casefold() in taken:
        candidate, number = f"{name}-{number}", number + 1
    taken.add(candidate.casefold())
    return candidate


def _found(inputs: Sequence[Input], suffixes: frozenset[str], out: Path) -> Iterator[tuple[int, str, bool]]:
    """Files of all inputs: number of the input, name with `_BETWEEN` for ``/``, and whether the job takes it.

    Folders come first, because a file that was named, too, may lie in one of them.
    """
    walk, named = _Walk(out), set()
    for number, (folder, _, file) in enumerate(inputs):
        for name in walk.names(folder) if file is None else ():
            last = name.rpartition(_BETWEEN)[2]
            fits = _fits(last, suffixes)
            if fits or last not in (ROWS, MANIFEST, PAGE):
                yield number, name, fits
    for number, (folder, _, file) in enumerate(inputs):
        if file is None:
            continue
        path = Path(os.path.realpath(folder)) / file
        listed = _fits(file, suffixes) and not file.startswith(".") and walk.has_read(folder)
        if path not in named and not listed:
            named.add(path)
            yield number, file, True


def _fits(name: str, suffixes: frozenset[str]) -> bool:
    return PurePath(name).suffix.lower() in suffixes


class _Walk:
    """Walks through folders, and through each of them once.

    Args:
        out: a folder that is left out.
    """

    def __init__(self, out: Path) -> None:
        self._out = Path(os.path.realpath(out))
        self._read: set[tuple[int, int]] = set()

    def names(self, folder: Path) -> Iterator[str]:
        """Names of the files below a folder: of real folders, and then of those that only links lead to."""
        waiting = [(folder, "")]
        while waiting:
            links: list[tuple[Path, str]] = []
            for place, prefix in waiting:
                yield from self._walk(place, prefix, links)
            waiting = sorted(links, key=lambda link: link[1])

    def has_read(self, folder: Path) -> bool:
        """Whether the files of a folder were among the names."""
        status = folder.stat()
        return (status.st_dev, status.st_ino) in self._read

    def _walk(self, folder: Path, prefix: str, links: list[tuple[Path, str]]) -> Iterator[str]:
        """Its own files, unsorted, and those of its real sub-folders; adds links to folders to ``links``."""
        status = folder.stat()
        if self.has_read(folder) or Path(os.path.realpath(folder)) == self._out:
            return
        self._read.add((status.st_dev, status.st_ino))
        inner = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    # A link may lead to itself, which only os.path forgives.
                    if entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112
                        links.append((folder / entry.name, prefix + entry.name + _BETWEEN))
                    elif entry.is_dir(follow_symlinks=False):
                        inner.append(entry.name)
                    else:
                        yield prefix + entry.name
        except OSError as error:
            raise FolderError(f"{printable(folder)} cannot be listed: {error.strerror}") from None
        for name in sorted(inner):
            yield from self._walk(folder / name, prefix + name + _BETWEEN, links)
