"""The speed of Veil's ciphers, compared with scramblekit and with a plain copy of the same bytes.

    python benchmarks/encryption.py --scale smoke
    python benchmarks/encryption.py --scale cpu

The images are random uint8 images in memory, in the fastest layout of each library. Each contender runs in a fresh
process, several times in turn with the others; keys, warm-up and the choice of scramblekit's batch are not timed.
README.md beside this file describes the rows.

Cost: smoke ten seconds; cpu three minutes.
Expected: at least a tenth of a plain copy's bandwidth, and 30 times scramblekit.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
COPY = "copy"
RIVALS = {name: f"scramblekit {name}" for name in ("tanaka", "pixel-same", "pixel-different")}
CONTENDERS = (*RIVALS, COPY, *RIVALS.values())
BATCHES = (1, 10, 100, 1000)
HEADINGS = ("contender", "images", "images/s", "GB/s", "× scramblekit", "1 / copy")

Row = dict[str, Any]  # as benchmark.Row, which contenders need not have
Run = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Size:
    """Square images; ``peers`` of them are enough for scramblekit, which is slow."""

    side: int
    images: int
    peers: int


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured; ``seconds`` is the least time of a contender in its turn."""

    sizes: tuple[Size, ...]
    seconds: float
    repetitions: int


SCALES = {
    "smoke": Scale(sizes=(Size(side=32, images=200, peers=20),), seconds=0.02, repetitions=1),
    "cpu": Scale(
        sizes=(Size(side=32, images=10_000, peers=2_000), Size(side=1024, images=200, peers=10)),
        seconds=0.5,
        repetitions=3,
    ),
}


# What one process does. It imports only what its contender needs: scramblekit's environment need not have the rest.


def veil(contender: str, side: int, images: int, threads: int) -> tuple[Run, int]:
    """Encrypts, or copies, all images at once."""
    import torch

    from veil.protections import PROTECTIONS
    from veil.protections.ciphers.keys import Key

    torch.set_num_threads(threads)
    batch = torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8)
    if contender == COPY:
        return batch.clone, images
    row = PROTECTIONS[contender]
    protect = row.build(Key.new() if row.takes_key else None)
    return lambda: protect(batch), images


def scramblekit(contender: str, side: int, images: int, threads: int) -> tuple[Run, int]:
    """Encrypts in batches of the size that is fastest here."""
    import numpy as np

    schemes = import_module("scramblekit.scramble")
    ciphers = {
        RIVALS["tanaka"]: lambda: schemes.LE(key=0),
        RIVALS["pixel-same"]: lambda: schemes.PE(key=0, image_size=side, channel_mode="permutation"),
        RIVALS["pixel-different"]: lambda: schemes.RandomPE(channel_shuffle=True),
    }
    cipher = ciphers[contender]()
    batch = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), dtype=np.uint8)

    def run(number: int, together: int) -> None:
        for first in range(0, number, together):
            cipher(batch[first : min(first + together, number)])

    possible = [together for together in BATCHES if together <= images]
    sample = min(images, 100)
    best = min(
        possible, key=lambda together: timed(lambda: run(max(sample, together), together)) / max(sample, together)
    )
    return lambda: run(images, best), best


