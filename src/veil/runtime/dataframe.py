"""Rows as a pandas DataFrame, where pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def dataframe(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A DataFrame with a line for each row; fields of fields become columns ``source.bytes``.

    Raises:
        ImportError: where pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise ImportError("a DataFrame needs pandas: pip install pandas") from None
    return pd.json_normalize([dict(row) for row in rows])
