"""Reproduces papers: measures the missing rows, then shows all rows."""

from collections.abc import Sequence
from pathlib import Path

from veil.jobs import folders
from veil.recipes import PAPERS as PAPERS
from veil.recipes.paper import Paper, Recipe
from veil.recipes.recipe import Conditions, Evidence
from veil.report import page as report
from veil.report.page import Page, Section
from veil.runtime.scales import SCALES, Scale

REPORT = "report"
SMOKE = (
    "Smoke scale: made data and a few steps show that everything runs. The numbers mean nothing, and what is said "
    "of them was written of larger scales."
)


def find(name: str) -> Paper:
    """The paper for what a person typed: its name, or ``module:object``.

    Raises:
        UnknownName: where there is none.
    """
    return PAPERS.resolve(name)


def reproduce(paper: Paper, items: Sequence[str], conditions: Conditions) -> None:
    """Measures the missing rows of items and of the items that they need.

    Raises:
        ValueError: for an unknown item, or rows that were measured under other conditions.
        FolderError: where another process is measuring the rows of an item.
    """
    for recipe in paper.select(items):
        if recipe.measures is not None:
            conditions.say(f"{recipe.item}: {recipe.title}")
            with folders.locked(conditions.file(recipe.item).parent):
                recipe.measure(conditions)


def page(paper: Paper, conditions: Conditions) -> Page:
    """The page of the existing rows; items without rows say so."""
    evidence = Evidence(conditions)
    sections = [_section(recipe, evidence) for recipe in paper.recipes]
    smoke = (SMOKE,) if conditions.scale == "smoke" else ()
    return Page(paper.title, paper.citation, (*smoke, *paper.text), tuple(sections))


def _section(recipe: Recipe, evidence: Evidence) -> Section:
    shown = [*recipe.needs, *([recipe.item] if recipe.measures else [])]
    lacking = [item for item in shown if not evidence.complete(item)]
    if not lacking:
        return recipe.show(evidence)
    begun = any(evidence.rows(item) for item in lacking)
    how = "Not measured whole" if begun else "Not measured yet"
    state = f"{how} at {evidence.conditions.scale} scale: {', '.join(lacking)}."
    return Section(recipe.item, recipe.title, state=state)


def write(paper: Paper, conditions: Conditions) -> Path:
    """Writes the report of one scale, page and figures, and returns the page's path."""
    with folders.locked(folder(paper, conditions)):
        return report.write_html(page(paper, conditions), folder(paper, conditions))


def folder(paper: Paper, conditions: Conditions) -> Path:
    """The folder of one scale's report."""
    return conditions.results / paper.name / REPORT / conditions.scale


def measured_scales(paper: Paper, results: Path) -> list[Scale]:
    """The scales that have rows, the smallest first."""
    return [scale for scale in SCALES if any((results / paper.name).glob(f"*/{scale}.jsonl"))]
