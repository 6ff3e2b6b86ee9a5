"""The benchmark of weights for every pixel at smoke scale."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/attacks.py"


def test_smoke_gives_whole_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "rows.jsonl"
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--scale", "smoke", "--out", out], check=True, capture_output=True, text=True
    )
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["benchmark"], row["width"], row["height"], row["batch"]) == ("attacks", 8, 8, 4)
    for way in ("loop", "bmm"):
        ratio = row[f"seconds_{way}"][0] / row["seconds_layer"][0]
        assert row[f"{way}_to_layer"] == pytest.approx(ratio, rel=0.05, abs=0.01)  # rounded
    for way in ("layer", "loop", "bmm"):
        assert row[f"{way}_images_per_second"] == pytest.approx(4 / row[f"seconds_{way}"][0], rel=0.05)
    assert "attacks.py --scale smoke" in row["command"]
    assert row["hardware"]["cpu"]
    assert "8×8" in done.stdout
