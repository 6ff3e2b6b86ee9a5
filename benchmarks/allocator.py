"""The effect of `veil.runtime.memory.keep_memory` on a network's forward and backward passes.

    python benchmarks/allocator.py --scale smoke
    python benchmarks/allocator.py --scale cpu --model CARD

Each way in fresh processes, by turns.

Cost: smoke ten seconds; cpu half a minute.
"""

import json
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmark import Benchmark, Row, print_table
from veil.models import catalog
from veil.runtime.memory import keep_memory

BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

    passes: int
    turns: int


SCALES = {"smoke": Scale(passes=2, turns=1), "cpu": Scale(passes=20, turns=3)}


def work(model: str, passes: int, way: str) -> list[float]:
    """Milliseconds a photo of each forward and backward pass, after two to warm up."""
    classifier = catalog.load(model)
    if way == "kept":
        keep_memory()
    images = torch.randn(BATCH, classifier.preprocessing.channels, *classifier.preprocessing.size)
    times = []
    for _ in range(2 + passes):
        began = time.perf_counter()
        inputs = images.clone(memory_format=torch.channels_last).requires_grad_()
        torch.autograd.grad(classifier.network(inputs).logsumexp(1).sum(), inputs)
        times.append(1000 * (time.perf_counter() - began) / BATCH)
    return times[2:]


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """The one row."""
    times: dict[str, list[float]] = {"kept": [], "returned": []}
    for _ in range(scale.turns):
        for way, measured in times.items():
            command = [sys.executable, __file__, "work", json.dumps([given.model, scale.passes, way])]
            measured += json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    yield (
        {"model": Path(given.model).stem, "batch": BATCH}
        | {f"ms_per_photo_{way}": round(median(measured), 2) for way, measured in times.items()}
        | {"ratio": round(median(times["returned"]) / median(times["kept"]), 3)}
    )


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    print_table(
        ("model", "ms a photo, memory kept", "memory returned", "returned / kept"),
        [
            (row["model"], str(row["ms_per_photo_kept"]), str(row["ms_per_photo_returned"]), f"{row['ratio']:.3f}")
            for row in rows
        ],
    )


def options(parser: ArgumentParser) -> None:
    """The network."""
    parser.add_argument("--model", default="things100", help="name or card")


BENCHMARK = Benchmark(
    name="allocator", doc=__doc__, scales=SCALES, measure=measure, show=show, options=options,
)  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        print(json.dumps(work(*json.loads(sys.argv[2]))))
    else:
        sys.exit(BENCHMARK.main())
