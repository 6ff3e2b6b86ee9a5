"""What a folder job is made of: its files, its settings, and who is told what it does."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from veil.jobs.row_formats import Row, RowFormat, Stamp
from veil.runtime.errors import UserError
from veil.runtime.files import printable

ROWS, MANIFEST, LOCK = "rows.jsonl", "run.json", ".lock"
R = TypeVar("R")


class FolderError(UserError, ValueError):
    """The job cannot start or go on; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
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


Work = Callable[[Iterable[Item], int], Generator[tuple[Item, Row | Exception], None, None]]
"""Takes items and a number of threads; yields a row for every item, or why it failed, in any order."""


@dataclass(frozen=True, kw_only=True)
class Job(Generic[R]):
    """What a folder job does.

    Attributes:
        work: writes the outputs, and yields their rows; mostly `veil.jobs.stream.stream` with its stages.
        suffixes: of the files that are taken from folders.
        suffix: of the outputs, with its dot.
        settings: everything that the outputs depend on, as JSON.
        rows: what its rows look like.
        synced: whether ``work`` brings every output to the disk itself; else `veil.jobs.folders.run` does it, for many
            at a time. See the head of that module.
    """

    work: Work
    suffixes: frozenset[str]
    suffix: str
    settings: Mapping[str, Any]
    rows: RowFormat[R]
    synced: bool = True


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a job is run, which its outputs do not depend on.

    Attributes:
        workers: threads that read, and as many that write.
        resumed: called with every row that an earlier run left and that still counts, before ``started``.
        started: called with the number of files, how many of them are done already, and how many were passed over.
        finished: called with every new row.
    """

    workers: int = 2
    resumed: Callable[[Row], None] = lambda row: None
    started: Callable[[int, int, int], None] = lambda total, done, passed_over: None
    finished: Callable[[Row], None] = lambda row: None


QUIET = Run()
"""Two threads, and nobody is told."""


def stamp(source: Path) -> Stamp:
    """Size and modification time of a file: what tells that it is still the one that a row speaks of."""
    return stamp_of(source.stat())


def stamp_of(status: os.stat_result) -> Stamp:
    """The same, of a file whose status is known."""
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def failure(item: Item, error: Exception, fields: Mapping[str, Any]) -> Row:
    """The row of a file that failed, with its reason in one line.

    Args:
        fields: what failed rows of the job have besides.
    """
    reason = "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
    return {"file": item.name, "out": None, **fields, "error": printable(" ".join(reason.split()))}
