"""A folder job: files stream in, one output and one row each; stopping loses nothing.

The mechanism behind `veil protect`, `veil encrypt`, `veil transform` and `veil obfuscate`. It knows neither photos nor
noise: the caller brings a `Job`, whose *work* takes `Item`s and yields rows, writing each item's output (atomically)
before its row. `veil.jobs.stream` is how such works are built.

Outputs lie in the output folder, in mirrored sub-folders, and nothing else does. The rest lies in a private folder
beside it (`veil.jobs.layout`):

- ``run.json``: what the outputs depend on. A second run with other settings is refused, not mixed in. What a network's
  last bits depend on (`veil.runtime.provenance.arithmetic`) belongs to it; folders of an older Veil, whose ``run.json``
  does not say it, go on without that comparison.
- ``rows.jsonl``: a row per file, appended and flushed to disk as it is done, after its output; sorted by input when the
  run is complete.
- ``.lock``: held while a process works here.

The same command goes on where it was: files with a row, an output, and an unchanged source are skipped; files that
failed are tried again. An output whose SHA-256 is not that of its row was changed by others: the job says so, and does
the file again. A first run takes a new or empty folder only, so that no file of others is ever replaced.

What lies in both folders may have been made by others (`veil.runtime.names`): a row whose output is not below the
folder ends the job before anything is written, an output that a link would lead out of the folder is a failure, and a
file whose row is not of this job (`veil.jobs.row_formats`) is done again.

**Memory** does not grow with the number of files: their names, and where their rows lie, are in a temporary database
(`veil.jobs.database`); a row is written, counted and forgotten.

**The disk.** A row never reaches the disk before its output, whatever happens: a kill, or a power cut. To wait for the
disk for every output and again for every row takes some 5 ms, several times as long as all other work on a small
image. So a work of many small files leaves that to `run` (``synced=False``), which brings up to 256 outputs to the disk
together, and then their rows (`veil.jobs.recorder`); after a second at the latest, when the next file is done. A kill
or a power cut then has the files of about a second done again, some hundreds at most.
"""

import json
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from veil.jobs import rows
from veil.jobs.database import blob, text
from veil.jobs.job import LOCK as LOCK
from veil.jobs.job import MANIFEST as MANIFEST
from veil.jobs.job import QUIET as QUIET
from veil.jobs.job import ROWS as ROWS
from veil.jobs.job import UNFINISHED, digest_of, stamp_of
from veil.jobs.job import FolderError as FolderError
from veil.jobs.job import Item as Item
from veil.jobs.job import Job as Job
from veil.jobs.job import Run as Run
from veil.jobs.job import failure as failure
from veil.jobs.job import stamp as stamp
from veil.jobs.layout import Layout, prepare, refuse_foreign
from veil.jobs.layout import layout_of as layout_of
from veil.jobs.listing import Files
from veil.jobs.listing import find as find
from veil.jobs.listing import locate as locate
from veil.jobs.listing import refuse_in_place as refuse_in_place
from veil.jobs.locks import locked as locked
from veil.jobs.naming import OutputNames
from veil.jobs.recorder import Recorder
from veil.jobs.row_formats import FailedRow, RowFormat, RowsError
from veil.jobs.row_formats import Row as Row
from veil.jobs.row_index import RowIndex
from veil.runtime import foreign, names
from veil.runtime.files import PRIVATE_FILE, printable, write_atomically
from veil.runtime.names import UnsafeName
from veil.runtime.provenance import comparable

R = TypeVar("R")
_PAGE = 1000  # files that are taken from the database at once
_WANTED, _DONE, _REFUSED = range(3)  # what becomes of a file
_NAMED = 10  # changed outputs that are named
_CHANGES, _SHOWN = 4, 40  # settings that a message names, and characters of their values
_NOTHING = object()
RECORDED = frozenset({"fetched"})
"""Settings that are recorded and not compared: weights have fingerprints of their own."""
_OLD_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.part")


@dataclass(frozen=True)
class FolderResult(Generic[R]):
    """What a job has left in its folder. The rows stay in their file, and are read when they are asked for.

    Attributes:
        out: the folder of outputs.
        total: files that have a row.
        failed: those of them that have no output.
        passed_over: files that were none for this job.
        format: of the rows.
    """

    out: Path
    total: int
    failed: int
    passed_over: int
    format: RowFormat[R] = field(repr=False)

    @property
    def done(self) -> int:
        """Files that have an output."""
        return self.total - self.failed

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[R | FailedRow]:
        """The rows, in the order of the inputs."""
        for _, _, row in rows.stream(layout_of(self.out).rows):
            yield cast("R | FailedRow", row)


