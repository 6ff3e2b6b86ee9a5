"""Conclusions in papers' pages are those of the rows: where rows are other, they say something else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from repository import REPOSITORY

from veil.jobs import rows
from veil.recipes import papers
from veil.recipes.recipe import Conditions, Evidence

Row = dict[str, Any]
Change = Callable[[Row], Row]


@cache
def lines_of(paper: str, item: str) -> list[Row]:
    return rows.read(REPOSITORY / f"results/{paper}/{item}/cpu.jsonl")


@dataclass(frozen=True)
class Changed(Evidence):
    """Rows of results/ as they would be, had something else been measured."""

    change: Change

    def lines(self, item: str) -> list[Row]:
        return [self.change(line) for line in lines_of(self.conditions.paper, item)]


def said(paper: str, item: str, change: Change = lambda row: row) -> str:
    recipe = next(each for each in papers.find(paper).recipes if each.item == item)
    section = recipe.show(Changed(Conditions(paper=paper, results=REPOSITORY / "results"), change))
    cells = [cell for table in section.tables for row in table.rows for cell in row]
    return " ".join([*section.text, *cells])


def where(fields: Row, **new: Any) -> Change:
    """Rows that have such fields get new ones: values, or functions of the row."""

    def change(row: Row) -> Row:
        if not all(row.get(name) == value for name, value in fields.items()):
            return row
        return {**row, **{name: value(row) if callable(value) else value for name, value in new.items() if name in row}}

    return change


def answers(*digits: int) -> list[int]:
    return [10_000 // len(digits) if digit in digits else 0 for digit in range(10)]


ALL = list(range(10))
LIU = [
    ("table2", "moves accuracy by up to", where({}, accuracy=0.2)),
    ("table2", "agrees with a signed mean", where({}, mean_signed=0.5)),
    ("table2", "The pattern is the paper's", where({"target": 3}, accuracy=0.9)),
    ("figure3", "Nearly all misread digits", where({"target": 0}, predicted=answers(*ALL))),
    ("figure4", "holds on average", where({"rule": "clip"}, accuracy=0.0)),
    (
        "figure5",
        "depends on the network's random start",
        where({"rule": "clip", "targets": ALL}, predicted=answers(3, 5)),
    ),
    ("figure7", "The errors are 2s and 3s", where({"rule": "clip", "targets": [2, 3]}, predicted=answers(4, 7))),
    ("universal-entropy", "is where the curve bends", where({"icp_weight": 1.0}, ice=0.1)),
    ("universal-losses", "it is worse than −ICE in both", where({"loss": "KL to uniform"}, ice=2.0)),
    ("universal-losses", "A higher temperature is worse", where({"loss": "−ICE at temperature 2"}, ice=2.0)),
    ("universal-losses", "mislead without confusing", where({"loss": "margin"}, ice=2.0)),
    ("digit-entropy", "can be brought near its ceiling", where({"method": "direct"}, ice=1.0)),
    ("table3", "The paper's claim holds", where({}, class_after=lambda row: row["true_class"])),
    ("table3", "agree with the paper's", where({}, iterations=90)),
    ("table3", "is less sure of the originals", where({}, icp_before=0.9)),
    ("figure12", "The shape is the paper's", where({"targets": 2}, ice_after=0.1)),
    ("figure12", "partly cancel", where({"targets": 5}, mean_abs=0.1)),
    ("figure12", "is higher here than the paper's", where({"targets": 0}, ice_after=0.5)),
    ("photo-entropy", "two noises disturb each other", where({"targets": 2}, ice_after=1.0)),
    ("photo-entropy", "ends at the same entropy", where({"method": "-H"}, ice_after=5.0)),
]
SIRICHOTEDUMRONG = [
    ("preliminary", "is right about nearly all of", where({"epsilon": 64}, accuracy=0.97)),
    ("preliminary", "more often than about plain ones", where({"epsilon": 64}, accuracy=0.9)),
    ("preliminary", "What shows falls with ε throughout", where({"epsilon": 96}, visible=0.9)),
    ("preliminary", "one more shows than in", where({"epsilon": 128}, visible=0.01)),
    ("transformation", "stays readable to people", where({"method": "cyclegan", "preset": "paper"}, visible=0.05)),
    ("transformation", "it helps to begin as the classifier", where({"method": "unet"}, accuracy=0.2)),
    ("table1-accuracy", "it is as good on plain images", where({"protection": "pixel-different"}, plain_top1=0.2)),
    ("table1-accuracy", "far better than a guess", where({"protection": "pixel-same"}, plain_top1=0.005)),
    ("table1-accuracy", "are lost on plain ones", where({"protection": "tanaka"}, plain_top1=0.5)),
    ("table1-accuracy", "and better than one that had plain", where({"protection": "transformed"}, top1=0.5)),
    ("table1-accuracy", "a short training costs them more", where({"protection": "tanaka"}, top1=0.99)),
    ("table1-accuracy", "the more so with 100 classes", where({"protection": "tanaka", "classes": 100}, top1=0.54)),
    ("key-statistics", "all come back as negatives", where({}, ssim=lambda row: abs(row["ssim"]))),
    ("key-statistics", "some low nibbles stay unknown", where({"cipher": "tanaka"}, exact=1.0)),
    ("table1-ssim", "what is below 0 is a negative", where({"attack": "ga"}, ssim=0.3)),
    ("table1-ssim", "Nobody needs to try keys", where({"kind": "attack"}, ssim=0.2)),
    ("table1-ssim", "shows photos without any attack", where({"preset": "paper"}, visible=0.05)),
    ("table1-ssim", "gives nothing back of the pixel-based", where({"attack": "uwa"}, ssim=0.5)),
    (
        "table1-ssim",
        "the ciphers are broken",
        where({"attack": "block-statistics"}, ssim=0.1),
    ),
]
LI = [
    ("table4", "is less than that of plain grey", where({"floor": "grey"}, psnr=5.0)),
    ("figure6", "lose at most 1.0 points", where({"kind": "attribute", "variant": "paper"}, balanced_accuracy=0.6)),
]
CASES = [
    *(("liu2019", *case) for case in LIU),
    *(("sirichotedumrong2020", *case) for case in SIRICHOTEDUMRONG),
    *(("li2019", *case) for case in LI),
]
unchanged = cache(said)


@pytest.mark.parametrize(
    ("paper", "item", "conclusion", "change"), CASES, ids=[f"{each[1]}: {each[2]}" for each in CASES]
)
def test_a_conclusion_stands_only_where_rows_say_so(paper: str, item: str, conclusion: str, change: Change) -> None:
    assert conclusion in unchanged(paper, item)
    assert conclusion not in said(paper, item, change)
