"""The encryption benchmark at smoke scale: it runs, and its rows are whole and agree with each other."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

CIPHERS = ("tanaka", "pixel-same", "pixel-different")
ROOT = Path(__file__).resolve().parents[2]


def test_smoke_gives_whole_rows_that_agree(tmp_path: Path) -> None:
    out = tmp_path / "new" / "encryption.jsonl"
    options = ["--scale", "smoke", "--threads", "1", "--peers", str(tmp_path / "absent"), "--out", str(out)]
    command = [sys.executable, "benchmarks/encryption.py", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["contender"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert set(rows) == {*CIPHERS, "copy", *(f"scramblekit {name}" for name in CIPHERS)}
    for name, row in rows.items():
        assert row["benchmark"] == "encryption"
        assert row["hardware"]["cpu"]
        assert row["error"] is None
        if name.startswith("scramblekit"):
            assert "make bench" in row["skipped"]
            assert row["images_per_second"] is None
            continue
        rates = [row[f"images_per_second{end}"] for end in ("_min", "", "_max")]
        assert all(math.isfinite(rate) and rate > 0 for rate in rates)
        assert rates == sorted(rates)
        assert row["gigabytes_per_second"] == pytest.approx(row["images_per_second"] * 32 * 32 * 3 / 1e9)
        assert row["share_of_copy"] == pytest.approx(row["images_per_second"] / rows["copy"]["images_per_second"])
        assert row["times_scramblekit"] is None
        assert name in done.stdout
