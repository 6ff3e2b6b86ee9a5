"""What reproducing costs: what the heads of recipes say, and the time that rows took."""

from functools import cache

from quoted.sources import RESULTS, Numbers, rows, table
from veil.recipes import papers
from veil.recipes.paper import Paper, Recipe
from veil.report.numbers import duration

SCALE = "cpu"


@cache
def seconds(paper: str, item: str) -> float:
    """How long the rows of an item took to measure; 0 where there are none."""
    file = f"{paper}/{item}/{SCALE}"
    return sum(row["seconds"] for row in rows(file)) if (RESULTS / f"{file}.jsonl").is_file() else 0.0


def whole(paper: Paper) -> float:
    """How long all of its rows took."""
    return sum(seconds(paper.name, recipe.item) for recipe in paper.recipes)


def costs() -> str:
    """A line for each paper, and one for each of its items."""
    lines = [
        line
        for paper in papers.PAPERS.values()
        for line in (
            (f"**[{paper.name}]({paper.name}.md)**", f"**{paper.title}**", "", f"**{_took(whole(paper))}**", ""),
            *(_line(paper, recipe) for recipe in paper.recipes),
        )
    ]
    return table(("item", "", "`--scale cpu`", "took", "`--scale paper`"), lines)


def _line(paper: Paper, recipe: Recipe) -> tuple[str, ...]:
    if recipe.measures is None:
        return (
            f"`{recipe.item}`",
            recipe.title,
            f"with {', '.join(recipe.needs)}" if recipe.needs else "seconds",
            "",
            "",
        )
    return (
        f"`{recipe.item}`", recipe.title, recipe.cost("cpu"), _took(seconds(paper.name, recipe.item)),
        recipe.cost("paper"),
    )  # fmt: skip


def _took(value: float) -> str:
    return duration(value) if value else "not measured"


TABLES: Numbers = {"costs": costs}
NUMBERS: Numbers = {"costs.liu2019": lambda: duration(whole(papers.find("liu2019")))}
