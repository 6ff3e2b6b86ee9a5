"""The reader of what others wrote: what is read, and what is refused in one line before it takes memory."""

import gzip
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.runtime import foreign
from veil.runtime.foreign import Unpacked, Unreadable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)  # fmt: skip


@given(JSON)
def test_json_is_read_as_python_reads_it(value: Any) -> None:
    assert foreign.parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "brackets within brackets, more than 64 deep"),
        ("[" * 65 + "]" * 65, "brackets within brackets"),
        ('{"a":' * 70 + "1" + "}" * 70, "brackets within brackets"),
        ("9" * 5_000, "is not a whole number"),
        ("99999999999999999999", "is not a whole number"),
        ("9223372036854775808", "is not a whole number"),
        ("NaN", "'NaN' is not a finite number"),
        ("[-Infinity]", "is not a finite number"),
        ('{"a": 1e999}', "'1e999' is not a finite number"),
        ("{", "Expecting property name"),
    ],
)
def test_json_that_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        foreign.parse_json(text)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(Unreadable, match=rf"x\.json is not JSON that can be read: .*{reason}"):
        foreign.read_json(tmp_path / "x.json")


def test_nesting_within_the_limit_and_many_brackets_side_by_side_are_read() -> None:
    assert foreign.parse_json("[" * 64 + "]" * 64)
    assert len(foreign.parse_json(json.dumps([[]] * 1000))) == 1000


def test_measurements_may_be_infinite_where_the_reader_says_so() -> None:
    read = foreign.parse_json("[Infinity, -Infinity, NaN, 1]", finite=False)
    assert read[:2] == [math.inf, -math.inf]
    assert math.isnan(read[2])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = nan", "'nan' is not a finite number"),
        ("x = 1e999", "is not a finite number"),
        ("x = " + "[" * 900, "brackets within brackets"),
        ("x = " + "[" * 70 + "]" * 70, "brackets within brackets"),
        (".".join("a" * 1500) + " = 1", "a line of more than 2,000 bytes"),
        ("x", "is not TOML"),
        ("\udcff", "is not text in UTF-8"),
    ],
)
def test_toml_that_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(os.fsencode(text))
    with pytest.raises(Unreadable, match=rf"x\.toml .*{reason}"):
        foreign.read_toml(tmp_path / "x.toml")


READERS: list[Callable[[Path], object]] = [
    lambda file: foreign.bytes_of(file, 100),
    lambda file: foreign.text_of(file, 100),
    lambda file: list(foreign.lines_of(file, 100)),
    lambda file: foreign.read_json(file, 100),
    lambda file: foreign.read_toml(file, 100),
]


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_a_large_file_or_what_is_no_file(reader: Callable[[Path], object], tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte, of which nothing is on the disk
    with pytest.raises(Unreadable, match="large has 1,099,511,627,776 bytes, more than the 100 that are read"):
        reader(tmp_path / "large")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="pipe cannot be read: this is not a regular file"):
        reader(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="cannot be read: this is a folder"):
        reader(tmp_path)
    with pytest.raises(FileNotFoundError):
        reader(tmp_path / "absent")


def test_lines_keep_their_ends_and_have_a_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes("\ufeffa\r\nb\n\nc".encode())
    assert list(foreign.lines_of(tmp_path / "x")) == ["a\r\n", "b\n", "\n", "c"]
    (tmp_path / "x").write_text("a\n" + "b" * (foreign.LONGEST_LINE + 1))
    lines = foreign.lines_of(tmp_path / "x")
    assert next(lines) == "a\n"
    with pytest.raises(Unreadable, match="x, line 2: more than 1,048,576 characters"):
        next(lines)


@pytest.mark.parametrize(("text", "number"), [("12", 12), (" -3\n", -3), ("+0", 0), ("0" * 18 + "7", 7)])
def test_whole_numbers(text: str, number: int) -> None:
    assert foreign.whole_number(text) == number


@pytest.mark.parametrize("text", ["", "x", "1.5", "1_000", "٣", "0x1", "9" * 20, "9" * 19, "9" * 5_000, "1 2"])
def test_other_texts_are_no_whole_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number") as caught:
        foreign.whole_number(text)
    assert len(str(caught.value)) < 100
    with pytest.raises(ValueError, match="'7' is not a whole number from 1 to 6"):
        foreign.whole_number("7", 1, 6)


def test_gzip_is_unpacked_as_far_as_it_is_asked_for() -> None:
    content = Unpacked(gzip.compress(b"abc") + gzip.compress(b"def" * 1000))
    assert (content.read(2), content.read(3), len(content.read(10_000))) == (b"ab", b"cde", 2998)
    assert Unpacked(b"plain").read(100) == b"plain"
    assert Unpacked(b"plain").most == 5
    with pytest.raises(ValueError, match="broken gzip"):
        Unpacked(b"\x1f\x8bxx").read(1)
    with pytest.raises(ValueError, match="broken gzip"):
        Unpacked(gzip.compress(b"abc")[:-6]).read(10)
