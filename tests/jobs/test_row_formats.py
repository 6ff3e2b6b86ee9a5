"""Types of rows are what rows from files are held against."""

import json
from typing import Any, NotRequired, TypedDict

import pytest
from contracts import check_row_format
from repository import REPOSITORY

from veil.jobs.row_formats import DoneRow, RowFormat, RowsError
from veil.protections.ciphers.folder import DECRYPTED_ROWS, ENCRYPTED_ROWS
from veil.protections.features.feature_files import EXTRACTED_ROWS
from veil.protections.noise.rows import PROTECTED_ROWS
from veil.protections.transformation.folder import TRANSFORMED_ROWS

OLD = REPOSITORY / "tests/support/old_formats/7c1583f"
FORMATS: dict[str, RowFormat[Any]] = {
    "protected/crs": PROTECTED_ROWS, "protected/cis": PROTECTED_ROWS, "protected/entropy": PROTECTED_ROWS,
    "protected/universal": PROTECTED_ROWS, "encrypted/tanaka": ENCRYPTED_ROWS, "encrypted/same": ENCRYPTED_ROWS,
    "encrypted/different": ENCRYPTED_ROWS, "decrypted": DECRYPTED_ROWS, "transformed": TRANSFORMED_ROWS,
    "features/values": EXTRACTED_ROWS, "features/maps": EXTRACTED_ROWS,
}  # fmt: skip


@pytest.mark.parametrize("folder", FORMATS)
def test_rows_of_7c1583f_are_read(folder: str) -> None:
    rows = [json.loads(line) for line in (OLD / folder / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 5
    for row in rows:
        assert FORMATS[folder].check(row) is row
        assert "version" not in row
    done = next(row for row in rows if not row["error"])
    check_row_format(FORMATS[folder], done)


class Inner(TypedDict):
    value: float
    beside: NotRequired[dict[str, int]]


class Made(DoneRow):
    inner: list[Inner]
    maybe: float | None


FORMAT = RowFormat(command="`veil make`", done=Made, failed={"made": False}, never_empty=("inner",))
ROW = {
    "file": "a", "out": "b", "seconds": 1, "error": None, "notes": ["said"], "source": {"bytes": 1, "modified_ns": 2},
    "inner": [{"value": 0.5, "beside": {"x": 1}}, {"value": 1}], "maybe": None, "of another Veil": [],
}  # fmt: skip


def test_unknown_fields_are_allowed() -> None:
    assert FORMAT.problem(ROW) is None
    assert FORMAT.problem(ROW | {"version": 1}) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inner": [{"value": 1}, {}]}, "inner holds something else: it value is missing"),
        ({"inner": [{"value": "1"}]}, "inner holds something else: it value is not a number"),
        ({"inner": [{"value": 1, "beside": {"x\n": 0.5}}]}, "beside x\\n is not a whole number"),
        ({"inner": [3]}, "it is not an object"),
        ({"inner": {}}, "inner is not a list"),
        ({"inner": []}, "inner is empty"),
        ({"maybe": "nothing"}, "maybe is not a number"),
        ({"maybe": True}, "maybe is not a number"),
        ({"maybe": float("nan")}, "maybe is not a number"),
        ({"inner": [{"value": float("inf")}]}, "value is not a number"),
        ({"seconds": True}, "seconds is not a number"),
        ({"notes": [None]}, "it is not text"),
        ({"source": {"bytes": 1.5, "modified_ns": 2}}, "source bytes is not a whole number"),
        ({"error": 3}, "out is not null"),
        ({"version": 2}, "it has version 2; this Veil reads up to 1"),
        ({"version": "x" * 1000}, "it has version xxxxxxxxxxxxxxxxxxxx; this"),
    ],
)
def test_a_wrong_row_is_refused_in_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RowsError, match="the row of a is not of `veil make`: ") as caught:
        FORMAT.check(ROW | change)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_failed_rows_need_only_their_reason() -> None:
    assert FORMAT.problem({"file": "a", "out": None, "error": "broken"}) is None
    assert FORMAT.problem({"file": "a", "error": "broken"}) == "out is missing"
