"""Which pages quote, and everything that they may quote."""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeVar

from quoted import ciphers, computed, costs, features, fuzz, noise, packaged, speed
from quoted.marks import Quoted
from quoted.sources import REPOSITORY

T = TypeVar("T")
MADE = ("cli.md", "results.md", "liu2019.md", "sirichotedumrong2020.md", "li2019.md")
"""Pages of docs that other commands make whole."""


def pages() -> list[Path]:
    """README, SECURITY and docs, the benchmarks' README, and those of what is packaged."""
    docs = (page for page in (REPOSITORY / "docs").glob("*.md") if page.name not in MADE)
    rest = chain(docs, (REPOSITORY / "benchmarks").glob("*.md"), (REPOSITORY / "src").rglob("packaged/*.md"))
    return [REPOSITORY / "README.md", REPOSITORY / "SECURITY.md", *sorted(rest)]


@cache
def quoted() -> Quoted:
    """All of it.

    Raises:
        ValueError: where two modules have the same name for something.
    """
    numbers = _joined(module.NUMBERS for module in (ciphers, computed, costs, features, fuzz, noise, packaged, speed))
    conclusions = _joined(module.CONCLUSIONS for module in (ciphers, features, fuzz, noise, packaged, speed))
    return Quoted(numbers, conclusions, _joined(module.TABLES for module in (costs, features, fuzz, speed)))


def _joined(tables: Iterable[Mapping[str, T]]) -> dict[str, T]:
    merged: dict[str, T] = {}
    for table in tables:
        twice = merged.keys() & table.keys()
        if twice:
            raise ValueError(f"quoted twice: {', '.join(sorted(twice))}")
        merged |= table
    return merged
