"""Utility against leakage, by the number of values that a client sends and the weight of the defence.

Paper:   Li et al. 2019, none of this kind there
Item:    trade-off
Cost:    smoke a minute; cpu 1 h on two cores; paper days on a GPU
Expect:  nothing in the paper; λ1 = λ2 = 1 there
Command: veil reproduce li2019 trade-off --scale cpu --data DIR

Veil's bottleneck with 1 to 128 values, with and without adversaries in the training; and the maps of Table 1 without
and with the defence of the paper, for λ1 = λ2 from 0 to 10. Reduced setting (`veil.recipes.li2019.reduced`).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from veil.audits.features.readings import drawn_best, floor_of, guess, least, lift_interval, strongest, titled, tried
from veil.jobs.rows import Row
from veil.recipes.li2019 import reduced
from veil.recipes.li2019.audits import PRIVATE, TARGET, service
from veil.recipes.li2019.reduced import Point
from veil.recipes.li2019.variants import GENDER, of_first_seed
from veil.recipes.recipe import Conditions, Evidence
from veil.report import figures
from veil.report.page import Picture, Section, Table
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ITEM = "trade-off"
VALUES: dict[Scale, tuple[int, ...]] = {
    "smoke": (2,), "cpu": (1, 2, 8, 32, 128), "paper": (1, 2, 4, 8, 16, 32, 64, 128, 512),
}  # fmt: skip
LAMBDAS: dict[Scale, tuple[float, ...]] = {
    "smoke": (), "cpu": (0.0, 1.0, 10.0), "paper": (0.0, 0.1, 0.3, 1.0, 3.0, 10.0),
}  # fmt: skip
KINDS = {
    "bottleneck": "bottleneck alone", "veil": "bottleneck and adversaries", "paper": "maps of Table 1, by λ",
}  # fmt: skip


def points(scale: Scale) -> list[Point]:
    """All obfuscators of the figure."""
    vectors = [
        Point(variant=kind, target=TARGET, private=PRIVATE, changes={"values": count},
              mark={"variant": kind, "values": count})
        for kind in ("bottleneck", "veil") for count in VALUES[scale]
    ]  # fmt: skip
    maps = [
        Point(variant="paper" if weight else "undefended", target=TARGET, private=PRIVATE,
              changes={"lambda1": weight, "lambda2": weight}, mark={"variant": "paper", "weight": weight})
        for weight in LAMBDAS[scale]
    ]  # fmt: skip
    return vectors + maps


def measure(conditions: Conditions) -> None:
    """Rows of an audit for each point."""
    reduced.measure(conditions, ITEM, points(conditions.scale))


def of_point(evidence: Evidence, variant: str, setting: float) -> list[Row]:
    """Rows of a point of the first seed, for a number of values or a λ; empty if it was not measured."""
    return _grouped(evidence.rows(ITEM)).get((variant, setting), [])


def _grouped(rows: Sequence[Row]) -> dict[tuple[str, float], list[Row]]:
    grouped: dict[tuple[str, float], list[Row]] = {}
    for row in of_first_seed(rows):
        grouped.setdefault((row["variant"], float(row.get("values") or row.get("weight") or 0)), []).append(row)
    return grouped


def _sent(rows: Sequence[Row]) -> tuple[int, int]:
    """The number of values sent, and the number of different features."""
    row = next(row for row in rows if row["kind"] == "sent")
    return math.prod(row["shape"]), int(row["different"])


def show(evidence: Evidence) -> Section:
    """A table, and utility against leakage."""
    grouped = _grouped(evidence.rows(ITEM))
    lines = []
    for (kind, setting), rows in grouped.items():
        best, drawn = strongest(rows, GENDER), drawn_best(rows, "ms_ssim")
        lines.append((
            f"maps of Table 1, λ = {setting:g}" if kind == "paper" else KINDS[kind],
            *(f"{count:,}" for count in _sent(rows)),
            f"{100 * service(rows)['balanced_accuracy']:.1f}",
            f"{100 * best['balanced_accuracy']:.1f} ({titled(best['attack'])})",
            lift_interval(best, least(floor_of(rows, GENDER))),
            f"{strongest(rows, GENDER, 'auroc')['auroc']:.3f}",
            "–" if drawn is None else f"{drawn['ms_ssim']:.3f}",
            tried(rows, GENDER),
        ))  # fmt: skip
    rows = next(iter(grouped.values()))
    drawn, floor = drawn_best(rows, "ms_ssim"), floor_of(rows, GENDER)
    lines.append((
        "floor", "", "", "50.0", f"{100 * least(floor):.1f}", "0 %", f"{least(floor, 'auroc'):.3f}",
        "–" if drawn is None else f"{guess(rows, 'ms_ssim'):.3f}", "–",
    ))  # fmt: skip
    table = Table(
        "Values sent, and how many different features all judged faces have. Balanced accuracies in %: of the service "
        "on smiles, and of the strongest retrained attacker on gender; “of what there is” puts the latter on a scale "
        "from the floor, 0 %, to certainty, 100 %. AUROC of the attacker that is best by AUROC, which needs no "
        "threshold. MS-SSIM of the pictures that the best reconstructor draws. “Strongest of”: of how many attackers "
        "of gender, and of how many reconstructions. One training of each.",
        ("", "values sent", "different", "smile", "gender", "of what there is", "AUROC", "MS-SSIM", "strongest of"),
        tuple(lines),
    )  # fmt: skip
    caption = (
        "What the service reads (right is better) against what a retrained attacker reads (low is better). The number "
        "at a point is how many values are sent, or λ. The attacker is measured by AUROC, because a threshold that was "
        "chosen on other people adds noise."
    )
    title = "Trade-off · What is sent, and what it gives away"
    return Section(
        ITEM,
        title,
        _text(),
        (table,),
        (Picture("trade-off", caption, lambda: _figure(grouped)),),
        evidence.source(ITEM),
    )


def _figure(grouped: dict[tuple[str, float], list[Row]]) -> "Figure":
    series: dict[str, list[figures.Point]] = {}
    for (kind, setting), rows in grouped.items():
        label = f"λ {setting:g}" if kind == "paper" else f"{_sent(rows)[0]:,}"
        point = 100 * service(rows)["balanced_accuracy"], strongest(rows, GENDER, "auroc")["auroc"], label
        series.setdefault(KINDS[kind], []).append(point)
    floor = least(floor_of(next(iter(grouped.values())), GENDER), "auroc")
    return figures.scatter(
        series, "smile, service, balanced accuracy in %", "gender, retrained attacker, AUROC", connected=list(series),
        reference={"a true smile alone": floor},
    )  # fmt: skip


def _text() -> tuple[str, ...]:
    return (
        "There are two ways to give less away: send fewer values, or give the adversaries more weight in the training. "
        "Each point is an obfuscator of its own, attacked afterwards.",
    )  # fmt: skip
