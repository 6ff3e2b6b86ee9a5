"""A process that feeds readers, and may crash: ``python -m fuzzing.worker FOLDER``, which a campaign starts.

It takes one task a line from its standard input and answers each in one line. The input that is being read lies in
``FOLDER/<reader>/``, and what was counted so far in ``FOLDER/progress.json``: if the process dies, the campaign finds
both.
"""

import faulthandler
import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.judging import Limits, Outcome, judge, restrain
from fuzzing.minimise import minimised
from fuzzing.mutators import Mutator, mutated
from fuzzing.readers import READERS, Prepared, Reader
from fuzzing.structures import STRUCTURES

PROGRESS = "progress.json"
_POOL = 300  # inputs that took a way of their own and are changed further
_NOTED = 64  # inputs after which what was counted is noted


@dataclass
class Tally:
    """What was counted: inputs by kind of outcome, and the most that one took."""

    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    mebibytes: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts one input."""
        self.kinds[outcome.kind] += 1
        self.seconds = max(self.seconds, outcome.seconds)
        self.mebibytes = max(self.mebibytes, outcome.mebibytes)

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return {"kinds": dict(self.kinds), "seconds": self.seconds, "mebibytes": self.mebibytes}


class Bench:
    """Readers as they are prepared in this process, each in a folder of its own.

    Args:
        folder: of all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prepared: dict[str, Prepared] = {}

    def prepare(self, reader: Reader) -> Prepared:
        """The reader, ready. It has read all seeds: what it imports for them is not counted as memory of an input."""
        if reader.name not in self._prepared:
            place = self.folder / reader.name
            place.mkdir()
            prepared = reader.prepare(place)
            for data, _ in reader.corpus(STRUCTURES):
                (place / reader.file).write_bytes(data)
                with suppress(*prepared.refusals):
                    prepared.read(place / reader.file)
            self._prepared[reader.name] = prepared
        return self._prepared[reader.name]

    def judge(self, reader: Reader, data: bytes) -> Outcome:
        """What a reader does with these bytes, in this process."""
        prepared, file = self.prepare(reader), self.folder / reader.name / reader.file
        file.write_bytes(data)
        limits = Limits(seconds=reader.seconds, mebibytes=reader.mebibytes)
        return judge(prepared.read, file, prepared.refusals, limits)

    def judge_apart(self, reader: Reader, data: bytes) -> Outcome:
        """The same in a copy of this process, which may die."""
        self.prepare(reader)
        into, out = os.pipe()
        if (child := os.fork()) == 0:
            faulthandler.disable()  # of a test runner: that it crashes is what is looked for
            os.write(out, json.dumps(self.judge(reader, data).as_json()).encode())
            os._exit(0)
        os.close(out)
        with os.fdopen(into, "rb") as said:
            text = said.read()
        _, status = os.waitpid(child, 0)
        return Outcome(**json.loads(text)) if text else died(-os.waitstatus_to_exitcode(status))


def died(number: int) -> Outcome:
    """The outcome of an input that ended its process by a signal, or by an exit (negative)."""
    from fuzzing.judging import BEYOND

    name = signal.Signals(number).name if number > 0 else f"exit status {-number}"
    return Outcome(kind=BEYOND.get(number, "crash") if number > 0 else "crash", error=name)  # type: ignore[call-overload]


def feed(bench: Bench, reader: Reader, seed: int, seconds: float, inputs: int | None = None) -> dict[str, Any]:
    """Feeds mutated seeds for some seconds, or as many as ``inputs`` says.

    Every seed is read as it is first, and must not fail.
    """
    bench.prepare(reader)
    random, tally, failures = Random(seed), Tally(), {}
    pool: list[tuple[bytes, Mutator | None]] = reader.corpus(STRUCTURES)
    whole, paths = [data for data, _ in pool], set[str]()
    untouched, until = iter(list(pool)), time.monotonic() + seconds
    while time.monotonic() < until if inputs is None else tally.kinds.total() < inputs:
        data, structure = next(untouched, (None, None))
        if data is None:
            data, structure = random.choice(pool)
            data = mutated(data, structure, random, whole)
        outcome = bench.judge(reader, data)
        tally.add(outcome)
        if outcome.failed and outcome.signature not in failures:
            failures[outcome.signature] = outcome.as_json() | {"input": data.hex()}
        elif outcome.path not in paths and len(data) < reader.longest:
            paths.add(outcome.path)
            pool.append((data, structure))
            if len(pool) > _POOL:
                del pool[random.randrange(len(whole), len(pool))]
        if tally.kinds.total() % _NOTED == 0:
            (bench.folder / PROGRESS).write_text(json.dumps(tally.as_json() | {"failures": list(failures.values())}))
    return tally.as_json() | {"failures": list(failures.values())}


def reduce(bench: Bench, reader: Reader, data: bytes, signature: str, seconds: float) -> bytes:
    """The smallest input that was found to fail in the same way."""
    apart = signature.split()[0] not in ("exception", "message")
    judged = bench.judge_apart if apart else bench.judge
    return minimised(data, lambda fewer: judged(reader, fewer).signature == signature, seconds)


def main() -> None:
    """Answers tasks until there are no more."""
    bench = Bench(Path(sys.argv[1]))
    said, sys.stdout = sys.stdout, sys.stderr  # readers may print
    restrain()
    for line in sys.stdin:
        task = json.loads(line)
        reader = READERS[task["reader"]]
        match task["do"]:
            case "feed":
                answer = feed(bench, reader, task["seed"], task["seconds"], task["inputs"])
            case "reduce":
                data = reduce(bench, reader, bytes.fromhex(task["input"]), task["signature"], task["seconds"])
                answer = {"input": data.hex()}
            case _:
                answer = bench.judge_apart(reader, bytes.fromhex(task["input"])).as_json()
        said.write(json.dumps(answer) + "\n")
        said.flush()


if __name__ == "__main__":
    main()
