"""Rows of other packages, as entry points would add them."""

from importlib.metadata import EntryPoint

import pytest

from veil.runtime import tables


def plug(monkeypatch: pytest.MonkeyPatch, group: str, **rows: str) -> None:
    """Adds rows to the tables of a group for the length of a test: ``module:object`` by name."""
    known = tables._plugins_of

    def plugins_of(asked: str) -> tuple[EntryPoint, ...]:
        own = tuple(EntryPoint(name, value, group) for name, value in rows.items()) if asked == group else ()
        return (*known(asked), *own)

    monkeypatch.setattr(tables, "_plugins_of", plugins_of)
