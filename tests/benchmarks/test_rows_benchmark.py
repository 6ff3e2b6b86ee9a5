"""The benchmark of rows at smoke scale, and what it found at full scale."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY

STAGES = ["first run", "resume", "page", "by output"]
LIMIT = 300  # MiB


def test_smoke_gives_whole_rows(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    command = [
        sys.executable,
        REPOSITORY / "benchmarks/rows.py",
        "--scale",
        "smoke",
        "--folder",
        tmp_path,
        "--out",
        out,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["stage"], row["rows"]) for row in rows] == [(s, count) for count in (500, 2000) for s in STAGES]
    assert all(20 < row["peak_mib"] < LIMIT for row in rows)
    assert "first run" in done.stdout
    assert list(tmp_path.iterdir()) == [out]


def test_a_million_rows_stay_within_300_mib() -> None:
    rows = [json.loads(line) for line in (REPOSITORY / "results/benchmarks/rows.jsonl").read_text().splitlines()]
    latest = {row["stage"]: row for row in rows if row["rows"] == 1_000_000}
    assert list(latest) == STAGES
    assert all(row["peak_mib"] < LIMIT for row in latest.values())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Twenty times as many files in the folder job that took the most."""
    peaks = []
    for count in (5_000, 100_000):
        code = (
            f"import sys; sys.path.insert(0, {str(REPOSITORY / 'benchmarks')!r}); import benchmark, rows\n"
            f"from pathlib import Path\nfolder = Path({str(tmp_path / str(count))!r})\n"
            f"rows.make_files(folder / 'in', {count})\nrows.job(folder)\nrows.job(folder)\nprint(benchmark.peak_mib())"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        peaks.append(float(done.stdout))
    assert peaks[1] < peaks[0] + 60
