"""Rows of papers: the name of a paper, its items, and the module that measures each item.

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
        title: a description in a few words.
        module: name of the module with its head and functions.
        shows: name of the function that writes its section of the report from rows (`veil.recipes.recipe.Evidence`).
        measures: name of the function that appends its rows (`veil.recipes.recipe.Conditions`); None if it only shows
            rows of ``needs``.
        needs: items whose rows it uses.
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
        """Appends the missing rows; does nothing if it has no rows of its own."""
        if self.measures is not None:
            self._function(self.measures)(conditions)

    def _function(self, name: str) -> Any:
        return getattr(import_module(self.module), name)

    def head(self) -> dict[str, str]:
        """The fields of the module's head, by name."""
        return head(docstring(self.module))

    def cost(self, scale: Scale) -> str:
        """The cost of measuring at a scale, from the head: ``12 min on two cores``."""
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
        name: the name that a person types, and of its folder of rows.
        title: authors, year and subject.
        citation: the full citation.
        text: paragraphs of its page.
        recipes: a recipe stands after the recipes that it needs.
        measured: whether all items were measured at cpu scale, so that its page in the documentation shows numbers. A
            paper can be registered earlier; its page then lists what is not measured yet.
    """

    name: str
    title: str
    citation: str
    text: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    measured: bool = True

    def select(self, items: Sequence[str]) -> list[Recipe]:
        """The recipes of ``items`` and the recipes that they need, in the paper's order; all recipes for no items.

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
    """The docstring of a module, without importing the module; only its parent packages are imported.

    Raises:
        ValueError: if the module or its source does not exist.
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
