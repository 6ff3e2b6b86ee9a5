"""Rows of tables as commands offer them: in help and in completion."""

from collections.abc import Callable, Mapping
from typing import Any

from veil.runtime.scales import TITLES
from veil.runtime.tables import Table

SCALE_HELP = "; ".join(f"{scale}: {title}" for scale, title in TITLES.items()) + "."


def titled(rows: Mapping[str, Any]) -> str:
    """``crs: networks see another class; cis: networks hesitate``."""
    return "; ".join(f"{name}: {row.title}" for name, row in rows.items())


def completion(table: Table[Any]) -> Callable[[str], list[tuple[str, str]]]:
    """What a shell offers for a name of the table: the names that begin so, with their titles."""

    def offered(incomplete: str) -> list[tuple[str, str]]:
        return [(name, row.title) for name, row in table.items() if name.startswith(incomplete)]

    return offered
