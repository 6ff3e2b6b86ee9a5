"""CSV files: rows that are read, tables that are refused, and cells that no spreadsheet runs."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.runtime import csv_files, foreign
from veil.runtime.foreign import Unreadable


def test_rows_come_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('\ufeffa,b\r\n\r\n"1\n2",3\n,\n4,"5"')
    assert list(csv_files.rows_of(tmp_path / "x.csv")) == [(1, ["a", "b"]), (4, ["1\n2", "3"]), (6, ["4", "5"])]


def test_tables_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.csv"
    file.write_text("a,b\n" + "c" * 200_000)
    with pytest.raises(Unreadable, match=r"x\.csv, line 2: field larger than field limit"):
        list(csv_files.rows_of(file))
    file.write_text("," * (foreign.LONGEST_LINE + 1))
    with pytest.raises(Unreadable, match=r"x\.csv, line 1: more than 1,048,576 characters"):
        list(csv_files.rows_of(file))
    file.write_bytes(b"a,\xff")
    with pytest.raises(Unreadable, match=r"x\.csv is not text in UTF-8"):
        list(csv_files.rows_of(file))
    monkeypatch.setattr(csv_files, "MOST_ROWS", 3)
    file.write_text("a\n" * 4)
    with pytest.raises(Unreadable, match=r"x\.csv has more than 3 rows"):
        list(csv_files.rows_of(file))


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_no_cell_begins_like_a_formula_and_texts_come_back(cells: list[str]) -> None:
    text = io.StringIO(newline="")
    csv_files.writer(text)(cells)
    (row,) = csv.reader(io.StringIO(text.getvalue(), newline=""))
    for cell, written in zip(cells, row, strict=True):
        assert not written.startswith(csv_files.FORMULA)
        assert written.removeprefix("'") == cell.replace("\r", " ").removeprefix("'")


def test_numbers_stay_numbers() -> None:
    text = io.StringIO(newline="")
    csv_files.writer(text)([-1, -0.5, None, True, "-1", "=1+1", "plain"])
    assert text.getvalue() == "-1,-0.5,,True,'-1,'=1+1,plain\n"
