"""A folder job: files stream in, one output and one row each; stopping loses nothing.

The mechanism behind `veil protect`, `veil encrypt` and `veil decrypt`. It knows neither photos nor noise: the caller
brings the *work*, which takes `Item`s and yields rows, writing each item's output (atomically) before its row. `ahead`,
`in_threads` and `failure` are what such works are made of.

What lies in the output folder besides the outputs, in their mirrored sub-folders:

- ``run.json``: what the outputs depend on. A second run with other settings is refused, not mixed in.
- ``rows.jsonl``: a row per file, appended and flushed to disk as it is done, after its output; sorted by input when the
  run is complete.
- ``.lock``: held while a process works here.

The same command goes on where it was: files with a row, an output, and an unchanged source are skipped; files that
failed are tried again. A file that was there before the first run is never replaced.

What lies in the output folder may have been made by others (`veil.runtime.names`): a row whose output is not below the
folder ends the job before anything is written, and an output that a link would lead out of the folder is a failure.

**The disk.** A row never reaches the disk before its output, whatever happens: a kill, or a power cut. To wait for the
disk for every output and again for every row takes some 5 ms, several times as long as all other work on a small image.
So a work of many small files leaves that to `run` (``synced=False``), which brings up to `_AT_ONCE` outputs to the disk
together, and then their rows; after a second at the latest, when the next file is done. A kill or a power cut then has
the files of about a second done again, some hundreds at most.
"""

import fcntl
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from veil.jobs import rows
from veil.runtime import names
from veil.runtime.files import PARTIAL, printable, write_atomically
from veil.runtime.names import UnsafeName

ROWS, MANIFEST, LOCK = "rows.jsonl", "run.json", ".lock"
Row = dict[str, Any]
Result = TypeVar("Result")

