"""A folder job: files stream in, one output and one row each; stopping loses nothing.

The mechanism behind `veil protect` and whatever else turns files into files. It knows neither photos nor noise: the
caller brings the *work*, which takes `Item`s and yields rows, writing each item's output (atomically) before its row.

What lies in the output folder besides the outputs, in their mirrored sub-folders:

- ``run.json``: what the outputs depend on. A second run with other settings is refused, not mixed in.
- ``rows.jsonl``: a row per file, appended and flushed to disk as it is done; sorted by input when the run is complete.
- ``.lock``: held while a process works here.

The same command goes on where it was: files with a row, an output, and an unchanged source are skipped; files that
failed are tried again.
"""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veil import rows

ROWS, MANIFEST, LOCK, PARTIAL = "rows.jsonl", "run.json", ".lock", ".part"
Row = dict[str, Any]


class FolderError(ValueError):
    """The job cannot start or go on; the message is one line for a person."""


@dataclass(frozen=True)
class Item:
    """One file of a job.

    Attributes:
        number: place in the order of the inputs.
        source: where it is read.
        name: how it is called in rows and messages: relative to the folder that was given.
        out: where its output goes.
        out_name: the same, relative to the output folder.
    """

    number: int
    source: Path
    name: str
    out: Path
    out_name: str


@dataclass(frozen=True)
class Listing:
    """The files that a job takes, and how many others it passed over."""

    files: tuple[tuple[Path, str], ...]
    passed_over: int


def find(inputs: Sequence[Path], suffixes: frozenset[str], out: Path) -> Listing:
    """Lists the files below ``inputs`` in a stable order, with the names that they will have.

    A file is taken whatever its suffix; in a folder only files with one of ``suffixes`` are. Hidden files and the
    output folder are left out. Links to folders are followed, each folder once. One folder's files keep their names
    relative to it; with several inputs the folder's own name comes first.

    Raises:
        FolderError: where an input does not exist.
    """
    files: list[tuple[Path, str]] = []
    passed_over = 0
    prefixes: set[str] = set()
    for given in inputs:
        if given.is_dir():
            prefix = _unused(given.resolve().name, prefixes) + "/" if len(inputs) > 1 else ""
            for path in _walk(given, out.resolve(), set()):
                if path.suffix.lower() in suffixes:
                    files.append((path, prefix + path.relative_to(given).as_posix()))
                else:
                    passed_over += 1
        elif given.is_symlink() or given.exists():
            files.append((given, given.name))
        else:
            raise FolderError(f"there is no {printable(given)}")
    return Listing(tuple(files), passed_over)


def _unused(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate.casefold() in taken:
        candidate, number = f"{name}-{number}", number + 1
    taken.add(candidate.casefold())
    return candidate


def _walk(folder: Path, out: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen or folder.resolve() == out:
        return
    seen.add((status.st_dev, status.st_ino))
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise FolderError(f"{printable(folder)} cannot be listed: {error.strerror}") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, out, seen)
        else:
            yield entry


def name_outputs(files: Sequence[tuple[Path, str]], out: Path, suffix: str, taken: Mapping[str, str]) -> list[Item]:
    """Gives every file an output name of its own, below ``out``, with ``suffix``.

    ``a.jpg`` becomes ``a.png``; where that name is wanted twice in a folder (letter case aside), each such file keeps
    its own
    suffix too: ``a.jpg.png``, ``a.webp.png``. ``taken`` holds the names that an earlier run gave; they stay.
    """
    plain = [Path(name).with_suffix(suffix).as_posix() for _, name in files]
    wanted = Counter(name.casefold() for name in plain)
    used = {name.casefold() for name in taken.values()} | {ROWS, MANIFEST, "report.html"}
    items = []
    for number, ((source, name), short) in enumerate(zip(files, plain, strict=True)):
        chosen = taken.get(name)
        if chosen is None:
            chosen = short if wanted[short.casefold()] == 1 else name + suffix
            stem, count = chosen.removesuffix(suffix), 1
            while chosen.casefold() in used:
                count += 1
                chosen = f"{stem}-{count}{suffix}"
            used.add(chosen.casefold())
        items.append(Item(number, source, name, out / chosen, chosen))
    return items


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Holds the output folder for this process; the system lets go when the process dies.

    Raises:
        FolderError: where another process holds it, or the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / LOCK).open("w")
    except OSError as error:
        raise FolderError(f"cannot write to {printable(out)}: {error.strerror}") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderError(f"another process is working in {printable(out)}") from None
        yield


