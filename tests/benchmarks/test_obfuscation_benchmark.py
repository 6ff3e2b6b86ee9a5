"""The obfuscation benchmark at smoke scale."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/obfuscation.py"


def test_smoke_gives_a_whole_row_and_equal_losses(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    subprocess.run([sys.executable, BENCHMARK, "--scale", "smoke", "--out", out], check=True, capture_output=True)
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["from_obvious"] == pytest.approx(row["seconds_obvious"][0] / row["seconds"][0], rel=0.2)  # both rounded
    assert row["to_bare"] == pytest.approx(row["seconds"][0] / row["seconds_bare"][0], rel=0.2)
    assert row["largest_difference"] < 1e-4
    assert "obfuscation.py --scale smoke" in row["command"]
