"""What it costs that photos are decoded where decoding can be stopped.

    python benchmarks/decoding.py --scale smoke
    python benchmarks/decoding.py --scale cpu

Folders of good images are read, encrypted (`veil encrypt`: read, written, read again) and protected (`veil protect`, a
small network), in three ways:

- ``direct``: every file decodes in the process that asks, unexamined, as Veil did before;
- ``veil``: as Veil does: files are examined, small simple ones decode here, and others in a process of their own;
- ``process``: all files decode in a process of their own.

Every run is a fresh process. The ways take turns, so that other work on the machine meets all of them; ratios are of
neighbouring turns. CPU time includes that of the other processes, their start too; where other work runs beside, it
says more than the rate. Imports, the key and a first image are not timed. README.md describes the rows.

Cost: smoke half a minute; cpu five minutes.
Expected: on small images ``veil`` at least 0.95 of ``direct``, and at most 64 MiB more memory.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
WAYS = ("direct", "veil", "process")
HEADINGS = ("job", "images", "way", "images/s", "of direct", "CPU ms an image", "direct / own", "peak MiB", "others")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Square images of one format, and the jobs that take them."""

    format: str
    side: int
    images: int
    jobs: tuple[str, ...] = ("read", "encrypt")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

    folders: tuple[Folder, ...]
    turns: int


SCALES = {
    "smoke": Scale(folders=(Folder(format="JPEG", side=64, images=8, jobs=("read",)),), turns=1),
    "cpu": Scale(
        folders=(
            Folder(format="JPEG", side=192, images=400, jobs=("read", "encrypt", "protect")),
            Folder(format="PNG", side=192, images=400),
            Folder(format="JPEG", side=3464, images=4, jobs=("read",)),
            Folder(format="TIFF", side=1024, images=20, jobs=("read",)),
        ),
        turns=5,
    ),
}


# What one process does.


def decode_directly() -> None:
    """Lets every file decode in this process, as Veil did before."""
    from veil.images import decoders, decoding

    def decoded(data: bytes, limits: Any, manner: str) -> Any:
        return getattr(decoders, manner)(data, limits.max_pixels)

    decoding._read = lambda path, limits: Path(path).read_bytes()
    decoding._decoded = decoded


def decode_elsewhere() -> None:
    """Lets no file decode in this process."""
    from veil.images import decoding

    decoding.SMALL = 0


def reading(files: Sequence[Path], out: Path) -> Callable[[], object]:
    """Reads one image after another."""
    from veil import images

    return lambda: [images.load(file).width for file in files]


def encrypting(files: Sequence[Path], out: Path) -> Callable[[], object]:
    """Encrypts a folder."""
    from veil.protections import PROTECTIONS
    from veil.protections.ciphers.folder import encrypt_folder
    from veil.protections.ciphers.keys import Key

    return partial(encrypt_folder, list(files), out, PROTECTIONS["tanaka"], Key.new())


