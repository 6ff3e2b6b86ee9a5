"""The papers that Veil reproduces, and how: measure what is missing, then show what is there."""

from collections.abc import Sequence
from pathlib import Path

from veil.jobs import folders
from veil.recipes import li2019, liu2019, sirichotedumrong2020
from veil.recipes.recipe import SCALES, Conditions, Evidence, Paper, Scale
from veil.report import page as report
from veil.report.page import Page, Section

PAPERS: dict[str, Paper] = {paper.name: paper for paper in (liu2019.PAPER, sirichotedumrong2020.PAPER, li2019.PAPER)}
REPORT = "report"
SMOKE = (
    "Smoke scale: made data and a few steps show that everything runs. The numbers mean nothing, and what is said "
    "of them was written of larger scales."
)


def find(name: str) -> Paper:
    """A paper by its name.

    Raises:
        ValueError: where there is none.
    """
    if name not in PAPERS:
        raise ValueError(f"there is no paper {name!r}; there are {', '.join(PAPERS)}")
    return PAPERS[name]


def reproduce(paper: Paper, items: Sequence[str], conditions: Conditions) -> None:
    """Measures the rows that items, and what they need, still lack.

    Raises:
        ValueError: for an unknown item, or rows that were measured under other conditions.
        FolderError: where another process is measuring the rows of an item.
    """
    for recipe in paper.select(items):
        if recipe.measure is not None:
            conditions.say(f"{recipe.item}: {recipe.title}")
            with folders.locked(conditions.file(recipe.item).parent):
                recipe.measure(conditions)


def page(paper: Paper, conditions: Conditions) -> Page:
    """What is shown of the rows that are there; items without rows say so."""
    evidence = Evidence(conditions)
    sections = []
    for recipe in paper.recipes:
        shown = [*recipe.needs, *([recipe.item] if recipe.measure else [])]
        lacking = [item for item in shown if not evidence.complete(item)]
        if lacking:
            state = f"Not measured whole at {conditions.scale} scale: {', '.join(lacking)}."
            sections.append(Section(recipe.item, recipe.title, state=state))
        else:
            sections.append(recipe.show(evidence))
    smoke = (SMOKE,) if conditions.scale == "smoke" else ()
    return Page(paper.title, paper.citation, (*smoke, *paper.text), tuple(sections))


def write(paper: Paper, conditions: Conditions) -> Path:
    """Writes the report of one scale, page and figures, and returns the page's path."""
    return report.write_html(page(paper, conditions), folder(paper, conditions))


def folder(paper: Paper, conditions: Conditions) -> Path:
    """Where the report of one scale lies."""
    return conditions.results / paper.name / REPORT / conditions.scale


def measured_scales(paper: Paper, results: Path) -> list[Scale]:
    """The scales that have rows, the smallest first."""
    return [scale for scale in SCALES if any((results / paper.name).glob(f"*/{scale}.jsonl"))]
