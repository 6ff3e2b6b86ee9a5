"""Rows: JSON objects, one a line, appended as they are measured and flushed to disk.

A line that a crash cut off does not count. `RowFile` keeps the rows of one measurement that may be interrupted: it
knows what is there, and refuses to mix rows that were measured under different conditions.

The form of such a file: a *run* record, ``{"run": 1, "about": {…}, "command": …, "date": …, "hardware": …, "versions":
…}``, whenever a process starts to measure, followed by its rows, each with ``"run": 1`` and its ``"seconds"``; when a
measurement is whole, ``{"run": 1, "complete": [seeds]}``. ``{"run": 1, "void": {fields}}`` takes back all rows before
it that have these fields.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from veil.jobs.row_formats import RowsError as RowsError
from veil.runtime import foreign
from veil.runtime.provenance import provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = dict[str, Any]
LONGEST = 1 << 24
"""Bytes of a line at most."""
LARGEST_ARRAY = 1 << 28
"""Bytes of an array in a row at most."""
_DTYPE = re.compile(r"[<>|=]?(?:[iuf][1248]|b1|\?)")


def read(file: Path) -> list[Row]:
    """Every whole line of a file; none where there is no file.

    Raises:
        RowsError: as `stream`.
    """
    return [row for _, _, row in stream(file)]


def stream(file: Path) -> Iterator[tuple[int, int, Row]]:
    """Every whole line of a file, where it begins and how long it is, in bytes; nothing where there is no file.

    Raises:
        RowsError: where the file is not text, or a whole line is something else than an object.
    """
    if not file.exists():
        return
    at = 0
    try:
        with foreign.opened(file) as handle:
            for number, line in enumerate(iter(lambda: handle.readline(LONGEST), b""), 1):
                begins, at = at, at + len(line)
                try:
                    # A measurement may be infinite, as the PSNR of what came back exactly.
                    row = foreign.parse_json(line.decode("utf-8"), finite=False) if len(line) < LONGEST else None
                except UnicodeDecodeError:
                    raise RowsError(f"{file} is not text in UTF-8") from None
                except json.JSONDecodeError:
                    continue
                except ValueError:  # a number of thousands of digits, brackets in brackets
                    row = None
                if not isinstance(row, dict):
                    raise RowsError(f"{file}, line {number}: not a row, which is a JSON object; remove that line")
                yield begins, len(line), row
    except foreign.Unreadable as error:
        raise RowsError(str(error)) from None


def open_to_append(file: Path, mode: int = 0o666) -> TextIO:
    """Opens a file of rows for `append`; where a crash cut its last line off, a new one begins.

    Args:
        mode: permissions of a new file, of which the umask takes some away.
    """
    opened = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0), mode)
    handle = os.fdopen(opened, "a", encoding="utf-8", newline="\n")
    if handle.tell():
        with file.open("rb") as last:
            last.seek(-1, os.SEEK_END)
            if last.read(1) != b"\n":
                handle.write("\n")
    return handle


def append(handle: TextIO, *rows: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Writes rows, to the disk, and returns where each of them begins and how long it is, in bytes."""
    places, at = [], handle.tell()
    for row in rows:
        line = json.dumps(row) + "\n"  # ASCII, so that characters are bytes
        handle.write(line)
        places.append((at, len(line)))
        at += len(line)
    handle.flush()
    os.fsync(handle.fileno())
    return places


