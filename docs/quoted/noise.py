"""Noise on photos (`results/nips17`: 400 photos of the NIPS 2017 development set, one seed) and on digits."""

import math
from collections.abc import Iterable
from typing import Any

from quoted.sources import Conclusions, Numbers, count, mean, one, percent, rows
from veil.jobs.rows import Row

CLASSES = 1000
JPEG = "jpeg75"


def of(scheme: str) -> list[Row]:
    """The photos that a scheme protected."""
    return rows(f"nips17/{scheme}-seed-0")


def views(scheme: str, role: str) -> list[Any]:
    """What a network answers on each of them: the one of the descent, or the unseen one."""
    return [view for row in of(scheme) for view in row["networks"].values() if view["role"] == role]


def reached(scheme: str) -> Iterable[bool]:
    """Whether the wanted score was reached, by photo."""
    wanted = one("nips17/runs", name=f"{scheme}-seed-0")["run"]["settings"]["required_score"]
    return (row["target_score"] >= wanted for row in of(scheme))


def on_top(scheme: str, role: str, when: str = "after") -> Iterable[bool]:
    """Whether the true class is a network's first answer, by photo."""
    return (view[f"top1_{when}"] for view in views(scheme, role))


def after_jpeg(scheme: str) -> Iterable[bool]:
    """The same after JPEG 75, for the network of the descent."""
    return (view["top1_survival"][JPEG] for view in views(scheme, "descent"))


def in_five(scheme: str) -> list[bool]:
    """Whether the true class is among the first five of the network of the descent, by photo."""
    return [view["top5_after"] for view in views(scheme, "descent")]


NUMBERS: Numbers = {
    "nips17.photos": lambda: f"{len(of('crs'))}",
    "nips17.unseen.on-top": lambda: count(on_top("crs", "unseen", "before")),
    "nips17.descent.on-top": lambda: count(on_top("crs", "descent", "before")),
    "crs.reached": lambda: count(reached("crs")),
    "crs.icp.before": lambda: f"{mean(of('crs'), 'icp_before'):.3f}",
    "crs.icp": lambda: f"{mean(of('crs'), 'icp_after'):.5f}",
    "crs.on-top": lambda: count(on_top("crs", "descent")),
    "crs.unseen.on-top": lambda: count(on_top("crs", "unseen")),
    "crs.jpeg": lambda: count(after_jpeg("crs")),
    "cis.ice": lambda: f"{mean(of('cis'), 'ice_after'):.1f}",
    "entropy.ice": lambda: f"{mean(of('entropy'), 'ice_after'):.2f}",
    "entropy.ice.most": lambda: f"{math.log(CLASSES):.2f}",
    "entropy.on-top": lambda: count(on_top("entropy", "descent")),
    "entropy.in-five": lambda: count(in_five("entropy")),
    "entropy.in-five.share": lambda: percent(sum(in_five("entropy")) / len(in_five("entropy")), 0),
    "entropy.jpeg": lambda: count(after_jpeg("entropy")),
}
CONCLUSIONS: Conclusions = {
    "entropy.jpeg-undoes-it-sooner": lambda: sum(after_jpeg("entropy")) > sum(after_jpeg("crs")),
    "noise.others-mostly-see-the-truth": lambda: all(
        sum(on_top(scheme, "unseen")) > sum(on_top(scheme, "unseen", "before")) / 2
        for scheme in ("crs", "cis", "entropy")
    ),
    "noise.universal-is-weaker": lambda: (
        max(row["accuracy"] for row in rows("liu2019/digit-entropy/cpu") if row["method"] == "direct")
        < min(row["accuracy"] for row in rows("liu2019/universal-entropy/cpu"))
    ),
}
