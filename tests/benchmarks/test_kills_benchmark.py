"""Interrupted commands end with the same bytes: the benchmark at smoke scale, and its parts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from repository import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"


def test_interrupted_commands_end_the_same(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    command = [sys.executable, BENCHMARKS / "kills.py", "--scale", "smoke", "--folder", tmp_path, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert done.returncode == 0, [row.get("error") for row in rows]
    assert [row["kind"] for row in rows] == ["whole", "kill", "power cut", "two at once"]
    assert all(row["same"] for row in rows[1:])
    assert [row["interruptions"] for row in rows[1:3]] == [2, 4]
    assert list(tmp_path.iterdir()) == [out]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


WRITES = """
import os, sys
from pathlib import Path
import power_cut
root = Path.cwd()
power_cut.Disk(root, Path(sys.argv[1]) / "events", int(sys.argv[2])).install()
(root / "careless.part").write_bytes(b"a" * 100)
(root / "careless.part").replace(root / "careless")       # event 1
with (root / "careful.part").open("wb") as handle:
    handle.write(b"b" * 100)
    handle.flush()
    os.fsync(handle.fileno())                             # event 2
(root / "careful.part").replace(root / "careful")         # event 3
folder = os.open(root, os.O_RDONLY)
os.fsync(folder)                                          # event 4
(root / "old").unlink()                                   # event 5
(root / "late.part").write_bytes(b"c")
(root / "late.part").replace(root / "careful")            # event 6
os.fsync(folder)                                          # event 7
"""


def cut_at(event: int, place: Path, seed: int) -> dict[str, bytes]:
    """What is on the disk after a program lost power at an event."""
    import power_cut

    root, log = place / f"root-{event}-{seed}", place / f"log-{event}-{seed}"
    root.mkdir()
    log.mkdir()
    (root / "old").write_bytes(b"old")
    before = power_cut.sizes(root)
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS)}
    done = subprocess.run([sys.executable, "-c", WRITES, str(log), str(event)], cwd=root, env=environment)
    assert done.returncode == -9
    power_cut.take_back(root, log / "events", before, Random(seed))
    return {file.name: file.read_bytes() for file in root.iterdir()}


def test_a_power_cut_loses_what_was_not_synchronised(parts: None, tmp_path: Path) -> None:
    left = [cut_at(4, tmp_path, seed) for seed in range(8)]
    assert any(0 < len(state.get("careless", b"a")) < 100 or state.get("careless") == b"" for state in left)
    assert any("careless" not in state for state in left), "a rename of a folder that was not synchronised is undone"
    assert all(state.get("careful", state.get("careful.part")) == b"b" * 100 for state in left)
    assert all(state["old"] == b"old" for state in left)


def test_a_power_cut_keeps_what_was(parts: None, tmp_path: Path) -> None:
    left = [cut_at(7, tmp_path, seed) for seed in range(8)]
    assert all("careless" in state for state in left), "its folder was synchronised"
    assert {state.get("old") for state in left} == {None, b"old"}, "a removal may be undone"
    assert any(state["careful"] == b"b" * 100 for state in left), "what a rename replaced comes back"
    assert any(state["careful"] in (b"", b"c") for state in left)
