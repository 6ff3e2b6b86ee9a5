"""The files of a job and their names."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

from veil.jobs.database import Database, blob, text
from veil.jobs.job import MANIFEST, ROWS, FolderError
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


def find(inputs: Sequence[Path], suffixes: frozenset[str], out: Path) -> Listing:
    """Lists the files below ``inputs`` in a stable order, with the names that they will have.

    A file is taken whatever its suffix; in a folder only files with one of ``suffixes`` are. Hidden files and the
    output folder are left out. Links to folders are followed, each folder once. One folder's files keep their names
    relative to it; with several inputs the folder's own name comes first, as it does for files of one name.

    Raises:
        FolderError: where an input does not exist, or there is no file at all.
    """
    given, passed_over = _resolved(inputs), 0

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
    given, wanted = _resolved(inputs), frozenset(names)
    paths = {}
    for number, name, fits in _found(given, suffixes, out):
        relative = name.replace(_BETWEEN, "/")
        if fits and given[number].prefix + relative in wanted:
            paths[given[number].prefix + relative] = given[number].folder / relative
    return paths


def _resolved(inputs: Sequence[Path]) -> list[Input]:
    """The inputs, with the prefixes of their files' names.

    Raises:
        FolderError: where one does not exist.
    """
    prefixes: set[str] = set()
    names = Counter(path.name for path in inputs if not path.is_dir())
    given = []
    for path in inputs:
        if path.is_dir():
            prefix = _unused(path.resolve().name, prefixes) + "/" if len(inputs) > 1 else ""
            given.append(Input(path, prefix, None))
        elif path.is_symlink() or path.exists():
            alone = names[path.name] == 1
            prefix = "" if alone else _unused(path.absolute().parent.resolve().name, prefixes) + "/"
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
    """Files of all inputs: number of the input, name with `_BETWEEN` for ``/``, and whether the job takes it."""
    outside = out.resolve()
    for number, (folder, _, file) in enumerate(inputs):
        if file is not None:
            yield number, file, True
            continue
        for name in _walk(folder, "", outside, set()):
            last = name.rpartition(_BETWEEN)[2]
            fits = PurePath(last).suffix.lower() in suffixes
            if fits or last not in (ROWS, MANIFEST):
                yield number, name, fits


def _walk(folder: Path, prefix: str, out: Path, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Names of the files below a folder: first its own files, unsorted, then its sub-folders, sorted."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen or folder.resolve() == out:
        return
    seen.add((status.st_dev, status.st_ino))
    inner = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                # A link may lead to itself, which only os.path forgives.
                if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir(follow_symlinks=False):  # noqa: PTH112
                    inner.append(entry.name)
                else:
                    yield prefix + entry.name
    except OSError as error:
        raise FolderError(f"{printable(folder)} cannot be listed: {error.strerror}") from None
    for name in sorted(inner):
        yield from _walk(folder / name, prefix + name + _BETWEEN, out, seen)
