"""Losses of the adversarial training (Figure 6).

Paper:   Li et al. 2019, section 4.5, Figure 6
Item:    figure6
Cost:    smoke 0 s; cpu 0 s, with audits; paper 0 s
Expect:  L(AC) and L(AR) rise from 0.02 to 0.6, L(C) slightly
Command: veil reproduce li2019 figure6 --scale cpu --data DIR

Means by epoch; the paper shows every hundredth batch.
"""

from veil.obfuscation.deep_obfuscator import ADVERSARIAL
from veil.recipes.li2019 import audits
from veil.recipes.li2019.variants import VARIANTS
from veil.recipes.recipe import Evidence, Recipe
from veil.report import figures
from veil.report.figures import Curve, Panel
from veil.report.paper import Picture, Section
from veil.rows import Row

ITEM = "figure6"
LOSSES = {"classifier": "L(C)", "adversary": "L(AC)", "reconstructor": "L(AR)"}


def show(evidence: Evidence) -> Section:
    """A panel for each variant with an adversarial training."""
    panels = []
    for name, rows in audits.by_variant(evidence).items():
        logs = [row for row in rows if row["kind"] == "training" and row["stage"] == ADVERSARIAL]
        series = {title: curve for loss, title in LOSSES.items() if (curve := _curve(logs, loss)) is not None}
        if series:
            panels.append(Panel(ylabel=VARIANTS[name].title.replace("DeepObfuscator, ", ""), series=series))
    picture = Picture(
        "figure6", "Losses of the adversarial training, means by epoch.", lambda: figures.curves(panels, "epoch")
    )
    text = ("Losses of networks that are trained against each other say how these two stand, not how a third would do. "
            "An L(AC) of 0.69, that of tossing a coin, is what the attackers above had before them.",)  # fmt: skip
    return Section(ITEM, "Figure 6 · Losses", text, (), (picture,), evidence.source(audits.ITEM))


def _curve(logs: list[Row], loss: str) -> Curve | None:
    found = [(row["epoch"] + 1, row[loss]) for row in logs if loss in row]
    return Curve([x for x, _ in found], [y for _, y in found]) if found else None


RECIPES = (Recipe(ITEM, "losses of the adversarial training", __name__, show, needs=(audits.ITEM,)),)
