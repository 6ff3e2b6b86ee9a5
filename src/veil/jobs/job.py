"""The parts of a folder job: its files, what it does with them, and how it is run."""

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from veil.jobs.row_formats import Row, RowFormat, Stamp
from veil.runtime.errors import UserError
from veil.runtime.files import open_regular, printable

ROWS, MANIFEST, PAGE, LOCK, UNFINISHED = "rows.jsonl", "run.json", "report.html", ".lock", ".unfinished"
Digest = str
"""SHA-256 of an output's bytes, in hexadecimal digits. A row holds it, so that a changed output is noticed."""
R = TypeVar("R")


class FolderError(UserError, ValueError):
    """The job cannot start or go on; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a job.

    Attributes:
        number: place in the order of the inputs.
        source: where it is read.
        name: its name in rows and messages, relative to the folder that was given.
        out: where its output goes.
        out_name: the same, relative to the output folder.
    """

    number: int
    source: Path
    name: str
    out: Path
    out_name: str


Work = Callable[[Iterable[Item], int], Generator[tuple[Item, Row | Exception], None, None]]
"""Takes items and a number of threads; yields a row for every item, or the error, in any order."""


@dataclass(frozen=True, kw_only=True)
class Job(Generic[R]):
    """What a folder job does.

    Attributes:
        work: writes the outputs and yields their rows; usually `veil.jobs.stream.stream` with its stages.
        suffixes: of the files that are taken from folders.
        suffix: of the outputs, with its dot; or what gives that of a file by its name (`veil.jobs.naming`).
        settings: everything that the outputs depend on, as JSON.
        rows: format of its rows.
        synced: whether ``work`` brings every output to the disk itself; else `veil.jobs.folders.run` does it, for many
            at a time. See the head of that module.
    """

    work: Work
    suffixes: frozenset[str]
    suffix: str | Callable[[str], str]
    settings: Mapping[str, Any]
    rows: RowFormat[R]
    synced: bool = True


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a job is run. Its outputs do not depend on this.

    Attributes:
        workers: threads that read, and as many that write.
        keep_dates: whether an output gets its source's time of modification.
        resumed: called with every row of an earlier run whose file need not be done again, before ``started``.
        started: called with the number of files, how many of them are done already, and how many were passed over.
        finished: called with every new row.
        noticed: called with a line about what an earlier run left, such as an output that was changed since.
    """

    workers: int = 2
    keep_dates: bool = False
    resumed: Callable[[Row], None] = lambda row: None
    started: Callable[[int, int, int], None] = lambda total, done, passed_over: None
    finished: Callable[[Row], None] = lambda row: None
    noticed: Callable[[str], None] = lambda line: None


QUIET = Run()
"""Two threads, no callbacks."""


def stamp(source: Path) -> Stamp:
    """Size and modification time of a file. A row holds them, so that a changed source is noticed."""
    return stamp_of(source.stat())


def stamp_of(status: os.stat_result) -> Stamp:
    """The same, of a file whose status is known."""
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def digest_of(output: Path | bytes) -> Digest:
    """The digest of an output, or of the bytes that were written to it."""
    if isinstance(output, bytes):
        return hashlib.sha256(output).hexdigest()
    with open_regular(output) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def failure(item: Item, error: Exception, fields: Mapping[str, Any]) -> Row:
    """The row of a file that failed, with its reason in one line.

    Args:
        fields: further fields of the job's failed rows.
    """
    reason = "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
    return {"file": item.name, "out": None, **fields, "error": printable(" ".join(reason.split()))}