def read_rows(file: Path) -> list[Row]:
    """The rows of a file, the latest of each ``file`` only; a last line cut off by a crash does not count."""
    return list({row["file"]: row for row in rows.read(file)}.values())


def stamp(source: Path) -> dict[str, int]:
    """Size and modification time of a file: what tells that it is still the one that a row speaks of."""
    status = source.stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def run(
    inputs: Sequence[Path],
    out: Path,
    work: Callable[[Iterable[Item]], Iterator[tuple[Item, Row]]],
    *,
    suffixes: frozenset[str],
    suffix: str,
    settings: Mapping[str, Any],
    started: Callable[[int, Sequence[Row], int], None] = lambda total, done, passed_over: None,
    finished: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Works through ``inputs``, resuming what an earlier run with the same ``settings`` left in ``out``.

    Args:
        work: yields a row for every item, in any order; ``error`` in a row says that it failed.
        suffixes: of the files that are taken from folders.
        suffix: of the outputs, with its dot.
        settings: everything that the outputs depend on, as JSON.
        started: called with the number of files, the rows that are already there, and how many files were passed over.
        finished: called with each new row.

    Returns:
        All rows, in the order of the inputs.

    Raises:
        FolderError: where nothing can be done: no input, a run with other settings, a folder in use or not writable.
    """
    listing = find(inputs, suffixes, out)
    if not listing.files:
        raise FolderError("no photos found in " + ", ".join(printable(path) for path in inputs))
    with locked(out):
        _check_manifest(out / MANIFEST, settings)
        for rest in out.rglob(f".*{PARTIAL}"):
            rest.unlink(missing_ok=True)
        earlier = {row["file"]: row for row in read_rows(out / ROWS)}
        taken = {name: row["out"] for name, row in earlier.items() if row.get("out")}
        items = name_outputs(listing.files, out, suffix, taken)
        done = {item.name: earlier[item.name] for item in items if _is_done(item, earlier.get(item.name))}
        started(len(items), list(done.values()), listing.passed_over)
        known = dict(done)
        try:
            with rows.open_to_append(out / ROWS) as file:
                for item, row in work(item for item in items if item.name not in done):
                    known[item.name] = row
                    rows.append(file, row)
                    finished(row)
            ordered = [known[item.name] for item in items if item.name in known]
            write_atomically(out / ROWS, "".join(json.dumps(row) + "\n" for row in ordered))
        except OSError as error:
            raise FolderError(f"cannot write to {printable(out)}: {error.strerror or error}") from error
    return ordered


def read_manifest(out: Path) -> dict[str, Any]:
    """The settings of the run in ``out``."""
    found: dict[str, Any] = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    return found


def _check_manifest(file: Path, settings: Mapping[str, Any]) -> None:
    wanted = json.loads(json.dumps(settings))
    if file.exists():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            found = None
        if found != wanted:
            found = found if isinstance(found, dict) else {}
            other = [key for key in wanted if found.get(key) != wanted[key]] or ["unknown"]
            raise FolderError(
                f"{printable(file.parent)} holds a run with other settings ({', '.join(other)}); choose another folder"
            )
    else:
        try:
            write_atomically(file, json.dumps(wanted, indent=2) + "\n")
        except OSError as error:
            raise FolderError(f"cannot write to {printable(file.parent)}: {error.strerror}") from None


def _is_done(item: Item, row: Row | None) -> bool:
    if row is None or row.get("error") or not item.out.is_file():
        return False
    try:
        return bool(row.get("source") == stamp(item.source))
    except OSError:
        return False


def write_atomically(file: Path, content: str | bytes) -> None:
    """Writes a file that is either whole or not there; text as UTF-8."""
    partial = file.with_name(f".{file.name}{PARTIAL}")
    with partial.open("wb") as handle:
        handle.write(content.encode() if isinstance(content, str) else content)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(file)


def printable(path: Path | str) -> str:
    """A path as text that can be shown anywhere: what is not printable is escaped."""
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