def run(inputs: Sequence[Path], out: Path, job: Job[R], run: Run) -> FolderResult[R]:
    """Works through ``inputs``, resuming what an earlier run with the same settings left in ``out``.

    Raises:
        FolderError: where nothing can be done: no input, a run with other settings, a folder in use or not writable,
            files in it that are no outputs and would be replaced, or rows in it that are not of such a job.
    """
    refuse_in_place(inputs, out)
    listing, layout = find(inputs, job.suffixes, out), layout_of(out)
    prepare(layout)
    _check_own_files(layout.private)
    with locked(layout.private, outputs=out):
        refuse_foreign(layout)  # again: another process may have come first
        first_run = not layout.manifest.exists()
        if not first_run:
            _check_manifest(layout, job.settings)
        recorder = Recorder(layout.rows, synced=job.synced)
        plan = _Plan(listing.files, layout, job, first_run=first_run)
        done = plan.prepare(recorder, run)
        if first_run:
            _write_manifest(layout.manifest, job.settings)
        if layout.old:
            _remove_old_partials(out)
        run.started(len(listing.files), done, listing.passed_over)
        try:
            with recorder, closing(job.work(plan.wanted(), run.workers)) as work:
                for item, result in chain(plan.refused(), work):
                    row = failure(item, result, job.rows.failed) if isinstance(result, Exception) else result
                    if run.keep_dates:
                        _keep_date(item, row)
                    recorder.add(item, row)
                    run.finished(row)
            recorder.sort()
        except OSError as error:
            raise FolderError(f"cannot write to {printable(out)}: {error.strerror or error}") from error
        total, failed = recorder.counts()
    return FolderResult(out, total, failed, listing.passed_over, job.rows)


class _Plan:
    """What becomes of every file: how its output is called, and whether it is done, refused, or to be done."""

    def __init__(self, files: Files, layout: Layout, job: Job[Any], *, first_run: bool) -> None:
        self.files, self.out, self.job, self.first_run = files, layout.out, job, first_run
        self.earlier = RowIndex(layout.rows)
        self.output_names = OutputNames(files.database, job.suffix, (name for _, name in files))
        self.inside = names.Resolver(layout.out)

    def prepare(self, recorder: Recorder, run: Run) -> int:
        """Looks at every file, and returns how many are done, whose rows it gives to ``recorder`` and ``run``.

        Raises:
            FolderError: where outputs would replace other files, or rows name outputs that no run can have written.
        """
        self._keep_names()
        done = 0
        notices = _Notices(run)

        def fates() -> Iterator[tuple[int, bytes, int, str | None]]:
            nonlocal done
            for number, (source, name) in enumerate(self.files):
                place = self.earlier.place(name)
                row = read(place) if place is not None else {}
                out_name = row.get("out") or self.output_names.give(name)
                item = Item(number, source, name, self.out / out_name, out_name)
                fate, reason = self._fate(item, row)
                if fate == _DONE:
                    fate = notices.look(item, row)
                if fate == _DONE and place is not None:
                    recorder.keep(number, place)
                    if run.keep_dates:
                        _keep_date(item, row)
                    run.resumed(row)
                    done += 1
                yield number, blob(out_name), fate, reason

        with self.earlier.reading() as read:
            self.files.database.run(
                "CREATE TABLE plan (number INTEGER PRIMARY KEY, out BLOB, fate INTEGER, reason TEXT)"
            )
            self.files.database.insert("INSERT INTO plan VALUES (?, ?, ?, ?)", fates())
        notices.close()
        return done

    def wanted(self) -> Iterator[Item]:
        """The files that are to be done."""
        return (item for item, _ in self._items(_WANTED))

    def refused(self) -> Iterator[tuple[Item, FolderError]]:
        """The files whose outputs would not lie in the folder, and why."""
        return ((item, FolderError(reason)) for item, reason in self._items(_REFUSED))

    def _items(self, fate: int) -> Iterator[tuple[Item, str]]:
        number = -1
        while page := list(self.files.database.rows(
            "SELECT plan.number, files.given, files.name, plan.out, plan.reason FROM plan JOIN files"
            " ON files.rowid = plan.number + 1 WHERE plan.fate = ? AND plan.number > ? ORDER BY plan.number LIMIT ?",
            fate, number, _PAGE,
        )):  # fmt: skip
            for number, given, stored, out, reason in page:
                source, name = self.files.named(given, stored)
                yield Item(number, source, name, self.out / text(out), text(out)), reason

    def _keep_names(self) -> None:
        """Reserves the names of outputs that an earlier run gave, of files that are no more, too."""
        for name, out in self.earlier.outputs():
            try:
                self.output_names.keep(out)
            except UnsafeName as error:
                raise FolderError(
                    f"{printable(self.earlier.file)}: the row of {printable(name)} names an output that cannot be "
                    f"used: {error}; remove that row, or choose another folder"
                ) from None

    def _fate(self, item: Item, row: Row) -> tuple[int, str | None]:
        """What becomes of a file, and why it is refused if it is.

        Args:
            row: that an earlier run left of it; empty where it left none.

        Raises:
            FolderError: where the output would replace the source, and in the first run any file: only later ones find
                outputs there.
        """
        try:
            self.inside.path(item.out_name)
        except UnsafeName as error:
            return _REFUSED, f"the output is not written: {error}"
        try:
            output = item.out.stat()
            if self.first_run:
                raise _in_the_way(item.out)
            source = item.source.stat()
        except OSError:  # no output, a name too long, a source that is no more: rows will say it
            return _WANTED, None
        if os.path.samestat(output, source):
            raise _in_the_way(item.out)
        is_done = (
            row.get("source") == stamp_of(source)
            and not row.get("error", "not said")
            and row.get("out") == item.out_name
            and stat.S_ISREG(output.st_mode)
            and self.job.rows.problem(row) is None
        )
        return _DONE if is_done else _WANTED, None


