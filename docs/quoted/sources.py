"""Rows of results/, each file read once, and numbers as texts."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

from veil.jobs.rows import Row, measured, read

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "results"
Numbers = dict[str, Callable[[], str]]
"""What is quoted, by name."""
Conclusions = dict[str, Callable[[], bool]]
"""Whether the rows still say what a page concludes from them, by name."""


@cache
def lines(file: str) -> list[Row]:
    """All lines of ``results/<file>.jsonl``: runs, rows, marks of completion.

    Raises:
        FileNotFoundError: where there is no such file.
    """
    path = RESULTS / f"{file}.jsonl"
    if not path.is_file():
        raise FileNotFoundError(path)
    return read(path)


@cache
def rows(file: str) -> list[Row]:
    """Its rows that count."""
    return measured(lines(file))


def about(file: str) -> Row:
    """What its rows depend on: data, settings."""
    return next(line["about"] for line in lines(file) if "about" in line)


def some(file: str, **fields: object) -> list[Row]:
    """The rows with such fields, at least one.

    Raises:
        LookupError: where there is none.
    """
    matching = [row for row in rows(file) if all(row.get(name) == value for name, value in fields.items())]
    if not matching:
        raise LookupError(f"no row of {file} has {fields}")
    return matching


def one(file: str, **fields: object) -> Row:
    """The only row with such fields.

    Raises:
        LookupError: where there is none, or another.
    """
    matching = some(file, **fields)
    if len(matching) > 1:
        raise LookupError(f"{len(matching)} rows of {file} have {fields}")
    return matching[0]


def mean(matching: Iterable[Row], field: str) -> float:
    """The mean of a field."""
    return fmean(row[field] for row in matching)


def count(flags: Iterable[bool]) -> str:
    """How many are true."""
    return f"{sum(flags):,}"


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 in percent, without the sign: ``74.8``."""
    return f"{100 * share:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """With the sign that texts have for minus."""
    return f"{value:.{digits}f}".replace("-", "−")


def span(values: Sequence[float], digits: int = 1, between: str = " to ") -> str:
    """The least and the largest: ``93.4 to 94.5``."""
    return f"{min(values):,.{digits}f}{between}{max(values):,.{digits}f}"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Cells as a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))
