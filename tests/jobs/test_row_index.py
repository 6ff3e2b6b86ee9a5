"""Rows that are found again in their file, and rows that reach it."""

import json
from pathlib import Path
from typing import Any

import pytest

from veil.jobs.folders import FolderError, Item, read_checked, read_rows
from veil.jobs.recorder import Recorder
from veil.jobs.row_formats import DoneRow, RowFormat
from veil.jobs.row_index import Place, RowIndex


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"file": name, "out": f"{name}.png", "error": None} | more


def write(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return file


def test_the_latest_row_counts_where_the_first_one_stood(tmp_path: Path) -> None:
    rows = [row("b", error="bad", out=None), row("a\udcff\n"), row("b", value=2), row("c", error="bad", out=None)]
    index = RowIndex(write(tmp_path / "rows.jsonl", *rows))
    assert len(index) == 3
    assert list(index) == [rows[2], rows[1], rows[3]] == read_rows(tmp_path / "rows.jsonl")
    assert list(index.outputs()) == [("b", "b.png"), ("a\udcff\n", "a\udcff\n.png")]
    assert index.place("nobody") is None
    assert index.row_of_output("b.png") == rows[2]
    assert index.row_of_output("c.png") is None
    place = index.place("a\udcff\n")
    assert place is not None
    with index.reading() as read:
        assert read(place) == rows[1]


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    index = RowIndex(tmp_path / "rows.jsonl")
    assert list(index) == []
    assert index.row_of_output("a.png") is None


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    index = RowIndex(write(tmp_path / "rows.jsonl", row("a"), row("b")))
    write(tmp_path / "rows.jsonl", row("b"), row("a"))
    with pytest.raises(FolderError, match="was changed while it was read"):
        index.row_of_output("a.png")
    write(tmp_path / "rows.jsonl", row("something longer"), row("a"))
    with pytest.raises(FolderError, match="was changed while it was read"):
        list(index)


@pytest.mark.parametrize("line", ["{}", '{"file": 3}', "[]", "7"])
def test_lines_that_are_no_rows_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row("a")) + "\n" + line + "\n")
    with pytest.raises(FolderError, match=r"rows\.jsonl"):
        RowIndex(tmp_path / "rows.jsonl")


def test_rows_of_another_job_are_refused_where_they_are_read(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", row("a"))
    with pytest.raises(FolderError, match=r"rows\.jsonl: the row of a is not of `veil make`: \w+ is missing"):
        list(read_checked(tmp_path, RowFormat(command="`veil make`", done=DoneRow)))


def item(number: int) -> Item:
    return Item(number, Path(), str(number), Path(), str(number))


def recorded(file: Path, order: list[int], kept: dict[int, Place] | None = None) -> list[str]:
    """The names in the file after such rows were recorded and sorted."""
    recorder = Recorder(file, synced=True)
    for number, place in (kept or {}).items():
        recorder.keep(number, place)
    with recorder:
        for number in order:
            recorder.add(item(number), row(str(number)))
    recorder.sort()
    assert recorder.counts() == (len(set(order)) + len(kept or {}), 0)
    return [json.loads(line)["file"] for line in file.read_text().splitlines()]


def test_rows_end_in_the_order_of_the_files(tmp_path: Path) -> None:
    assert recorded(tmp_path / "rows.jsonl", [3, 1, 0, 2]) == ["0", "1", "2", "3"]
    old = RowIndex(tmp_path / "rows.jsonl")
    kept = {number: old.place(str(number)) for number in (1, 3)}
    assert recorded(tmp_path / "rows.jsonl", [2, 0], {n: p for n, p in kept.items() if p}) == ["0", "1", "2", "3"]
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.jsonl"]


def test_many_rows_are_copied_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veil.jobs.recorder._COPIED", 100)
    order = [*range(50, 100), *range(50)]
    assert recorded(tmp_path / "rows.jsonl", order) == [str(number) for number in range(100)]


def test_rows_that_are_in_order_are_left_as_they_are(tmp_path: Path) -> None:
    recorded(tmp_path / "rows.jsonl", [0, 1])
    before = (tmp_path / "rows.jsonl").stat()
    old = RowIndex(tmp_path / "rows.jsonl")
    kept = {number: place for number in (0, 1) if (place := old.place(str(number)))}
    assert recorded(tmp_path / "rows.jsonl", [2], kept) == ["0", "1", "2"]
    assert (tmp_path / "rows.jsonl").stat().st_ino == before.st_ino


def test_a_torn_line_goes_with_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row("0")) + '\n{"file": "1')
    kept = RowIndex(tmp_path / "rows.jsonl").place("0")
    assert kept is not None
    assert recorded(tmp_path / "rows.jsonl", [1], {0: kept}) == ["0", "1"]