_AT_ONCE, _SECONDS = 256, 1.0  # rows that wait for their outputs to reach the disk, and how long
_SYNCING = 8  # threads that wait for the disk: it takes many small files at once far faster than one by one
_DEPTH = 64  # files in work, or done and waiting for the first of them


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
    relative to it; with several inputs the folder's own name comes first, as it does for files of one name.

    Raises:
        FolderError: where an input does not exist, or there is no file at all.
    """
    files: list[tuple[Path, str]] = []
    passed_over = 0
    prefixes: set[str] = set()
    given_names = Counter(given.name for given in inputs if not given.is_dir())
    for given in inputs:
        if given.is_dir():
            prefix = _unused(given.resolve().name, prefixes) + "/" if len(inputs) > 1 else ""
            for path in _walk(given, out.resolve(), set()):
                if path.suffix.lower() in suffixes:
                    files.append((path, prefix + path.relative_to(given).as_posix()))
                elif path.name not in (ROWS, MANIFEST):
                    passed_over += 1
        elif given.is_symlink() or given.exists():
            alone = given_names[given.name] == 1
            prefix = "" if alone else _unused(given.absolute().parent.resolve().name, prefixes) + "/"
            files.append((given, prefix + given.name))
        else:
            raise FolderError(f"there is no {printable(given)}")
    if not files:
        raise FolderError("no photos found in " + ", ".join(printable(path) for path in inputs))
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
    suffix too: ``a.jpg.png``, ``a.webp.png``. ``taken`` holds the names that an earlier run gave; they stay. No name
    holds a control character (`veil.runtime.names.plain`).
    """
    plain = [Path(names.plain(name)).with_suffix(suffix).as_posix() for _, name in files]
    wanted = Counter(name.casefold() for name in plain)
    used = {name.casefold() for name in taken.values()} | {ROWS, MANIFEST, "report.html"}
    items = []
    for number, ((source, name), short) in enumerate(zip(files, plain, strict=True)):
        chosen = taken.get(name)
        if chosen is None:
            chosen = short if wanted[short.casefold()] == 1 else names.plain(name) + suffix
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
    """The rows of a file, the latest of each ``file`` only; a last line cut off by a crash does not count.

    Raises:
        FolderError: where the file cannot be read, or a line of it is not the row of a file.
    """
    try:
        found = rows.read(file)
    except OSError as error:
        raise FolderError(f"{printable(file)} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise FolderError(printable(str(error))) from None
    for row in found:
        if not isinstance(row.get("file"), str):
            raise FolderError(f"a row of {printable(file)} names no file; remove that row, or choose another folder")
    return list({row["file"]: row for row in found}.values())


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
    synced: bool = True,
    failed: Mapping[str, Any] | None = None,
    started: Callable[[int, Sequence[Row], int], None] = lambda total, done, passed_over: None,
    finished: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Works through ``inputs``, resuming what an earlier run with the same ``settings`` left in ``out``.

    Args:
        work: yields a row for every item, in any order; ``error`` in a row says that it failed.
        suffixes: of the files that are taken from folders.
        suffix: of the outputs, with its dot.
        settings: everything that the outputs depend on, as JSON.
        synced: whether ``work`` brings every output to the disk itself; else this does it, for many at a time. See the
            head of this module.
        failed: fields that a failed row of this job has besides those of `failure`.
        started: called with the number of files, the rows that are already there, and how many files were passed over.
        finished: called with each new row.

    Returns:
        All rows, in the order of the inputs.

    Raises:
        FolderError: where nothing can be done: no input, a run with other settings, a folder in use or not writable,
            files in it that are no outputs and would be replaced, or rows in it that are not of such a job.
    """
    listing = find(inputs, suffixes, out)
    _check_own_files(out)
    with locked(out):
        first_run = not (out / MANIFEST).exists()
        if not first_run:
            _check_manifest(out / MANIFEST, settings)
        earlier = {} if first_run else {row["file"]: row for row in read_rows(out / ROWS)}
        items = name_outputs(listing.files, out, suffix, _taken(earlier, out / ROWS, suffix))
        refused = list(_leaving(items, out, failed or {}))
        left_out = {item.name for item, _ in refused}
        wanted = [item for item in items if item.name not in left_out]
        _check_free(wanted, out, first_run)
        if first_run:
            _write_manifest(out / MANIFEST, settings)
        for rest in out.rglob(f".*{PARTIAL}"):
            rest.unlink(missing_ok=True)
        done = {item.name: earlier[item.name] for item in wanted if _is_done(item, earlier.get(item.name))}
        started(len(items), list(done.values()), listing.passed_over)
        known = dict(done)
        try:
            with _Recorder(out / ROWS, synced=synced) as recorder:
                for item, row in chain(refused, work(item for item in wanted if item.name not in done)):
                    known[item.name] = row
                    recorder.add(item, row)
                    finished(row)
            ordered = [known[item.name] for item in items if item.name in known]
            write_atomically(out / ROWS, "".join(json.dumps(row) + "\n" for row in ordered))
        except OSError as error:
            raise FolderError(f"cannot write to {printable(out)}: {error.strerror or error}") from error
    return ordered


def _check_own_files(out: Path) -> None:
    """Refuses to lock and to append through a link that leads out of the folder."""
    for name in (LOCK, MANIFEST, ROWS):
        try:
            names.below(out, name)
        except UnsafeName:
            raise FolderError(f"{printable(out / name)} is a link that leads out of the folder; remove it") from None


def _taken(earlier: Mapping[str, Row], file: Path, suffix: str) -> dict[str, str]:
    """The names of outputs by the names of their inputs, as the rows of an earlier run in ``file`` have them.

    Raises:
        FolderError: for a name that no run can have given: not below the folder, with another suffix, or given twice.
    """
    taken: dict[str, str] = {}
    used: set[str] = set()
    for name, row in earlier.items():
        if row.get("out") is None:
            continue
        try:
            out = names.checked(row["out"])
            if not out.endswith(suffix):
                raise UnsafeName(f"{out!r} does not end in {suffix}")
            if out.casefold() in used:
                raise UnsafeName(f"{out!r} belongs to another row")
        except UnsafeName as error:
            raise FolderError(
                f"{printable(file)}: the row of {printable(name)} names an output that cannot be used: {error}; "
                "remove that row, or choose another folder"
            ) from None
        taken[name] = out
        used.add(out.casefold())
    return taken


def _leaving(items: Iterable[Item], out: Path, failed: Mapping[str, Any]) -> Iterator[tuple[Item, Row]]:
    """The items whose outputs would not lie in the folder, with their rows."""
    inside = names.Resolver(out)
    for item in items:
        try:
            inside.path(item.out_name)
        except UnsafeName as error:
            yield item, failure(item, FolderError(f"the output is not written: {error}"), **failed)


class _Recorder(AbstractContextManager["_Recorder"]):
    """Appends rows to their file, each behind its output; what waits is written however the work ends."""

    def __init__(self, file: Path, *, synced: bool) -> None:
        self.handle = rows.open_to_append(file)
        self.synced = synced
        self.waiting: list[tuple[Item, Row]] = []
        self.written = time.monotonic()

    def __exit__(self, *_: object) -> None:
        with self.handle:
            self._write()

    def add(self, item: Item, row: Row) -> None:
        self.waiting.append((item, row))
        if self.synced or len(self.waiting) == _AT_ONCE or time.monotonic() - self.written > _SECONDS:
            self._write()

    def _write(self) -> None:
        if self.waiting and not self.synced:
            _bring_to_disk([item.out for item, row in self.waiting if not row["error"]])
        rows.append(self.handle, *(row for _, row in self.waiting))
        self.waiting.clear()
        self.written = time.monotonic()


def _bring_to_disk(files: Sequence[Path]) -> None:
    """Waits until files and their names are on the disk."""
    with ThreadPoolExecutor(_SYNCING) as pool:
        list(pool.map(_sync, files))
    for folder in {file.parent for file in files}:
        with suppress(OSError):  # a file system without that for folders
            _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ahead(
    items: Iterable[Item], do: Callable[[Item], Result], pool: ThreadPoolExecutor, depth: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Has ``do`` done to each item in a thread, in order; ``depth`` items are on their way while one is taken."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(do, item)))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


def in_threads(
    items: Iterable[Item], do: Callable[[Item], Row], *, fails: tuple[type[Exception], ...], workers: int
) -> Iterator[tuple[Item, Row]]:
    """The work of a job where one call does everything to a file: reads it, writes its output and returns its row.

    Args:
        fails: what ``do`` raises where a file is at fault, which becomes its row; anything else ends the job.
        workers: number of threads.
    """

    def row(item: Item) -> Row:
        try:
            return do(item)
        except fails as error:
            return failure(item, error)

    pool = ThreadPoolExecutor(workers)
    try:
        for item, future in ahead(items, row, pool, _DEPTH):
            yield item, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def failure(item: Item, error: Exception, **fields: Any) -> Row:
    """The row of a file that failed, with its reason in one line, and ``fields`` that all rows of the job have."""
    reason = "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
    return {"file": item.name, "out": None, **fields, "error": printable(" ".join(reason.split()))}


def read_manifest(out: Path) -> dict[str, Any]:
    """The settings of the run in ``out``."""
    found: dict[str, Any] = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    return found


def _check_manifest(file: Path, settings: Mapping[str, Any]) -> None:
    wanted = json.loads(json.dumps(settings))
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if found != wanted:
        found = found if isinstance(found, dict) else {}
        other = [key for key in wanted if found.get(key) != wanted[key]] or ["unknown"]
        raise FolderError(
            f"{printable(file.parent)} holds a run with other settings ({', '.join(other)}); choose another folder"
        )


def _write_manifest(file: Path, settings: Mapping[str, Any]) -> None:
    try:
        write_atomically(file, json.dumps(settings, indent=2) + "\n")
    except OSError as error:
        raise FolderError(f"cannot write to {printable(file.parent)}: {error.strerror}") from None


def _check_free(items: Iterable[Item], out: Path, first_run: bool) -> None:
    """Refuses to replace a source, and in the first run any file: only later ones find outputs there."""
    in_the_way = [out / ROWS] if first_run and (out / ROWS).exists() else []
    for item in items:
        with suppress(OSError):  # a name too long, a source that is no more: rows will say it
            if item.out.exists() and (first_run or item.out.samefile(item.source)):
                in_the_way.append(item.out)
    if in_the_way:
        raise FolderError(f"{printable(in_the_way[0])} exists and would be replaced; choose another folder")


def _is_done(item: Item, row: Row | None) -> bool:
    if row is None or row.get("error", "not said") or row.get("out") != item.out_name:
        return False
    try:
        return item.out.is_file() and bool(row.get("source") == stamp(item.source))
    except OSError:
        return False
