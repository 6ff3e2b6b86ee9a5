"""What every recipe is made of: the conditions it is measured under, its head, and what is shown of its rows.

A *recipe* stands for one item of a paper, a table or a figure, or for an item that Veil adds to it. `Recipe.measure`
appends rows to ``<results>/<paper>/<item>/<scale>.jsonl`` (`veil.jobs.rows`); whatever is there already is not measured
again. `Recipe.show` makes a section of the report from rows and nothing else. An item may show rows of another one:
the noises of Fig. 2 are those of Table 2.

The module that a recipe lives in has a head that says paper, item, cost, the expected numbers and the command; the
list that `veil reproduce --list` prints is read from there.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from veil.jobs import rows
from veil.jobs.rows import Row, RowFile
from veil.report.numbers import duration
from veil.report.page import Section

Scale = Literal["smoke", "cpu", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)
HEAD = ("Paper", "Item", "Cost", "Expect", "Command")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a recipe is measured with.

    Attributes:
        paper: name of the paper.
        scale: ``smoke`` takes seconds and makes its own data, ``cpu`` about an hour on two cores, ``paper`` is the
            paper's own setting.
        seeds: to measure; None leaves them to the recipe.
        data: folders in which data sets are looked for.
        model: name of the classifier for photos; None leaves it to the recipe.
        results: folder of the rows.
        work: folder for what can be made again: trained networks, downloads.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        added: called with the item and each new row.
        say: called with a line about what is being done.
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
        """The file that an item's rows go to; see `RowFile`."""
        return RowFile(self.file(item), about, added=lambda row: self.added(item, row))

    def file(self, item: str) -> Path:
        """Where an item's rows lie."""
        return self.results / self.paper / item / f"{self.scale}.jsonl"

    def seeds_or(self, default: Mapping[Scale, int]) -> tuple[int, ...]:
        """The seeds that were asked for, or as many as the recipe wants at this scale, from 0 on."""
        return self.seeds if self.seeds is not None else tuple(range(default[self.scale]))


@dataclass(frozen=True)
class Evidence:
    """What a section may be made from: rows, and data sets to draw examples from where they are at hand."""

    conditions: Conditions

    def lines(self, item: str) -> list[Row]:
        """All lines of an item's file: runs, rows, marks of completion."""
        return rows.read(self.conditions.file(item))

    def rows(self, item: str) -> list[Row]:
        """An item's rows."""
        return rows.measured(self.lines(item))

    def complete(self, item: str) -> bool:
        """Whether an item was measured whole for some seed."""
        return any("complete" in line for line in self.lines(item))

    def about(self, item: str) -> dict[str, Any]:
        """What an item's rows depend on; empty where nothing was measured."""
        found: dict[str, Any] = next((line["about"] for line in self.lines(item) if "about" in line), {})
        return found

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


@dataclass(frozen=True)
class Recipe:
    """One item.

    Attributes:
        item: its name: ``table2``, ``figure8``.
        title: what it is, in a few words.
        module: name of the module with its head.
        show: makes its section.
        measure: appends its rows; None where it only shows rows of ``needs``.
        needs: items whose rows it takes.
    """

    item: str
    title: str
    module: str
    show: Callable[[Evidence], Section]
    measure: Callable[[Conditions], None] | None = None
    needs: tuple[str, ...] = ()

    def head(self) -> dict[str, str]:
        """The fields of the module's head, by name."""
        return head(sys.modules[self.module].__doc__ or "")

    def cost(self, scale: Scale) -> str:
        """What measuring costs at a scale, from the head: ``12 min on two cores``."""
        costs = dict(part.strip().split(" ", 1) for part in self.head()["Cost"].split(";"))
        return costs[scale] if self.measure else ""

    def state(self, conditions: Conditions) -> str:
        """``complete (seeds 0, 1)``, ``12 rows``, ``with table2`` or ``–``."""
        if self.measure is None:
            return f"with {', '.join(self.needs)}" if self.needs else "nothing to measure"
        lines = rows.read(conditions.file(self.item))
        seeds = sorted({seed for line in lines for seed in line.get("complete", ())})
        count = len(rows.measured(lines))
        if seeds:
            return f"complete ({'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))})"
        return f"{count} rows" if count else "–"


@dataclass(frozen=True)
class Paper:
    """A paper's recipes, in the order in which they are measured and shown."""

    name: str
    title: str
    citation: str
    text: tuple[str, ...]
    recipes: tuple[Recipe, ...]

    def select(self, items: Sequence[str]) -> list[Recipe]:
        """The recipes of ``items`` and what they need, all of them where none is named, in the paper's order.

        Raises:
            ValueError: for an item that the paper does not have.
        """
        known = {recipe.item: recipe for recipe in self.recipes}
        unknown = [item for item in items if item not in known]
        if unknown:
            raise ValueError(f"{self.name} has no item {unknown[0]!r}; it has {', '.join(known)}")
        wanted = set(items or known)
        for recipe in reversed(self.recipes):  # an item's needs stand before it
            if recipe.item in wanted:
                wanted |= set(recipe.needs)
        return [recipe for recipe in self.recipes if recipe.item in wanted]


def head(docstring: str) -> dict[str, str]:
    """The fields ``Paper:``, ``Item:``, ``Cost:``, ``Expect:`` and ``Command:`` of a recipe's docstring.

    Raises:
        ValueError: where one is missing.
    """
    found = {}
    for name in HEAD:
        match = re.search(rf"^{name}: +(.*(?:\n +.*)*)", docstring, re.MULTILINE)
        if match is None:
            raise ValueError(f"a recipe's head has no {name}")
        found[name] = " ".join(match.group(1).split())
    return found
