"""Formats of rows of folder jobs: types, a version, and a check of rows that were read from a file.

A row is a JSON object. Its type is a `TypedDict` beside the job that writes it. `RowFormat` checks rows against that
type, so that a field is named in one place only. Others may have changed a file of rows: a row that lacks a field, or
holds a value of another type, is refused in one line, or its file is done again.

**Versions.** A row without ``version`` has version 1; all rows so far are such. A format whose fields change their
meaning writes the next number, and reads both versions.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import (
    Any,
    Generic,
    NotRequired,
    TypedDict,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from veil.runtime.files import printable

Row = Mapping[str, Any]
R = TypeVar("R")
Check = Callable[[object], str | None]
"""Returns what is wrong with a value, as words that follow its name; None for a right value."""

_KINDS: dict[object, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    NoneType: ((NoneType,), "null"),
}


class RowsError(ValueError):
    """Rows cannot be read or added; the message is one line for a person."""


class Stamp(TypedDict):
    """Size and modification time of a source, as `veil.jobs.job.stamp` takes them."""

    bytes: int
    modified_ns: int


class DoneRow(TypedDict):
    """Row of a file that has an output. Every job adds fields of its own.

    Attributes:
        file: name of the source, relative to the folder that was given.
        out: name of the output, relative to the output folder.
        seconds: from reading to writing, including time spent waiting.
        notes: conversions that the user did not ask for.
        out_sha256: of the bytes of the output, by which a later run sees whether it was changed. Rows of older
            versions have none.
        pixels_sha256: of size and pixels of the decoded source (`veil.images.content_digest`).
    """

    file: str
    out: str
    seconds: float
    error: None
    notes: list[str]
    source: Stamp
    out_sha256: NotRequired[str]
    pixels_sha256: NotRequired[str]


class FailedRow(TypedDict):
    """Row of a file that failed and has no output.

    Attributes:
        error: the reason, in one line.
    """

    file: str
    out: None
    error: str


@dataclass(frozen=True, kw_only=True)
class RowFormat(Generic[R]):
    """Format of a job's rows.

    Attributes:
        command: the command that writes them, for messages.
        done: type of the row of a file that has an output, a `TypedDict`.
        failed: further fields of failed rows, with their values.
        never_empty: names of lists in a done row that must hold something.
        version: the version that is written; this and earlier ones are read.
    """

    command: str
    done: type[R]
    failed: Mapping[str, Any] = field(default_factory=dict)
    never_empty: tuple[str, ...] = ()
    version: int = 1

    def problem(self, row: Row) -> str | None:
        """Says why this is not a row of the job; None if it is one."""
        version = row.get("version", 1)
        if not isinstance(version, int) or not 1 <= version <= self.version:
            return f"it has version {printable(str(version)[:20])}; this Veil reads up to {self.version}"
        if row.get("error") is not None:
            return _check(FailedRow)(row)
        kind: Any = self.done
        return _check(kind)(row) or next((f"{name} is empty" for name in self.never_empty if not row[name]), None)

    def check(self, row: Row) -> R | FailedRow:
        """The row, checked and typed.

        Raises:
            RowsError: where it is no row of the job.
        """
        if problem := self.problem(row):
            raise RowsError(f"the row of {printable(str(row.get('file')))} is not of {self.command}: {problem}")
        return row  # type: ignore[return-value]


@cache
def _check(kind: Any) -> Check:
    """The check of a type: a type of JSON, a list or mapping of checked types, a union, or a `TypedDict`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        return _check_fields({name: _check(inner) for name, inner in get_type_hints(kind).items()}, kind)
    if origin in (Union, UnionType):
        return _check_alternatives([_check(inner) for inner in arguments])
    if origin is list:
        return _check_list(_check(arguments[0]))
    if origin is dict:
        return _check_mapping(_check(arguments[1]))
    kinds, named = _KINDS[kind]
    return lambda value: (
        None
        if isinstance(value, kinds) and (kind is bool or value.__class__ is not bool) and _is_finite(value)
        else f"is not {named}"
    )


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _check_fields(checks: Mapping[str, Check], kind: Any) -> Check:
    required = kind.__required_keys__

    def check(value: object) -> str | None:
        if not isinstance(value, Mapping):
            return "is not an object"
        for name, inner in checks.items():
            if name in value:
                if problem := inner(value[name]):
                    return f"{name} {problem}"
            elif name in required:
                return f"{name} is missing"
        return None

    return check


def _check_alternatives(checks: list[Check]) -> Check:
    def check(value: object) -> str | None:
        problems = [inner(value) for inner in checks]
        return None if None in problems else problems[0]

    return check


def _check_list(inner: Check) -> Check:
    def check(value: object) -> str | None:
        if not isinstance(value, list):
            return "is not a list"
        return next((f"holds something else: it {problem}" for member in value if (problem := inner(member))), None)

    return check


def _check_mapping(inner: Check) -> Check:
    def check(value: object) -> str | None:
        if not isinstance(value, Mapping):
            return "is not an object"
        problems = ((name, inner(member)) for name, member in value.items())
        return next((f"{printable(str(name))} {problem}" for name, problem in problems if problem), None)

    return check
