"""The arguments of a recipe's functions: the conditions to measure under, and the rows to show.

``measure(conditions)`` appends rows to ``<results>/<paper>/<item>/<scale>.jsonl`` (`veil.jobs.rows`); existing rows are
not measured again. ``show(evidence)`` writes a section of the report from rows only. An item may show rows of another
one: the noises of Fig. 2 are those of Table 2.

A recipe's module has a head with paper, item, cost, expected numbers and command; `veil reproduce --list` prints it
(`veil.recipes.paper`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veil.jobs import rows
from veil.jobs.rows import Row, RowFile
from veil.report.numbers import duration
from veil.runtime.scales import Scale


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions of a measurement.

    Attributes:
        paper: name of the paper.
        scale: how much is measured (`veil.runtime.scales`); ``smoke`` uses synthetic data.
        seeds: the seeds to measure; None takes the recipe's.
        data: folders to search for data sets.
        model: name of the classifier for photos; None takes the recipe's.
        results: folder of the rows.
        work: folder for files that can be created again: trained networks, downloads.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        added: called with the item and each new row.
        say: called with a line about progress.
    """

    paper: str
    scale: Scale = "cpu"
    seeds: tuple[int, ...] | None = None
    data: tuple[Path, ...] = ()
    model: str | None = None
    results: Path = Path("results")
    work: Path = Path("runs")
    device: str = "auto"
    added: Callable[[str, Row], None] = field(default=lambda item, row: None, repr=False)
    say: Callable[[str], None] = field(default=lambda line: None, repr=False)

    def rows(self, item: str, about: Mapping[str, Any]) -> RowFile:
        """The file of an item's rows; see `RowFile`."""
        return RowFile(self.file(item), about, added=lambda row: self.added(item, row))

    def file(self, item: str) -> Path:
        """The path of an item's rows."""
        return self.results / self.paper / item / f"{self.scale}.jsonl"

    def seeds_or(self, default: Mapping[Scale, int]) -> tuple[int, ...]:
        """The requested seeds, or the recipe's number of seeds at this scale, from 0 on."""
        return self.seeds if self.seeds is not None else tuple(range(default[self.scale]))


@dataclass(frozen=True)
class Evidence:
    """The evidence for a section: rows, and data sets for examples, if they are available."""

    conditions: Conditions

    def lines(self, item: str) -> list[Row]:
        """All lines of an item's file: runs, rows, marks of completion."""
        return rows.read(self.conditions.file(item))

    def rows(self, item: str) -> list[Row]:
        """An item's rows."""
        return rows.measured(self.lines(item))

    def complete(self, item: str) -> bool:
        """Whether an item was measured completely for some seed."""
        return any("complete" in line for line in self.lines(item))

    def about(self, item: str) -> dict[str, Any]:
        """What an item's rows depend on; empty if nothing was measured."""
        about: dict[str, Any] = next((line["about"] for line in self.lines(item) if "about" in line), {})
        return about

    def source(self, item: str) -> str:
        """Scale, seeds, data, hardware, time and command of an item's rows, in a line."""
        lines = self.lines(item)
        runs = [line for line in lines if "about" in line]
        measured = rows.measured(lines)
        if not measured:
            return ""
        about, last = runs[-1]["about"], runs[-1]
        machine, versions = last["hardware"], last["versions"]
        seconds = sum(row["seconds"] for row in measured)
        seeds = sorted({row["seed"] for row in measured if "seed" in row})
        parts = [
            f"{self.conditions.scale} scale",
            f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}" if seeds else "",
            str(about.get("data", "")),
            f"network {about['model']}" if "model" in about else "",
            f"{len(measured)} rows in {duration(seconds)} on {machine['cores']} cores of an {machine['cpu']}"
            + (f", {machine['gpu']}" if "gpu" in machine else ""),
            f"torch {versions.get('torch', '?')}, {last['date'][:10]}",
            f"`{last['command']}`",
        ]
        return " · ".join(part for part in parts if part)
