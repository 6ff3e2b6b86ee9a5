"""Commands that are killed, run out of disk, or lose power, and are given again until they are whole.

    python benchmarks/kills.py --scale smoke
    python benchmarks/kills.py --scale cpu

For every job (`kill_jobs`) once without interruption, and then: *kill*, by SIGKILL at random moments; *power cut*, at a
random rename or synchronisation, after which the disk keeps what it must keep and perhaps more (`power_cut`); *full
disk* and *read-only disk*, on a small file system in memory, which needs the rights to mount one; *two at once*, the
same command twice. After each of them the same command is given until it ends. What it leaves must be the same bytes,
and the same rows but for times, as without interruption.

Cost: smoke half a minute; cpu some ten minutes on a quiet machine.
Expected: every row has ``same`` true and no ``traceback``.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import kill_jobs
from benchmark import Benchmark, Row, print_table
from killed import Case, in_a_copy


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is done.

    Attributes:
        sizes: numbers of images.
        kills: of every job.
        cuts: of the power, of every job.
        jobs: their names.
        disks: whether full and read-only disks are tried.
    """

    sizes: kill_jobs.Sizes
    kills: int
    cuts: int
    jobs: tuple[str, ...] = tuple(kill_jobs.JOBS)
    disks: bool = True


SCALES = {
    "smoke": Scale(sizes=kill_jobs.Sizes(small=40, photos=4), kills=2, cuts=4, jobs=("encrypt",), disks=False),
    "cpu": Scale(sizes=kill_jobs.Sizes(small=10_000, photos=60), kills=8, cuts=6),
}


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """A row for every job and kind of interruption."""
    random = Random(given.seed)
    names = given.jobs.split(",") if given.jobs else scale.jobs
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="veil-kills-") as place:
        data = Path(place) / "data"
        in_a_copy(partial(kill_jobs.prepare, data, scale.sizes))
        for name in names:
            case = Case(kill_jobs.JOBS[name], data, Path(place) / name, random)
            yield {"job": name, "images": case.job.images(scale.sizes), "kind": "whole", "seconds": case.seconds}
            yield case.killed(scale.kills)
            yield case.power_cut(scale.cuts)
            yield case.two_at_once()
            if scale.disks:
                yield from case.bad_disks()


def show(rows: Sequence[Row]) -> None:
    """Prints what happened."""
    print_table(
        ("job", "kind", "interruptions", "starts", "same", "seconds", "differences"),
        [(row["job"], row["kind"], str(row.get("interruptions", "")), str(row.get("starts", "")),
          str(row.get("same", "")), f"{row['seconds']:.1f}", row.get("error") or "")
         for row in rows],
    )  # fmt: skip


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--jobs", help=f"of {', '.join(kill_jobs.JOBS)}; separated by commas")
    parser.add_argument("--folder", type=Path, help="where files are written; the temporary folder if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")


BENCHMARK = Benchmark(name="kills", doc=__doc__, scales=SCALES, measure=measure, show=show, options=_options)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
