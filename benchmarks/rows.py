"""Memory and time of a folder job, its summary and its page, beside the number of its rows.

    python benchmarks/rows.py --scale smoke
    python benchmarks/rows.py --scale cpu

The work is made up: empty files, and rows of `veil protect` with one network. In processes of their own: `first run`, a
job over all files; `resume`, the same once more, when all of them are done; `page`, the summary and the report of its
rows; `by output`, a row looked up for every hundredth output, as decryption does. Memory is the most that the process
held, imports included.

Cost: smoke ten seconds; cpu half an hour, two million files and 5 GB in the temporary folder.
Expected: less than 300 MiB, however many rows there are.
"""

import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import Benchmark, Row, peak_mib, print_table

IN_A_FOLDER = 2_000
NETWORK = {
    "network": "net", "role": "descent", "true_class": 0, "class_before": 0, "score_before": 0.5, "score_after": 0.995,
    "icp_before": 0.5, "icp_after": 0.002, "ice_before": 1.5, "ice_after": 0.25, "rank_after": 4,
    "true_class_name": "coot, marsh hen", "class_before_name": "coot, marsh hen", "class_after_name": "clog, geta",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How many rows, in one folder after another."""

    rows: tuple[int, ...]


SCALES = {"smoke": Scale(rows=(500, 2_000)), "cpu": Scale(rows=(10_000, 1_000_000))}


# What one process does. It imports only what its stage needs.


def job(folder: Path) -> None:
    """A folder job whose work is nothing but its rows and empty outputs."""
    from veil.jobs import folders
    from veil.jobs.folders import Item, Job, Run
    from veil.protections.noise.rows import PROTECTED_ROWS

    def work(items: Iterable[Item], workers: int) -> Generator[tuple[Item, Row], None, None]:
        existing: set[Path] = set()
        for item in items:
            if item.out.parent not in existing:
                item.out.parent.mkdir(parents=True, exist_ok=True)
                existing.add(item.out.parent)
            item.out.touch()
            yield item, row_of(item.number, item.name, item.out_name) | {"source": folders.stamp(item.source)}

    made_up = Job(
        work=work, suffixes=frozenset({".jpg"}), suffix=".png", settings={"made": "up"}, rows=PROTECTED_ROWS,
        synced=False,
    )  # fmt: skip
    seen: list[None] = []
    run = Run(resumed=lambda row: seen.append(None), finished=lambda row: None)
    result = folders.run([folder / "in"], folder / "out", made_up, run)
    assert result.failed == 0
    assert len(seen) in (0, result.total)


def page(folder: Path) -> None:
    """The summary and the page of the rows; of the photos themselves there are none."""
    from veil import report
    from veil.jobs import folders
    from veil.protections.noise.results import ProtectedFolder

    class Rows:
        def __iter__(self) -> Iterator[Any]:
            return ProtectedFolder(folder / "out").rows

    digest = report.digest(Rows())
    wanted = [row["file"] for row in digest.shown]
    sources = folders.locate([folder / "in"], frozenset({".jpg"}), folder / "out", wanted)
    assert len(sources) == len(wanted)
    report.write_protection_report(folder / "out", digest, settings={}, sources=sources)


def by_output(folder: Path) -> None:
    """Rows by the names of their outputs, of every hundredth."""
    from veil.jobs.row_index import RowIndex

    index = RowIndex(folder / "out-private/rows.jsonl")
    for number in range(0, len(index), 100):
        row = index.row_of_output(name_of(number, ".png"))
        assert row is not None
        assert row["file"] == name_of(number, ".jpg")


STAGES = {"first run": job, "resume": job, "page": page, "by output": by_output}


def name_of(number: int, suffix: str) -> str:
    """Of a file, as cameras name them, in a folder of its own kind."""
    return f"holiday-{number // IN_A_FOLDER:04}/IMG_{number:08}{suffix}"


def row_of(number: int, file: str, out: str) -> Row:
    """A row as `veil protect` writes it; every tenth photo is not protected."""
    after = 0 if number % 10 == 0 else 1
    view = NETWORK | {"class_after": after}
    return {
        "file": file, "out": out, "width": 4000, "height": 3000, "class_before": "coot, marsh hen",
        "class_after": "clog, geta", "true_class": "coot, marsh hen", "icp_before": 0.5, "icp_after": 0.002,
        "ice_before": 1.5, "ice_after": 0.25, "target": "clog, geta", "target_score": 0.995, "iterations": number % 100,
        "linf": 3.0, "l2": 0.5, "mean_abs": 0.004 + number % 997 / 1e6, "mean_signed": -0.0001,
        "psnr": 42.0 + number % 101 / 100, "ssim": 0.98, "ms_ssim": 0.99, "protected": bool(after),
        "seconds": 1.5, "error": None, "notes": [], "targets": [1], "networks": [view],
    }  # fmt: skip


# The measurement.


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """All stages for every number of rows."""
    for count in scale.rows:
        with tempfile.TemporaryDirectory(prefix="veil-bench-", dir=given.folder) as folder:
            make_files(Path(folder) / "in", count)
            for stage in STAGES:
                command = [sys.executable, __file__, "work", stage, folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                size = (Path(folder) / "out-private/rows.jsonl").stat().st_size
                yield {"stage": stage, "rows": count, "mb": round(size / 1e6), **json.loads(done.stdout)}


def make_files(folder: Path, count: int) -> None:
    """Empty files."""
    for number in range(count):
        file = folder / name_of(number, ".jpg")
        if number % IN_A_FOLDER == 0:
            file.parent.mkdir(parents=True)
        file.touch()


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    print_table(
        ("stage", "rows", "MB of rows", "seconds", "peak MiB"),
        [
            (row["stage"], f"{row['rows']:,}", f"{row['mb']:,}", f"{row['seconds']:.1f}", f"{row['peak_mib']:.0f}")
            for row in rows
        ],
    )


def options(parser: ArgumentParser) -> None:
    """The folder for all those files."""
    parser.add_argument(
        "--folder", type=Path, help="that the files are made in; the system's temporary one if not given"
    )


BENCHMARK = Benchmark(
    name="rows", doc=__doc__, scales=SCALES, measure=measure, show=show, options=options,
)  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        began = time.perf_counter()
        STAGES[sys.argv[2]](Path(sys.argv[3]))
        print(json.dumps({"seconds": round(time.perf_counter() - began, 2), "peak_mib": round(peak_mib(), 1)}))
    else:
        sys.exit(BENCHMARK.main())
