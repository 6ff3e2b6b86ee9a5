"""Reads files that others may have written: bytes, text, JSON, TOML and gzip, with limits before memory is taken.

A small file can take all memory or time: it unpacks to a thousand times its size, nests brackets, or holds a number of
a million digits. So every such file in Veil is read by this module, or by `veil.runtime.csv_files`, which is built on
it. A file that is too large, or is not of its format, is `Unreadable`: one line that names the file.
"""

import gzip
import io
import json
import math
import os
import re
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from veil.runtime.files import open_regular, printable

MOST_DOCUMENT_BYTES = 1 << 24
"""Of a JSON or TOML file. `json` needs some fifty times as much memory for the worst of them."""
MOST_LIST_BYTES = 1 << 28
"""Of a list, such as the 200,000 photos of CelebA, which has 27 million."""
MOST_PACKED_BYTES = 1 << 30
"""Of a file of many images, and of what it unpacks to. EMNIST's largest has 550 million."""
LONGEST_LINE = 1 << 20
"""Characters."""
DEEPEST = 64
"""Brackets within brackets."""
_LONGEST_TOML_LINE = 2000  # a key of n parts takes `tomllib` n² steps: minutes for one of 100,000 bytes
_MOST_RATIO = 1032  # bytes that a byte of gzip unpacks to at most
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_LONGEST_REASON = 200


class Unreadable(ValueError):
    """A file cannot be read, is too large, or is not of its format; the message is one line that names it."""


def opened(file: Path) -> BinaryIO:
    """Opens a regular file to read it. A pipe, which could be waited for without end, is refused.

    Raises:
        FileNotFoundError: where there is no file.
        Unreadable: where it cannot be opened, or is something else than a file.
    """
    try:
        return open_regular(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _not_readable(file, error) from None


def bytes_of(file: Path, most: int) -> bytes:
    """All bytes of a file.

    Raises:
        FileNotFoundError: where there is no file.
        Unreadable: where it cannot be read, or has more than ``most`` bytes.
    """
    with opened(file) as handle:
        size = os.fstat(handle.fileno()).st_size
        if size > most:
            raise Unreadable(f"{printable(file)} has {size:,} bytes, more than the {most:,} that are read")
        try:
            return handle.read(size)
        except OSError as error:
            raise _not_readable(file, error) from None


def text_of(file: Path, most: int = MOST_LIST_BYTES) -> str:
    """The text of a file in UTF-8, with or without a mark at its beginning.

    Raises:
        FileNotFoundError, Unreadable: as `bytes_of` does, and where it is something else than text.
    """
    return _decoded(bytes_of(file, most), file)


def lines_of(file: Path, most: int = MOST_LIST_BYTES) -> Iterator[str]:
    """The lines of a text with their ends, decoded as they are asked for.

    Raises:
        FileNotFoundError, Unreadable: as `text_of` does, and for a line of more than `LONGEST_LINE` characters.
    """
    text = io.TextIOWrapper(io.BytesIO(bytes_of(file, most)), encoding="utf-8-sig", newline="")
    try:
        for number, line in enumerate(iter(lambda: text.readline(LONGEST_LINE + 1), ""), 1):
            if len(line) > LONGEST_LINE:
                raise Unreadable(f"{printable(file)}, line {number}: more than {LONGEST_LINE:,} characters")
            yield line
    except UnicodeDecodeError:
        raise _not_text(file) from None


def read_json(file: Path, most: int = MOST_DOCUMENT_BYTES) -> Any:
    """The value in a JSON file.

    Raises:
        FileNotFoundError, Unreadable: as `text_of` does, and where it is not JSON as `parse_json` reads it.
    """
    text = text_of(file, most)
    try:
        return parse_json(text)
    except ValueError as error:
        raise Unreadable(f"{printable(file)} is not JSON that can be read: {_short(error)}") from None


def parse_json(text: str, *, finite: bool = True) -> Any:
    """The value in a JSON text.

    Args:
        finite: refuse NaN and infinities, which Python writes and JSON does not have.

    Raises:
        JSONDecodeError: where it is not JSON, or is cut off.
        ValueError: for whole numbers of more than 64 bits, numbers that are not finite, or brackets nested too deep.
    """
    try:
        value = (_FINITE if finite else _ANY_FLOAT).decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


def read_toml(file: Path, most: int = MOST_DOCUMENT_BYTES) -> dict[str, Any]:
    """The table in a TOML file.

    Raises:
        FileNotFoundError, Unreadable: as `text_of` does, and where it is not TOML, has a line that takes long to read,
            or a number that is not finite.
    """
    data = bytes_of(file, most)
    if any(len(line) > _LONGEST_TOML_LINE for line in data.splitlines()):
        raise Unreadable(f"{printable(file)} has a line of more than {_LONGEST_TOML_LINE:,} bytes")
    try:
        table = tomllib.loads(_decoded(data, file), parse_float=_finite)
    except RecursionError:
        raise Unreadable(f"{printable(file)} is not TOML that can be read: {_TOO_DEEP}") from None
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable(f"{printable(file)} is not TOML that can be read: {_short(error)}") from None
    if _is_deep(table):
        raise Unreadable(f"{printable(file)} is not TOML that can be read: {_TOO_DEEP}")
    return table


def whole_number(text: str, least: int = _LEAST, most: int = _MOST) -> int:
    """The whole number that a text says, in digits.

    Raises:
        ValueError: where it says no whole number from ``least`` to ``most``.
    """
    if _WHOLE_NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
        bounds = "" if (least, most) == (_LEAST, _MOST) else f" from {least:,} to {most:,}"
        raise ValueError(f"{text.strip()[:40]!r} is not a whole number{bounds}")
    return int(text)


class Unpacked:
    """Reads bytes in order from data that may be gzipped; never more than it is asked for is unpacked.

    Args:
        data: gzipped or not.
    """

    def __init__(self, data: bytes) -> None:
        is_packed = data[:2] == b"\x1f\x8b"
        self.most = len(data) * (_MOST_RATIO if is_packed else 1)
        self._stream: Any = gzip.GzipFile(fileobj=io.BytesIO(data)) if is_packed else io.BytesIO(data)

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes, or fewer at the end.

        Raises:
            ValueError: for broken gzip.
        """
        try:
            return bytes(self._stream.read(min(count, self.most + 1)))
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"broken gzip: {error}") from None


def _decoded(data: bytes, file: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _not_text(file) from None


def _not_readable(file: Path, error: OSError) -> Unreadable:
    return Unreadable(f"{printable(file)} cannot be read: {error.strerror or error}")


def _not_text(file: Path) -> Unreadable:
    return Unreadable(f"{printable(file)} is not text in UTF-8")


def _short(error: Exception) -> str:
    return printable(" ".join(str(error).split())[:_LONGEST_REASON])


_TOO_DEEP = f"brackets within brackets, more than {DEEPEST} deep"


def _is_deep(value: Any) -> bool:
    """Whether lists and objects are nested more than `DEEPEST` deep."""
    layer = [value]
    for _ in range(DEEPEST):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(value, list | dict) for value in layer)


def _whole(text: str) -> int:
    return int(text) if len(text) < 19 else whole_number(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is not a finite number")
    return value


_FINITE = json.JSONDecoder(parse_int=_whole, parse_float=_finite, parse_constant=_finite)
_ANY_FLOAT = json.JSONDecoder(parse_int=_whole)
