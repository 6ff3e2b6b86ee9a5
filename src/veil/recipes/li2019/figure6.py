"""Losses of the adversarial training (Figure 6).

Paper:   Li et al. 2019, section 4.5, Figure 6
Item:    figure6
Cost:    smoke 0 s; cpu 0 s, with audits and figure7; paper 0 s
Expect:  L(AC) and L(AR) rise from 0.02 to 0.6, L(C) slightly
Command: veil reproduce li2019 figure6 --scale cpu --data DIR

Means by epoch; the paper shows every hundredth batch.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from veil.audits.features.readings import strongest
from veil.jobs.rows import Row
from veil.protections.features.deep_obfuscator import ADVERSARIAL
from veil.recipes.li2019 import audits, figure7
from veil.recipes.li2019.variants import GENDER, VARIANTS
from veil.recipes.recipe import Evidence
from veil.report import figures
from veil.report.figures import Curve, Panel
from veil.report.page import Picture, Section

ITEM = "figure6"
LOSSES = {"classifier": "L(C)", "adversary": "L(AC)", "reconstructor": "L(AR)"}


def show(evidence: Evidence) -> Section:
    """A panel for each training with an adversarial stage."""
    ways = {VARIANTS[name].title.replace("DeepObfuscator, ", ""): rows
            for name, rows in audits.by_variant(evidence).items()}  # fmt: skip
    sets = {figure7.titled(name): rows for (name, variant), rows in figure7.by_set(evidence).items()
            if variant == "paper"}  # fmt: skip
    pictures = tuple(
        Picture(name, f"Losses of the adversarial training, means by epoch: {what}.",
                partial(figures.curves, _panels(by_title), "epoch"))
        for name, what, by_title in (
            ("figure6", "smile asked for, gender hidden, by the ways to train", ways),
            ("figure6-sets", "as in the paper, by the set of attributes, at the setting of Figure 7", sets),
        )
    )  # fmt: skip
    text = (
        "Losses of networks that are trained against each other say how these two stand, not how a third would do. "
        "The paper’s L(AC) and L(AR) rise from 0.02 to 0.6, and it takes this for what attackers lose. "
        + _lost(evidence),
        "L(AR) is 1 − MS-SSIM. A coin has an L(AC) of 0.69 for each hidden attribute; losses of two are added, as are "
        "those of two questions in L(C).",
    )
    source = evidence.source(audits.ITEM)
    return Section(ITEM, "Figure 6 · Losses", text, (), pictures, source)


def _lost(evidence: Evidence) -> str:
    """The loss of gender attackers trained after the paper's training, at full size and in the sets of Figure 7."""
    whole, sets = audits.by_variant(evidence), figure7.by_set(evidence)
    pairs = [(whole["undefended"], whole["paper"])] if {"undefended", "paper"} <= whole.keys() else []
    pairs += [(sets[name, "undefended"], rows) for (name, variant), rows in sets.items() if variant == "paper"]
    lost = [100 * (_read(plain) - _read(defended)) for plain, defended in pairs]
    if not lost:
        return ""
    return (
        "Those that come after the same training, above and in Figure 7, lose at most "
        f"{max(0.0, *lost):.1f} points of balanced accuracy on gender."
    )


def _read(rows: Sequence[Row]) -> float:
    return float(strongest(rows, GENDER)["balanced_accuracy"])


def _panels(by_title: Mapping[str, Sequence[Row]]) -> list[Panel]:
    """A panel for each training with an adversarial stage."""
    panels = []
    for title, rows in by_title.items():
        logs = [row for row in rows if row["kind"] == "training" and row["stage"] == ADVERSARIAL]
        series = {loss: curve for name, loss in LOSSES.items() if (curve := _curve(logs, name)) is not None}
        if series:
            panels.append(Panel(ylabel=title, series=series))
    return panels


def _curve(logs: list[Row], loss: str) -> Curve | None:
    points = [(row["epoch"] + 1, row[loss]) for row in logs if loss in row]
    return Curve([x for x, _ in points], [y for _, y in points]) if points else None
