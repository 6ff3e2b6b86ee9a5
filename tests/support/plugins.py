"""Rows of other packages, as entry points would add them."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from veil.runtime import tables
from veil.runtime.tables import Table


def plug(monkeypatch: pytest.MonkeyPatch, table: Table[Any], **rows: str) -> None:
    """Adds rows to a table for the length of a test: ``module:object`` by name."""
    known = tables._plugins_of

    def plugins_of(group: str) -> tuple[EntryPoint, ...]:
        own = tuple(EntryPoint(name, value, group) for name, value in rows.items()) if group == table.group else ()
        return (*known(group), *own)

    monkeypatch.setattr(tables, "_plugins_of", plugins_of)
    monkeypatch.setattr(table, "_read", dict(table._read))
