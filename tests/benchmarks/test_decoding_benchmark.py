"""The decoding benchmark at smoke scale: it runs, and its rows are whole and agree with each other."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_smoke_gives_whole_rows_that_agree(tmp_path: Path) -> None:
    out = tmp_path / "decoding.jsonl"
    command = [sys.executable, "benchmarks/decoding.py", "--scale", "smoke", "--threads", "1", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["way"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert list(rows) == ["direct", "veil", "process"]
    for way, row in rows.items():
        assert row["benchmark"] == "decoding"
        assert row["hardware"]["cpu"]
        assert row["images_per_second_min"] <= row["images_per_second"] <= row["images_per_second_max"]
        assert row["peak_mib"] > 0
        assert (row["other_mib"] > 0) == (way == "process")  # small photos start no process
        assert way in done.stdout
    assert rows["direct"]["share_of_direct"] == rows["direct"]["direct_cpu_share"] == 1
