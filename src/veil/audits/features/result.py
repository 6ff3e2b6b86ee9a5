"""What comes of an audit of a client, for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil.runtime.dataframe import dataframe

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from veil.audits.features.verdicts import FeatureVerdict
    from veil.data.faces import Faces
    from veil.jobs.rows import Row

_PICTURES = "pictures"


@dataclass(frozen=True, eq=False, repr=False)
class FeatureAuditResult:
    """The result of an audit of what a client sends.

    Attributes:
        protection: the client's name.
        verdicts: what the strongest attacker gets: one for each private attribute, for the image, and for the person.
        gaps: by private attribute, what the training's own adversaries read (``training``), what the strongest attacker
            reads who came later (``retrained``, ``attack``), and the difference (``gap``).
        rows: all measurements; `veil.audits.features.running` says what they are.
        about: what the rows depend on.
        report: the page that was written; None where there is no folder for it.
        reconstructed: some of the judged faces, and what the strongest reconstructor draws of what is sent of them,
            uint8 (N, 3, H, W); None unless they were asked for.
    """

    protection: str
    verdicts: Sequence[FeatureVerdict]
    gaps: Sequence[Row]
    rows: Sequence[Row]
    about: Mapping[str, Any]
    report: Path | None = None
    reconstructed: tuple[Faces, Tensor] | None = field(default=None)

    @property
    def scale(self) -> str:
        """At which scale it was made."""
        return str(self.about["settings"]["scale"])

    def to_dataframe(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame, without pictures.

        Raises:
            ImportError: where pandas is not installed.
        """
        return dataframe(row for row in self.rows if _PICTURES not in row)

    def __repr__(self) -> str:
        levels = ", ".join(f"{one.about}: {one.level}" for one in self.verdicts)
        return f"FeatureAuditResult({self.protection!r}, {self.scale}, {levels})"

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><th>{escape(one.about)}</th><td>{escape(one.words)}</td><td>{escape(one.text)}</td>"
            f"<td>{escape(one.over)}</td></tr>"
            for one in self.verdicts
        )
        return (
            f"<table><caption>Audit of {escape(self.protection)}: what the strongest attacker gets</caption>"
            f"<tr><th></th><th>verdict</th><th>because</th><th>the strongest of</th></tr>{lines}</table>"
        )