def timed(run: Run) -> float:
    """Seconds of wall-clock time."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def work(contender: str, side: int, images: int, seconds: float, threads: int) -> Row:
    """Warms up, runs at least once and for ``seconds``, and returns how long one run took."""
    rival = contender in RIVALS.values()
    run, batch = (scramblekit if rival else veil)(contender, side, images, threads)
    run()
    passes, spent = 0, 0.0
    while not passes or spent < seconds:
        spent += timed(run)
        passes += 1
    distribution = "scramblekit" if rival else "torch" if contender == COPY else "veil"
    return {"seconds": spent / passes, "batch": batch, "version": version(distribution)}


# The contest.


def one_turn(contender: str, size: Size, scale: Scale, peers: Path, threads: int) -> Row:
    """Runs one contender once.

    Raises:
        Absent: where it cannot run here.
        RuntimeError: where it failed.
    """
    from noise import Absent, run_process

    rival = contender in RIVALS.values()
    if rival and not peers.is_file():
        raise Absent(f"the peers have no environment at {peers}; `make bench` creates it")
    images = size.peers if rival else size.images
    arguments = [contender, size.side, images, scale.seconds, threads]
    command = [peers if rival else sys.executable, HERE / "encryption.py", "work", json.dumps(arguments)]
    return run_process(command, threads)


def compete(size: Size, scale: Scale, peers: Path, threads: int) -> list[Row]:
    """Rows of all contenders for one size of images; they take turns."""
    from noise import Absent

    runs: dict[str, list[Row]] = {name: [] for name in CONTENDERS}
    endings: dict[str, Row] = {}
    for turn in range(1, scale.repetitions + 1):
        for name in (name for name in CONTENDERS if name not in endings):
            try:
                runs[name].append(one_turn(name, size, scale, peers, threads))
            except Absent as reason:
                endings[name] = {"skipped": str(reason)}
            except RuntimeError as reason:
                endings[name] = {"error": str(reason)}
            result = endings[name] if name in endings else f"{runs[name][-1]['seconds']:.3g} s"
            print(f"turn {turn}, {name}, {size.side}×{size.side}: {result}", file=sys.stderr, flush=True)
    rows = [contender_row(name, size, runs[name]) | endings.get(name, {}) for name in CONTENDERS]
    return list(with_ratios(rows))


def contender_row(name: str, size: Size, runs: Sequence[Row]) -> Row:
    """Speed over all turns."""
    images = size.peers if name in RIVALS.values() else size.images
    rates = [images / run["seconds"] for run in runs]
    middle = median(rates) if rates else None
    last = runs[-1] if runs else {}
    return {
        "contender": name,
        "width": size.side,
        "height": size.side,
        "images": images,
        "batch": last.get("batch"),
        "images_per_second": middle,
        "images_per_second_min": min(rates, default=None),
        "images_per_second_max": max(rates, default=None),
        "gigabytes_per_second": middle and middle * 3 * size.side**2 / 1e9,
        "repetitions": len(runs),
        "version": last.get("version"),
        "skipped": None,
        "error": None,
    }


def with_ratios(rows: Sequence[Row]) -> Iterator[Row]:
    """Adds a cipher's speed relative to scramblekit and to a plain copy."""
    rates = {row["contender"]: row["images_per_second"] for row in rows}
    for row in rows:
        rate, rival, copy = row["images_per_second"], rates.get(RIVALS.get(row["contender"], "")), rates[COPY]
        times = rate / rival if rate and rival else None
        yield row | {"times_scramblekit": times, "share_of_copy": rate / copy if rate and copy else None}


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """Rows of all contenders, for one size of images after another."""
    for size in scale.sizes:
        yield from compete(size, scale, given.peers, given.threads)


def session(scale: Scale, given: Namespace) -> Row:
    """What all rows say."""
    return {"threads": given.threads}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    from benchmark import print_table

    lines = []
    for row in rows:
        cells = [row["contender"], f"{row['images']} of {row['width']}×{row['height']}"]
        if row["images_per_second"] is None:
            cells.append("skipped" if row["skipped"] else "failed")
        else:
            cells += [f"{row['images_per_second']:,.0f}", f"{row['gigabytes_per_second']:.3g}"]
            cells.append(f"{row['times_scramblekit']:.1f}" if row["times_scramblekit"] else "")
            cells.append(f"{1 / row['share_of_copy']:.1f}" if row["share_of_copy"] else "")
        lines.append(cells)
    print_table(HEADINGS, lines)


def options(parser: ArgumentParser) -> None:
    """Options of its own."""
    from noise import BENCH_PYTHON

    parser.add_argument("--peers", type=Path, default=BENCH_PYTHON, help="Python of the peers' environment")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every contender")


def main() -> int:
    """Exit status 1 where a contender failed."""
    from benchmark import Benchmark

    return Benchmark(
        name="encryption", doc=__doc__, scales=SCALES, measure=measure, show=show, options=options, session=session,
    ).main()  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        print(json.dumps(work(*json.loads(sys.argv[2]))))
    else:
        sys.exit(main())