class RowFile:
    """Rows of one measurement, found again by some of their fields.

    Args:
        file: where they lie.
        about: what the rows depend on, as JSON: data, model, settings. Rows measured under another ``about`` are
            refused.
        added: called with each new row.

    Raises:
        RowsError: where ``file`` holds rows of another ``about``, or lines that are no rows.
    """

    def __init__(self, file: Path, about: Mapping[str, Any], added: Callable[[Row], None] = lambda row: None) -> None:
        self.file, self.added = file, added
        self.about: dict[str, Any] = json.loads(json.dumps(about))
        lines = read(file)
        if damaged := next((line for line in lines if not _is_sound(line)), None):
            raise RowsError(f"{file} holds a line of a measurement that is damaged: {json.dumps(damaged)[:80]}")
        runs = [line for line in lines if "about" in line]
        self.complete = {seed for line in lines for seed in line.get("complete", ())}
        self.rows = measured(lines)
        for run in runs:
            if run["about"] != self.about:
                keys = self.about.keys() | run["about"].keys()
                other = sorted(key for key in keys if run["about"].get(key) != self.about.get(key))
                raise RowsError(
                    f"{file} holds rows measured under other conditions ({', '.join(other)}); "
                    "choose another --out, or remove it to measure again"
                )
        self.run = len(runs) + 1
        self.handle: TextIO | None = None
        self.since = time.perf_counter()

    def find(self, **fields: Any) -> list[Row]:
        """The rows in which every one of ``fields`` has the given value."""
        return [row for row in self.rows if _has(row, fields)]

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row, with the seconds since the one before."""
        now = time.perf_counter()
        whole = {"run": self.run, **row, "seconds": round(now - self.since, 3)}
        self.since = now
        self._write(whole)
        self.rows.append(whole)
        self.added(whole)

    def void(self, **fields: Any) -> None:
        """Takes back the rows with such fields: of something that cannot be measured to its end any more."""
        if self.find(**fields):
            self._write({"run": self.run, "void": fields})
            self.rows = _without(self.rows, fields)

    def finish(self, seeds: Iterable[int]) -> None:
        """Notes that everything there is to measure for these seeds is there."""
        fresh = sorted(set(seeds) - self.complete)
        if fresh:
            self._write({"run": self.run, "complete": fresh})
            self.complete |= set(fresh)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.handle is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.handle = open_to_append(self.file)
            append(self.handle, {"run": self.run, "about": self.about} | provenance())
        append(self.handle, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle is not None:
            self.handle.close()
            self.handle = None


def measured(lines: Iterable[Row]) -> list[Row]:
    """The rows among a file's lines that count: neither runs nor marks of completion, nor what was taken back."""
    rows: list[Row] = []
    for line in lines:
        if "void" in line:
            rows = _without(rows, line["void"])
        elif "about" not in line and "complete" not in line:
            rows.append(line)
    return rows


def _is_sound(line: Row) -> bool:
    """Whether what a line says of a measurement can be so."""
    seeds = line.get("complete", [])
    return (
        isinstance(line.get("about", {}), dict)
        and isinstance(line.get("void", {}), dict)
        and isinstance(seeds, list)
        and all(type(seed) is int for seed in seeds)
    )


def _has(row: Row, fields: Mapping[str, Any]) -> bool:
    return all(row.get(key) == value for key, value in fields.items())


def _without(rows: Iterable[Row], fields: Mapping[str, Any]) -> list[Row]:
    return [row for row in rows if not _has(row, fields)]


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON: its type, its shape, and its bytes, compressed, in base 64."""
    import numpy as np

    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "zlib": packed}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """The array that `pack` was given, of whole numbers or floating-point numbers.

    Raises:
        RowsError: for anything else, or for more than `LARGEST_ARRAY` bytes.
    """
    import numpy as np

    try:
        kind, shape = packed["dtype"], packed["shape"]
        if not isinstance(kind, str) or not _DTYPE.fullmatch(kind) or any(type(side) is not int for side in shape):
            raise ValueError("not a type or shape")
        wanted = np.dtype(kind).itemsize * math.prod(shape)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(packed["zlib"]), 1 + max(0, min(wanted, LARGEST_ARRAY)))
        if not 0 <= wanted == len(data):
            raise ValueError("another number of bytes")
        return np.frombuffer(data, np.dtype(kind)).reshape(shape).copy()
    except (KeyError, TypeError, ValueError, zlib.error):
        raise RowsError("the row holds an array that is damaged") from None
