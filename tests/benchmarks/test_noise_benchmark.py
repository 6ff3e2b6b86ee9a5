"""The noise benchmark at smoke scale: it runs, and its rows are whole and agree with each other."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH_PYTHON = ROOT / ".bench-venv/bin/python"
PEERS = ("torchattacks", "foolbox", "art")
EVERY_ROW = {
    "benchmark", "kind", "scale", "contender", "model", "data", "photos", "width", "height", "peak_mib",
    "command", "date", "hardware", "threads", "versions",
}  # fmt: skip
SPEED_ROW = EVERY_ROW | {
    "version", "torch", "precision", "batch", "step", "budget", "max_steps", "required_score", "repetitions",
    "images_per_second", "images_per_second_min", "images_per_second_max", "success", "misread", "linf",
    "iterations", "evaluations", "skipped", "error",
}  # fmt: skip


def run(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/noise.py", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def smoke(out: Path, peers: Path) -> tuple[dict[Any, dict[str, Any]], str]:
    """Rows by contender, the memory's by number of photos, and what was printed."""
    done = run("--scale", "smoke", "--threads", 1, "--peers", peers, "--out", out)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return {r["photos"] if r["kind"] == "memory" else r["contender"]: r for r in rows}, done.stdout


@pytest.mark.slow
def test_smoke_gives_whole_rows_that_agree(tmp_path: Path) -> None:
    """One test, for parallel test processes would each run the benchmark for a fixture."""
    rows, printed = smoke(tmp_path / "new" / "noise.jsonl", peers=tmp_path / "absent")
    for row in rows.values():
        assert (EVERY_ROW if row["kind"] == "memory" else SPEED_ROW) <= row.keys()
        assert row["hardware"]["cpu"]
        assert row["threads"] == 1
    taken = [row for row in rows.values() if row["kind"] != "memory" and not row["skipped"]]
    assert {row["contender"] for row in taken} >= {"veil", "plain", "floor (network alone)"}
    for row in taken:
        check_speed(row)
        if row["kind"] == "contender":
            check_success(row)
            assert row["contender"] in printed
    assert rows["veil"]["success"] > 0

    for suffix in ("", "-bf16"):
        for part in ("network alone", "with preprocessing"):
            floor = rows[f"floor{suffix} ({part})"]
            assert floor["evaluations"] == rows[f"veil{suffix}"]["evaluations"]
            assert floor["success"] is None

    for name in PEERS:
        assert "make bench" in rows[name]["skipped"]
        assert rows[name]["images_per_second"] is None

    assert rows[4]["ratio"] == 1
    assert rows[12]["ratio"] == pytest.approx(rows[12]["peak_mib"] / rows[4]["peak_mib"])


def check_speed(row: dict[str, Any]) -> None:
    """Finite and positive; how fast is not judged."""
    assert row["error"] is None
    rates = [row[f"images_per_second{end}"] for end in ("_min", "", "_max")]
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)
    assert rates == sorted(rates)
    assert row["batch"] in row["batches"]
    assert row["peak_mib"] > 10


def check_success(row: dict[str, Any]) -> None:
    """A photo that reached its target lost its first choice, and no noise leaves the budget."""
    assert 0 <= row["success"] <= row["misread"] <= 1
    assert 0 < row["linf"] <= row["budget"]
    assert 0 <= row["iterations"] <= row["max_steps"]


def test_the_full_scale_needs_a_network_and_photos() -> None:
    done = run("--scale", "cpu")
    assert done.returncode == 2
    assert "--model and --photos" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not BENCH_PYTHON.exists(), reason="the peers' environment is not installed (make bench)")
def test_peers_do_what_the_plain_loop_does(tmp_path: Path) -> None:
    rows, _ = smoke(tmp_path / "noise.jsonl", BENCH_PYTHON)
    for name in PEERS:
        check_speed(rows[name])
        check_success(rows[name])
        one_photo = 1 / rows[name]["photos"]
        assert rows[name]["success"] == pytest.approx(rows["plain"]["success"], abs=1.01 * one_photo)