class _Notices:
    """Compares outputs with their rows, and says which were changed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.changed = self.unknown = 0

    def look(self, item: Item, row: Row) -> int:
        """What becomes of a file that is done by its row: done, or wanted again where its output was changed."""
        if "out_sha256" not in row:
            self.unknown += 1
            return _DONE
        try:
            same = digest_of(item.out) == row["out_sha256"]
        except OSError:  # unreadable: writing it again says why
            same = False
        if same:
            return _DONE
        self.changed += 1
        if self.changed <= _NAMED:
            self.run.noticed(f"{printable(item.out_name)} was changed since it was written; it is done again")
        return _WANTED

    def close(self) -> None:
        """Says how many there are, where not all were named."""
        if self.changed > _NAMED:
            self.run.noticed(f"{self.changed:,} outputs were changed since they were written; they are done again")
        if self.unknown:
            files = "1 output was" if self.unknown == 1 else f"{self.unknown:,} outputs were"
            self.run.noticed(f"{files} written by an older Veil, and cannot be compared with what was written then")


def read_rows(file: Path) -> list[Row]:
    """The latest row of every source, all at once: for files of which it is known that they are small.

    Raises:
        FolderError: where the file cannot be read, or a line of it is not the row of a file.
    """
    return list(RowIndex(file))


def read_checked(out: Path, format: RowFormat[R]) -> Iterator[R | FailedRow]:
    """The latest row of every source in a folder that a job has written, whether it was finished or not.

    Raises:
        FolderError: as `read_rows`, and where a row is not of this job.
    """
    index = RowIndex(layout_of(out).rows)
    for row in index:
        try:
            yield format.check(row)
        except RowsError as error:
            raise FolderError(f"{printable(index.file)}: {error}") from None


def read_manifest(out: Path) -> dict[str, Any]:
    """The settings of the run in ``out``."""
    settings: dict[str, Any] = foreign.read_json(layout_of(out).manifest)
    return settings


def _check_own_files(folder: Path) -> None:
    """Refuses to lock and to append through a link that leads out of the folder."""
    for name in (LOCK, UNFINISHED, MANIFEST, ROWS):
        try:
            names.below(folder, name)
        except UnsafeName:
            raise FolderError(f"{printable(folder / name)} is a link that leads out of the folder; remove it") from None


def _check_manifest(layout: Layout, settings: Mapping[str, Any]) -> None:
    """Refuses to go on under other settings, and says which: old → new."""
    try:
        found = foreign.read_json(layout.manifest)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise FolderError(f"{printable(layout.manifest)} cannot be read; choose another folder")
    wanted = comparable(json.loads(json.dumps(settings)), found)
    old, new = (_flat(run, without=RECORDED) for run in (found, wanted))
    if other := [name for name in {**old, **new} if old.get(name, _NOTHING) != new.get(name, _NOTHING)]:
        changes = "; ".join(f"{name} {_short(old.get(name))} → {_short(new.get(name))}" for name in other[:_CHANGES])
        more = f"; and {len(other) - _CHANGES} more" if len(other) > _CHANGES else ""
        out = printable(layout.out)
        raise FolderError(f"{out} holds a run with other settings: {printable(changes + more)}; choose another folder")


def _flat(settings: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Settings by name; those of a scheme, which are an object among them, beside the others."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in without:
            flat |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return flat


def _short(value: object) -> str:
    """A setting's value in a message."""
    if value is None or value == []:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _write_manifest(file: Path, settings: Mapping[str, Any]) -> None:
    try:
        write_atomically(file, json.dumps(settings, indent=2) + "\n", mode=PRIVATE_FILE)
    except OSError as error:
        raise FolderError(f"cannot write to {printable(file.parent)}: {error.strerror}") from None


def _remove_old_partials(folder: Path) -> None:
    """Removes what an older Veil was writing when it was killed, which has names of one form; no link is followed."""
    with suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove_old_partials(Path(entry.path))
            elif _OLD_PARTIAL.fullmatch(entry.name):
                Path(entry.path).unlink(missing_ok=True)


def _keep_date(item: Item, row: Row) -> None:
    """Gives an output its source's time of modification."""
    if row["error"]:
        return
    with suppress(OSError):  # a file system, or an owner, that does not let us
        status, modified = item.out.stat(), row["source"]["modified_ns"]
        if status.st_mtime_ns != modified:
            os.utime(item.out, ns=(status.st_atime_ns, modified))


def _in_the_way(file: Path) -> FolderError:
    return FolderError(f"{printable(file)} exists and would be replaced; choose another folder")
