"""Rows of papers: what a paper is called, which items of it are measured, and which module measures an item.

A row is read without importing what it describes, so that lists and ``--help`` do not wait. The module of a recipe is
imported when its rows are measured or shown; its *head*, which says paper, item, cost, expected numbers and command,
is read from the file.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from veil.recipes.recipe import Conditions, Evidence
    from veil.report.page import Section

HEAD = ("Paper", "Item", "Cost", "Expect", "Command")


@dataclass(frozen=True)
class Recipe:
    """One item of a paper, a table or a figure, or an item that Veil adds to it.

    Attributes:
        item: its name: ``table2``, ``figure8``.
        title: what it is, in a few words.
        module: name of the module with its head and functions.
        shows: name of the function that makes its section of the report from rows (`veil.recipes.recipe.Evidence`).
        measures: name of the function that appends its rows (`veil.recipes.recipe.Conditions`); None where it only
            shows rows of ``needs``.
        needs: items whose rows it takes.
    """

    item: str
    title: str
    module: str
    shows: str = "show"
    measures: str | None = "measure"
    needs: tuple[str, ...] = ()

    def show(self, evidence: "Evidence") -> "Section":
        """Its section of the report."""
        section: Section = self._function(self.shows)(evidence)
        return section

    def measure(self, conditions: "Conditions") -> None:
        """Appends the rows that are missing; does nothing where it has none of its own."""
        if self.measures is not None:
            self._function(self.measures)(conditions)

    def _function(self, name: str) -> Any:
        return getattr(import_module(self.module), name)

    def head(self) -> dict[str, str]:
        """The fields of the module's head, by name."""
        return head(docstring(self.module))

    def cost(self, scale: Scale) -> str:
        """What measuring costs at a scale, from the head: ``12 min on two cores``."""
        costs = dict(part.strip().split(" ", 1) for part in self.head()["Cost"].split(";"))
        return costs[scale] if self.measures else ""

    def state(self, conditions: "Conditions") -> str:
        """``complete (seeds 0, 1)``, ``12 rows``, ``with table2`` or ``–``."""
        from veil.jobs import rows

        if self.measures is None:
            return f"with {', '.join(self.needs)}" if self.needs else "nothing to measure"
        lines = rows.read(conditions.file(self.item))
        seeds = sorted({seed for line in lines for seed in line.get("complete", ())})
        count = len(rows.measured(lines))
        if seeds:
            return f"complete ({'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))})"
        return f"{count} rows" if count else "–"


@dataclass(frozen=True)
class Paper:
    """A paper and its recipes, in the order in which they are measured and shown.

    Attributes:
        name: by which it is chosen, and which folders of rows have.
        title: who, when, and what about.
        citation: in full.
        text: paragraphs of its page.
        recipes: those that others need stand before them.
        measured: whether all of it was measured at cpu scale, so that its page in the documentation shows numbers. A
            paper can be registered before; its page says what is not measured yet.
    """

    name: str
    title: str
    citation: str
    text: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    measured: bool = True

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
        for recipe in reversed(self.recipes):
            if recipe.item in wanted:
                wanted |= set(recipe.needs)
        return [recipe for recipe in self.recipes if recipe.item in wanted]


@cache
def docstring(module: str) -> str:
    """The docstring of a module, which is not imported for it; only the packages that it lies in are.

    Raises:
        ValueError: where there is no such module, or no source of it.
    """
    spec = find_spec(module)
    source = spec.loader.get_source(module) if spec is not None and hasattr(spec.loader, "get_source") else None  # type: ignore[union-attr]
    if source is None:
        raise ValueError(f"there is no source of a module {module}")
    return ast.get_docstring(ast.parse(source)) or ""


def head(docstring: str) -> dict[str, str]:
    """The fields ``Paper:``, ``Item:``, ``Cost:``, ``Expect:`` and ``Command:`` of a recipe's docstring.

    Raises:
        ValueError: where one is missing.
    """
    fields = {}
    for name in HEAD:
        match = re.search(rf"^{name}: +(.*(?:\n +.*)*)", docstring, re.MULTILINE)
        if match is None:
            raise ValueError(f"a recipe's head has no {name}")
        fields[name] = " ".join(match.group(1).split())
    return fields
