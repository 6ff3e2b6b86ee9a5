"""The transformation benchmark at smoke scale."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/transformation.py"


def test_smoke_gives_whole_rows(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    subprocess.run([sys.executable, BENCHMARK, "--scale", "smoke", "--out", out], check=True, capture_output=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["what"] for row in rows] == ["train cyclegan", "train unet", "apply"]
    for row in rows:
        assert row["to_bare"] == pytest.approx(row["seconds"][0] / row["seconds_bare"][0], rel=0.2)  # both rounded
        assert row["images_per_second"] > 0
        assert "transformation.py --scale smoke" in row["command"]