def protecting(files: Sequence[Path], out: Path) -> Callable[[], object]:
    """Protects the first photos of a folder: few steps, so that the network does not hide what reading costs."""
    from veil.protections.noise.protector import Protector

    protector = Protector("things100", max_iterations=3, retries=0)
    return lambda: protector.protect_folder(list(files[: len(files) // 4 or 1]), out)


JOBS: dict[str, Callable[[Sequence[Path], Path], Callable[[], object]]] = {
    "read": reading, "encrypt": encrypting, "protect": protecting,
}  # fmt: skip


def work(job: str, way: str, folder: str, threads: int) -> Row:
    """Runs one job in one way; returns its time and memory."""
    import torch

    from benchmark import peak_mib
    from veil import images
    from veil.images.decoding_pool import POOL
    from veil.runtime.memory import keep_memory

    torch.set_num_threads(threads)
    keep_memory()  # as the command line of Veil does
    {"direct": decode_directly, "veil": lambda: None, "process": decode_elsewhere}[way]()
    files = sorted(Path(folder).iterdir())
    with TemporaryDirectory() as out:
        run = JOBS[job](files, Path(out) / "out")
        images.load(files[0])
        began, cpu = time.perf_counter(), time.process_time()
        run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    others = [peak_mib(process._process.pid) for process in POOL._free]
    POOL.end()
    times = os.times()
    cpu += times.children_user + times.children_system
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak_mib(), "other_mib": sum(others)}


# The contest.


def write(folder: Folder, where: Path) -> None:
    """Writes smooth, noisy pictures, as photos are."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for number in range(folder.images):
        coarse = generator.integers(0, 256, (folder.side // 8, folder.side // 8, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((folder.side, folder.side)), np.int16)
        noisy = smooth + generator.integers(-4, 5, smooth.shape)
        name = f"{number:05}.{folder.format.lower()}"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(where / name, folder.format)


def compete(folder: Folder, job: str, where: Path, turns: int, threads: int) -> Iterator[Row]:
    """A row for every way; they take turns."""
    from noise import run_process

    runs: dict[str, list[Row]] = {way: [] for way in WAYS}
    for turn in range(1, turns + 1):
        for way in WAYS:
            command: list[str | Path] = [
                sys.executable,
                HERE / "decoding.py",
                "work",
                json.dumps([job, way, str(where), threads]),
            ]
            runs[way].append(run_process(command, threads))
            said = f"turn {turn}, {job}, {folder.format} {folder.side}×{folder.side}, {way}"
            print(f"{said}: {runs[way][-1]['seconds']:.3g} s", file=sys.stderr, flush=True)
    for way in WAYS:
        yield way_row(folder, job, way, runs)


def way_row(folder: Folder, job: str, way: str, runs: dict[str, list[Row]]) -> Row:
    """Speed and memory of a way over all turns."""
    images = folder.images if job != "protect" else folder.images // 4 or 1
    rates = [images / run["seconds"] for run in runs[way]]
    pairs = list(zip(runs["direct"], runs[way], strict=True))
    ratios = [direct["seconds"] / own["seconds"] for direct, own in pairs]
    return {
        "job": job, "way": way, "format": folder.format, "width": folder.side, "height": folder.side, "images": images,
        "images_per_second": median(rates), "images_per_second_min": min(rates), "images_per_second_max": max(rates),
        "share_of_direct": median(ratios), "share_of_direct_min": min(ratios), "share_of_direct_max": max(ratios),
        "cpu_milliseconds": median(1000 * run["cpu_seconds"] / images for run in runs[way]),
        "direct_cpu_share": median(direct["cpu_seconds"] / own["cpu_seconds"] for direct, own in pairs),
        "peak_mib": median(run["peak_mib"] for run in runs[way]),
        "other_mib": median(run["other_mib"] for run in runs[way]), "turns": len(rates), "error": None,
    }  # fmt: skip


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """Rows of one folder after another."""
    for folder in scale.folders:
        with TemporaryDirectory() as where:
            write(folder, Path(where))
            for job in folder.jobs:
                yield from compete(folder, job, Path(where), scale.turns, given.threads)


def session(scale: Scale, given: Namespace) -> Row:
    """What all rows say: ``load`` is the machine's, before the run; above 1 for a core, other work ran beside."""
    return {"threads": given.threads, "load": round(os.getloadavg()[0], 2)}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    from benchmark import print_table

    lines = [
        [
            row["job"], f"{row['images']} {row['format']} of {row['width']}×{row['height']}", row["way"],
            f"{row['images_per_second']:,.3g}", f"{row['share_of_direct']:.3f}", f"{row['cpu_milliseconds']:.3g}",
            f"{row['direct_cpu_share']:.3f}", f"{row['peak_mib']:.0f}", f"{row['other_mib']:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    print_table(HEADINGS, lines)


def options(parser: ArgumentParser) -> None:
    """Options of its own."""
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every job")


def main() -> int:
    """Exit status 1 where a way failed."""
    from benchmark import Benchmark

    return Benchmark(
        name="decoding", doc=__doc__, scales=SCALES, measure=measure, show=show, options=options, session=session,
    ).main()  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        print(json.dumps(work(*json.loads(sys.argv[2]))))
    else:
        sys.exit(main())
