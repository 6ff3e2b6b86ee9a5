"""The noise benchmark at smoke scale: it runs, its rows are whole, and they agree with each other. No times are judged."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH_PYTHON = ROOT / ".bench-venv/bin/python"
ATTACKERS = ("veil", "veil-bf16", "plain")
PEERS = ("torchattacks", "foolbox", "art")
EVERY_ROW = {"benchmark", "kind", "scale", "contender", "model", "data", "photos", "width", "height", "peak_mib",
             "command", "date", "hardware", "threads", "versions"}  # fmt: skip
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


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[Any, dict[str, Any]], str]:
    folder = tmp_path_factory.mktemp("bench")
    return smoke(folder / "new" / "noise.jsonl", peers=folder / "absent")


def test_every_row_says_what_was_measured_on_what(measured: Any) -> None:
    for row in measured[0].values():
        wanted = EVERY_ROW if row["kind"] == "memory" else SPEED_ROW
        assert wanted <= row.keys()
        assert row["hardware"]["cpu"]
        assert row["threads"] == 1


def test_speed_and_success_are_finite(measured: Any) -> None:
    taken = [row for row in measured[0].values() if row["kind"] != "memory" and not row["skipped"]]
    assert {row["contender"] for row in taken} >= {"veil", "plain", "floor (network alone)"}
    for row in taken:
        assert row["error"] is None
        rates = [row[f"images_per_second{end}"] for end in ("_min", "", "_max")]
        assert all(math.isfinite(rate) and rate > 0 for rate in rates)
        assert rates == sorted(rates)
        assert row["batch"] in row["batches"]
        assert row["peak_mib"] > 10


def test_success_is_judged_and_the_budget_kept(measured: Any) -> None:
    for name in ATTACKERS:
        row = measured[0][name]
        if not row["skipped"]:
            assert 0 <= row["success"] <= row["misread"] <= 1
            assert 0 < row["linf"] <= row["budget"]
            assert 0 <= row["iterations"] <= row["max_steps"]
    assert measured[0]["veil"]["success"] > 0


def test_the_floor_takes_the_passes_that_veil_took(measured: Any) -> None:
    rows = measured[0]
    for suffix in ("", "-bf16"):
        for part in ("network alone", "with preprocessing"):
            floor = rows[f"floor{suffix} ({part})"]
            assert floor["evaluations"] == rows[f"veil{suffix}"]["evaluations"]
            assert floor["success"] is None


def test_peers_that_are_not_there_are_skipped_with_the_reason(measured: Any) -> None:
    rows, printed = measured
    for name in PEERS:
        assert "make bench" in rows[name]["skipped"]
        assert rows[name]["images_per_second"] is None
        assert name in printed


def test_memory_is_measured_for_few_and_for_more(measured: Any) -> None:
    few, more = measured[0][4], measured[0][12]
    assert few["ratio"] == 1
    assert more["ratio"] == pytest.approx(more["peak_mib"] / few["peak_mib"])


def test_the_full_scale_needs_a_network_and_photos() -> None:
    done = run("--scale", "cpu")
    assert done.returncode == 2
    assert "--model and --photos" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not BENCH_PYTHON.exists(), reason="the peers' environment is not installed (make bench)")
def test_peers_do_what_the_plain_loop_does(tmp_path: Path) -> None:
    rows, _ = smoke(tmp_path / "noise.jsonl", BENCH_PYTHON)
    for name in PEERS:
        assert rows[name]["skipped"] is None
        assert rows[name]["success"] == pytest.approx(rows["plain"]["success"], abs=0.13)  # one photo of eight
        assert rows[name]["linf"] <= rows[name]["budget"]
