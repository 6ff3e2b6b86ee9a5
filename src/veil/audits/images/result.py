"""What an audit of a protection of images comes to, as an object for Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from veil.attacks.images import knowledge_of, title_of
from veil.audits.images.audit import scale_of
from veil.audits.images.verdicts import Verdict, verdicts
from veil.jobs.rows import Row
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    import pandas

_HEAD = ("an attacker who …", "verdict", "because", "the strongest of")
_LEFT_OUT = ("pictures", "settings", "run", "seconds")


@dataclass(frozen=True, eq=False, repr=False)
class ImageAuditResult:
    """An audit of a protection of images.

    Attributes:
        protection: its name.
        about: what the rows depend on (`veil.audits.images.audit.ImageAudit.about`).
        rows: of attacks, controls, floors and pictures, as ``rows.jsonl`` has them (docs/audit.md).
        folder: where ``rows.jsonl``, the report and checkpoints lie. A temporary one is removed with this object.
        report: the page, in that folder.
    """

    protection: str
    about: Mapping[str, Any]
    rows: list[Row]
    folder: Path
    report: Path

    @property
    def verdicts(self) -> list[Verdict]:
        """What each kind of attacker gets, from the weakest on."""
        return verdicts(self.rows, self.scale)

    @property
    def scale(self) -> Scale | None:
        """At which scale it was made; None where it is none of ours."""
        return scale_of(self.about)

    def to_dataframe(self) -> pandas.DataFrame:
        """Attacks and floors, a line each, with every metric.

        Raises:
            ImportError: where pandas is not installed.
        """
        from veil.runtime.dataframe import dataframe

        return dataframe([_flat(row) for row in self.rows if row["kind"] != "shown"])

    def __repr__(self) -> str:
        levels = ", ".join(verdict.level for verdict in self.verdicts)
        return f"ImageAuditResult({self.protection!r}, {self.about['data']}, {self.scale} scale: {levels})"

    def _repr_html_(self) -> str:
        lines = Markup("").join(
            Markup("<tr><td>{}</td><td><b>{}</b></td><td>{}</td><td>{}</td></tr>").format(
                verdict.attacker, verdict.words, verdict.text, verdict.over
            )
            for verdict in self.verdicts
        )
        return str(
            Markup("<table><caption>Audit of {} on {}</caption><tr>{}</tr>{}</table>").format(
                self.protection, self.about["data"],
                Markup("").join(map(Markup("<th>{}</th>").format, _HEAD)), lines,
            )
        )  # fmt: skip


def _flat(row: Row) -> Row:
    """A row's own fields, and what its attack is called and knows."""
    flat = {name: value for name, value in row.items() if name not in _LEFT_OUT}
    if row["kind"] in ("attack", "control"):
        knowledge = knowledge_of(row)
        flat |= {"title": title_of(row), "has": None if knowledge is None else knowledge.title}
    return flat
