"""Rows that are appended as they are measured, and found again after a crash."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veil.jobs import rows
from veil.jobs.rows import RowFile, RowsError

ABOUT = {"data": "made", "settings": {"step": 1.0}}


def test_rows_are_found_again_and_each_run_says_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "item" / "cpu.jsonl"
    for seed in (0, 1):
        with RowFile(file, ABOUT) as measured:
            assert len(measured.find(seed=0)) == seed
            measured.add({"seed": seed, "value": 0.5})
            measured.finish([seed])
    lines = rows.read(file)
    runs = [line for line in lines if "about" in line]
    assert [run["run"] for run in runs] == [1, 2]
    assert all({"command", "date", "hardware", "versions"} <= run.keys() for run in runs)
    assert [(row["run"], row["seed"]) for row in rows.measured(lines)] == [(1, 0), (2, 1)]
    assert all(row["seconds"] >= 0 for row in rows.measured(lines))
    assert RowFile(file, ABOUT).complete == {0, 1}


def test_a_file_without_rows_is_not_written(tmp_path: Path) -> None:
    with RowFile(tmp_path / "cpu.jsonl", ABOUT) as measured:
        assert measured.rows == []
    assert not (tmp_path / "cpu.jsonl").exists()


def test_other_conditions_are_refused_by_name(tmp_path: Path) -> None:
    with RowFile(tmp_path / "cpu.jsonl", ABOUT) as measured:
        measured.add({"seed": 0})
    with pytest.raises(RowsError, match=r"other conditions \(data, model\)"):
        RowFile(tmp_path / "cpu.jsonl", {"data": "other", "settings": {"step": 1.0}, "model": "m"})


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.999])
def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path, kept: float) -> None:
    file = tmp_path / "cpu.jsonl"
    with RowFile(file, ABOUT) as measured:
        measured.add({"seed": 0})
        measured.add({"seed": 1})
    whole = file.read_text().splitlines(keepends=True)
    file.write_text("".join(whole[:-1]) + whole[-1][: int(kept * len(whole[-1]))].rstrip("\n"))
    with RowFile(file, ABOUT) as measured:
        there = {row["seed"] for row in measured.rows}
        assert 0 in there
        for seed in {0, 1, 2} - there:
            measured.add({"seed": seed})
    assert sorted(row["seed"] for row in rows.measured(rows.read(file))) == [0, 1, 2]


@pytest.mark.parametrize("line", ["3", "null", "[{}]", '"run"', "[" * 100_000])
def test_a_whole_line_that_is_no_row_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "cpu.jsonl").write_text('{"seed": 0}\n{"se\n' + line + "\n")
    with pytest.raises(RowsError, match=r"cpu\.jsonl, line 3: not a row"):
        RowFile(tmp_path / "cpu.jsonl", ABOUT)


def test_added_rows_are_reported(tmp_path: Path) -> None:
    seen: list[rows.Row] = []
    with RowFile(tmp_path / "cpu.jsonl", ABOUT, added=seen.append) as measured:
        measured.add({"seed": 3})
    assert [row["seed"] for row in seen] == [3]


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "float64"])
def test_arrays_survive_json(dtype: str) -> None:
    array = np.random.default_rng(0).integers(-3, 4, (2, 3, 5)).astype(dtype)
    again = rows.unpack(json.loads(json.dumps(rows.pack(array))))
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)
    again[0] = 0  # writable


def test_what_is_taken_back_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "cpu.jsonl"
    with RowFile(file, ABOUT) as measured:
        measured.void(seed=0)
        assert not file.exists()
        for seed in (0, 1):
            measured.add({"seed": seed, "kind": "network"})
            measured.add({"seed": seed, "kind": "attack"})
        measured.void(seed=0)
        measured.add({"seed": 0, "kind": "network"})
        kept = list(measured.rows)
    assert [(row["seed"], row["kind"]) for row in kept] == [(1, "network"), (1, "attack"), (0, "network")]
    with RowFile(file, ABOUT) as again:
        assert again.rows == kept
    assert rows.measured(rows.read(file)) == kept


PACKED = rows.pack(np.arange(6, dtype=np.uint8).reshape(2, 3))
HOSTILE_ARRAYS = {
    "no array": {},
    "objects": PACKED | {"dtype": "|O"},
    "a structure": PACKED | {"dtype": "u1,(1000000,)u8"},
    "no name of a type": PACKED | {"dtype": ["u1"]},
    "another shape": PACKED | {"shape": [2, 4]},
    "a negative shape": PACKED | {"shape": [-2, -3]},
    "a huge shape": PACKED | {"shape": [2**40, 2**40]},
    "a shape of texts": PACKED | {"shape": ["2", "3"]},
    "no base 64": PACKED | {"zlib": "é"},
    "no zlib": PACKED | {"zlib": "AAAA"},
    "a bomb": PACKED | {"zlib": base64.b64encode(zlib.compress(bytes(1 << 24))).decode()},
}


@pytest.mark.parametrize("packed", HOSTILE_ARRAYS.values(), ids=HOSTILE_ARRAYS)
def test_arrays_of_strangers_are_refused(packed: dict[str, Any]) -> None:
    with pytest.raises(RowsError, match="an array that is damaged"):
        rows.unpack(packed)


@pytest.mark.parametrize("line", ['{"about": 3}', '{"complete": 3}', '{"complete": [[]]}', '{"void": [1]}'])
def test_a_measurement_that_somebody_changed_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(RowsError, match=r"a line of a measurement that is damaged"):
        RowFile(file, ABOUT)
