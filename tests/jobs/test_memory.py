"""Nothing that a job holds grows with its files, or with their rows. `benchmarks/rows.py` measures whole processes."""

import tracemalloc
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from veil.jobs import folders
from veil.jobs.folders import QUIET, Item, Job, Row
from veil.jobs.recorder import Recorder
from veil.jobs.row_formats import FailedRow, RowFormat
from veil.jobs.row_index import RowIndex

FORMAT: RowFormat[Any] = RowFormat(command="`veil make`", done=FailedRow)  # no row is read again
KEPT = 8_000_000  # bytes; as a list, the rows take 30 MB here


def held(work: Callable[[], object]) -> int:
    """The most bytes that Python holds meanwhile."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def name(number: int) -> str:
    return f"folder-{number // 1000:03}/IMG_{number:08}-{'x' * 50}"


def row(number: int) -> Row:
    return {"file": name(number), "out": name(number) + ".png", "error": None, "notes": ["x" * 500]}


def test_20_000_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veil.jobs.recorder._bring_to_disk", lambda files: None)
    rows = tmp_path / "rows.jsonl"

    def record() -> None:
        recorder = Recorder(rows, synced=False)
        with recorder:
            for number in reversed(range(20_000)):
                recorder.add(Item(number, rows, name(number), rows, name(number)), row(number))
        recorder.sort()

    def read_again() -> None:
        for number, each in enumerate(RowIndex(rows)):
            assert each["file"] == name(number)

    assert held(record) < KEPT
    assert held(read_again) < KEPT


def test_a_job_forgets_a_row_when_it_is_written(tmp_path: Path) -> None:
    """20 MB of rows."""
    (tmp_path / "in").mkdir()
    for number in range(200):
        (tmp_path / f"in/{number}.jpg").touch()

    def work(items: Iterable[Item], workers: int) -> Generator[tuple[Item, Row], None, None]:
        for item in items:
            item.out.touch()
            yield item, {"file": item.name, "out": item.out_name, "error": None, "notes": ["x" * 100_000]}

    job = Job(work=work, suffixes=frozenset({".jpg"}), suffix=".png", settings={}, rows=FORMAT)
    folders.run([tmp_path / "in"], tmp_path / "warm", job, QUIET)
    results = []
    assert held(lambda: results.append(folders.run([tmp_path / "in"], tmp_path / "out", job, QUIET))) < KEPT
    assert (tmp_path / "out-private/rows.jsonl").stat().st_size > 20_000_000
    assert held(lambda: sum(1 for _ in results[0])) < KEPT
