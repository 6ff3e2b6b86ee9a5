"""Feeds all readers in turn, in one process that may crash, and keeps what failed.

Every round gives each reader a slice of the time. Where the process dies, the input that it was reading is a failure,
and a new process goes on with the rest of the slice.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from fuzzing.judging import VEIL, Outcome
from fuzzing.reader import Reader
from fuzzing.worker import PROGRESS, died

SLICE = 50.0  # seconds for a reader in a round, about
_REDUCING = 30.0  # seconds to reduce a failure, at most


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is fed: seconds for all readers together, in rounds; or a number of inputs for every reader, once."""

    seconds: float = 3600.0
    inputs: int | None = None


@dataclass
class Record:
    """What one reader did in a campaign."""

    reader: Reader
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    mebibytes: float = 0.0
    spent: float = 0.0
    failures: dict[str, Path] = field(default_factory=dict)

    def add(self, answer: dict[str, Any]) -> None:
        """Adds what a worker counted."""
        self.kinds.update(answer["kinds"])
        self.slowest, self.mebibytes = max(self.slowest, answer["seconds"]), max(self.mebibytes, answer["mebibytes"])

    def row(self) -> dict[str, Any]:
        """A row for results."""
        read, refused = self.kinds["read"], self.kinds["refused"]
        return {
            "reader": self.reader.name, "title": self.reader.title, "inputs": self.kinds.total(),
            "read": read, "refused": refused, "failed": self.kinds.total() - read - refused,
            "failures": sorted(self.failures),
            "slowest_seconds": round(self.slowest, 2), "limit_seconds": self.reader.seconds,
            "peak_mib": round(self.mebibytes, 1), "limit_mib": self.reader.mebibytes,
            "fed_seconds": round(self.spent, 1),
        }  # fmt: skip


class WorkerDied(Exception):
    """A worker ended; its exit status as `subprocess` has it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.outcome = died(-status)


class Worker:
    """A process of `fuzzing.worker`, started again when it has died.

    Args:
        folder: a new one in which it works.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def ask(self, **task: Any) -> dict[str, Any]:
        """Gives it a task, and returns its answer.

        Raises:
            WorkerDied: where it ended instead.
        """
        if self.process is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            command = [sys.executable, "-W", "ignore", "-m", "fuzzing.worker", str(self.folder)]
            paths = [str(Path(__file__).parents[1]), str(VEIL.parent), os.environ.get("PYTHONPATH", "")]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            process, self.process = self.process, None
            process.communicate()
            raise WorkerDied(process.returncode)
        answer: dict[str, Any] = json.loads(line)
        return answer


def run(
    readers: Sequence[Reader], amount: Amount, seed: int, failures: Path, say: Callable[[str], None]
) -> list[Record]:
    """Feeds the readers, and keeps what failed below ``failures``."""
    records = [Record(reader) for reader in readers]
    rounds = 1 if amount.inputs is not None else max(1, round(amount.seconds / (SLICE * len(readers))))
    part = replace(amount, seconds=amount.seconds / (rounds * len(readers)))
    with tempfile.TemporaryDirectory(prefix="veil-fuzz-") as place, Worker(Path(place) / "worker") as worker:
        for number in range(rounds):
            for record in records:
                _slice(worker, record, part, seed + number, failures)
                say(_line(record))
    return records


def _slice(worker: Worker, record: Record, part: Amount, seed: int, failures: Path) -> None:
    """One reader's part of a round. Where the worker dies, another one goes on with another seed."""
    reader, left, whole = record.reader, part.seconds, False
    started = time.monotonic()
    while left > 0 and not whole:
        began = time.monotonic()
        try:
            answer = worker.ask(do="feed", reader=reader.name, seconds=left, inputs=part.inputs, seed=seed)
            record.add(answer)
            whole = True
        except WorkerDied as end:
            answer = _left_behind(worker.folder, reader, end.outcome, record)
            left -= time.monotonic() - began
        for failure in answer["failures"]:
            data = bytes.fromhex(failure.pop("input"))
            outcome = Outcome(**failure)
            if outcome.signature not in record.failures:
                record.failures[outcome.signature] = keep(worker, reader, outcome, data, failures)
        seed += 1_000_003
    record.spent += time.monotonic() - started


def _left_behind(folder: Path, reader: Reader, outcome: Outcome, record: Record) -> dict[str, Any]:
    """What a worker that died had counted and found; the input that it was reading is one more."""
    progress, file = folder / PROGRESS, folder / reader.name / reader.file
    noted = json.loads(progress.read_text()) if progress.exists() else None
    if noted is not None:
        record.add(noted)
    record.kinds[outcome.kind] += 1
    last = file.read_bytes() if file.exists() else b""
    return {"failures": [*(noted["failures"] if noted else []), outcome.as_json() | {"input": last.hex()}]}


def keep(worker: Worker, reader: Reader, outcome: Outcome, data: bytes, failures: Path) -> Path:
    """Keeps an input that failed, and a reduced one, in a folder that says how to replay it."""
    name = f"{reader.name}-{hashlib.sha256(outcome.signature.encode()).hexdigest()[:8]}"
    place = failures / name
    place.mkdir(parents=True, exist_ok=True)
    (place / f"whole-{reader.file}").write_bytes(data)
    try:
        task = {"do": "reduce", "reader": reader.name, "input": data.hex(), "signature": outcome.signature}
        data = bytes.fromhex(worker.ask(**task, seconds=_REDUCING)["input"])
    except WorkerDied:  # what ends the process that reduces it stays as it is
        pass
    (place / reader.file).write_bytes(data)
    about = outcome.as_json() | {"reader": reader.name, "replay": f'make fuzz FUZZ="--replay {place}"'}
    (place / "failure.json").write_text(json.dumps(about, indent=2) + "\n")
    return place


def replay(place: Path, readers: dict[str, Reader]) -> Outcome:
    """What a kept input does now."""
    reader = readers[json.loads((place / "failure.json").read_text())["reader"]]
    with tempfile.TemporaryDirectory(prefix="veil-fuzz-") as folder, Worker(Path(folder) / "worker") as worker:
        try:
            return Outcome(**worker.ask(do="judge", reader=reader.name, input=(place / reader.file).read_bytes().hex()))
        except WorkerDied as end:
            return end.outcome


def _line(record: Record) -> str:
    row = record.row()
    return (
        f"{row['reader']}: {row['inputs']:,} inputs, {row['read']:,} read, {row['refused']:,} refused, "
        f"{len(row['failures'])} failures, at most {row['slowest_seconds']} s and {row['peak_mib']} MiB"
    )
