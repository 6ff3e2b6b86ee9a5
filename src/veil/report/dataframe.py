"""Rows as a pandas DataFrame, where pandas is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from veil.runtime.errors import UserError

if TYPE_CHECKING:
    import pandas


def dataframe(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """A line for every row; what a row does not have is missing there.

    Raises:
        UserError: where pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise UserError('a DataFrame needs pandas: pip install "veil[pandas]"') from None
    return pandas.DataFrame.from_records([dict(row) for row in rows])
