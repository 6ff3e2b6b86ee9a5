"""Who is shown? One of four, as in the human study (Figure 5, section 4.4), asked of a face recogniser.

Paper:   Li et al. 2019, section 4.4, Figure 5
Item:    figure5
Cost:    smoke 0 s; cpu 0 s, with audits; paper 0 s
Expect:  people are right in 28 %, by guessing in 25 %
Command: veil reproduce li2019 figure5 --scale cpu --data DIR

The recogniser was not used to train the reconstructors. Without its file, only identification from the features
themselves is measured. `veil study` runs the study with people (`docs/study.md`).
"""

from collections.abc import Sequence

from veil.audits.features.page import compared
from veil.audits.features.readings import RECOGNISED, picture_floor, reconstructions, titled
from veil.jobs.rows import Row
from veil.recipes.li2019 import audits
from veil.recipes.li2019.variants import VARIANTS
from veil.recipes.recipe import Evidence
from veil.report.page import Section, Table

ITEM = "figure5"
PRINTED = {"paper": "28 (people)"}


def show(evidence: Evidence) -> Section:
    """A line for each variant and method: the best reconstruction, and features alone."""
    grouped = audits.by_variant(evidence)
    lines: list[tuple[str, ...]] = []
    for name, rows in grouped.items():
        drawn = [row for row in reconstructions(rows) if row.get("one_of_4")]
        if drawn:
            best = max(drawn, key=lambda row: float(row["one_of_4"]["rate"]))
            lines.append((VARIANTS[name].title, f"as {titled(best['attack'])} draws it", PRINTED.get(name, "–"),
                          *_cells(best)))  # fmt: skip
        lines += [(VARIANTS[name].title, compared(row), "–", *_cells(row))
                  for row in rows if row["kind"] == "identity" and "failed" not in row]  # fmt: skip
    for floor, title in (("plain", "the photo itself"), ("mean", "the mean face")):
        row = picture_floor(next(iter(grouped.values())), floor)
        if row.get("one_of_4"):
            lines.append((title, "–", "–", *_cells(row)))
    table = Table(
        "Right answers in %, in brackets intervals of 95 % over people. " + "; ".join(
            f"“{short}”: {RECOGNISED[name]}" for name, short in _SHORT.items()) + ".",
        ("", "by", "paper", *_SHORT.values()), tuple(lines),
    )  # fmt: skip
    text = (
        "The paper asked people ten questions: which of four photos shows who is in this reconstruction? That the very "
        "photo is among the four makes the question easy, for pose, hair and background help; a service that keeps "
        "features wants to know who somebody is in other photos, too.",
    )
    return Section(ITEM, "Figure 5 · Who is shown", text, (table,), (), evidence.source(audits.ITEM))


_SHORT = {"one_of_4": "1 of 4", "one_of_4_another": "1 of 4, other photo", "rank_one": "rank 1"}


def _cells(row: Row) -> Sequence[str]:
    return [_cell(row.get(name)) for name in _SHORT]


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    low, high = row["interval"]
    return f"{100 * row['rate']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
