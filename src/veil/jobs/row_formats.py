"""What rows of folder jobs look like: types, a version, and a check of rows that come from a file.

A row is a JSON object. Its type is a `TypedDict` beside the job that writes it, and `RowFormat` checks rows against
that type, so that a field is named in one place only. Rows that were read have been in other hands: what lacks a field
or holds something else in it is refused in one line, or its file is done again.

**Versions.** A row without ``version`` has version 1, as every row that was ever written. A format that changes what
its fields mean writes the next number and reads both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, TypedDict, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from veil.runtime.files import printable

Row = Mapping[str, Any]
R = TypeVar("R")
Check = Callable[[object], str | None]
"""Says what is wrong with a value, in the words that follow its name; None if nothing is."""

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
    """Of a file that has an output; every job's rows have these fields, and others.

    Attributes:
        file: name of the source, relative to the folder that was given.
        out: name of the output, relative to the output folder.
        seconds: from reading to writing, waiting included.
        notes: what was changed besides what was asked for.
    """

    file: str
    out: str
    seconds: float
    error: None
    notes: list[str]
    source: Stamp


class FailedRow(TypedDict):
    """Of a file that has no output.

    Attributes:
        error: why, in one line.
    """

    file: str
    out: None
    error: str


@dataclass(frozen=True, kw_only=True)
class RowFormat(Generic[R]):
    """What a job's rows look like.

    Attributes:
        command: whose rows they are, for messages.
        done: type of a row whose file has an output, a `TypedDict`.
        failed: fields that failed rows have besides those of `FailedRow`.
        never_empty: lists of a done row that hold something.
        version: of the rows that are written; all up to this one are read.
    """

    command: str
    done: type[R]
    failed: Mapping[str, Any] = field(default_factory=dict)
    never_empty: tuple[str, ...] = ()
    version: int = 1

    def problem(self, row: Row) -> str | None:
        """What makes this no row of the job; None if it is one."""
        version = row.get("version", 1)
        if not isinstance(version, int) or not 1 <= version <= self.version:
            return f"it has version {printable(str(version)[:20])}; this Veil reads up to {self.version}"
        if row.get("error") is not None:
            return _check(FailedRow)(row)
        kind: Any = self.done
        return _check(kind)(row) or next((f"{name} is empty" for name in self.never_empty if not row[name]), None)

    def check(self, row: Row) -> R | FailedRow:
        """The row, with its type.

        Raises:
            RowsError: where it is no row of the job.
        """
        if problem := self.problem(row):
            raise RowsError(f"the row of {printable(str(row.get('file')))} is not of {self.command}: {problem}")
        return row  # type: ignore[return-value]


@cache
def _check(kind: Any) -> Check:
    """The check of a type: of JSON's own, of lists and mappings of such, of alternatives, of a `TypedDict`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        return _check_fields({name: _check(each) for name, each in get_type_hints(kind).items()}, kind)
    if origin in (Union, UnionType):
        return _check_alternatives([_check(each) for each in arguments])
    if origin is list:
        return _check_list(_check(arguments[0]))
    if origin is dict:
        return _check_mapping(_check(arguments[1]))
    kinds, named = _KINDS[kind]
    return lambda value: (
        None if isinstance(value, kinds) and (kind is bool or value.__class__ is not bool) else f"is not {named}"
    )


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
        return next((f"holds something else: it {problem}" for each in value if (problem := inner(each))), None)

    return check


def _check_mapping(inner: Check) -> Check:
    def check(value: object) -> str | None:
        if not isinstance(value, Mapping):
            return "is not an object"
        found = ((name, inner(each)) for name, each in value.items())
        return next((f"{printable(str(name))} {problem}" for name, problem in found if problem), None)

    return check
