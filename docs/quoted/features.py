"""Obfuscated features: results/li2019, cpu scale, one training of each kind (seed 0)."""

import math
from collections.abc import Iterator
from itertools import pairwise

from quoted.sources import Conclusions, Numbers, percent, some, span, table
from veil.audits.features import readings
from veil.audits.features.readings import (
    drawn_best,
    floor_of,
    guess,
    in_loop,
    least,
    of_attribute,
    picture_floor,
    reconstructions,
)
from veil.audits.levels import LEAKS
from veil.jobs.rows import Row

AUDITS, TRADE_OFF, SETS = "li2019/audits/cpu", "li2019/trade-off/cpu", "li2019/figure7/cpu"
SMILE, GENDER, MAKEUP = "Smiling", "Male", "Heavy_Makeup"
ASKED = {"a": (SMILE,), "b": ("High_Cheekbones",), "c": (SMILE, "High_Cheekbones")}
ASKED |= {"d": ASKED["a"], "e": ASKED["b"], "f": ASKED["c"]}
"""What each set of Figure 7 asks for; (d) to (f) hide makeup, too."""
BASED = {"a": "d", "b": "e", "c": "f"}
"""Sets that have what is not defended in common with another."""
MOST = 0.5
"""Share of what there is from which on a defence does not hold."""
LAMBDAS, VALUES = (0.0, 1.0, 10.0), (1, 2, 8, 32, 128)
"""Settings of the trade-off."""
WORDS = {
    "undefended": "maps without any defence",
    "noise": "maps of noisy photos (σ 0.3 of 1)",
    "paper": "`paper`",
    "authors-code": "`authors-code`",
    "bottleneck": "bottleneck of `veil`, without adversaries",
    "veil": "`veil`",
}


def audit(variant: str) -> list[Row]:
    """Rows of one way to train, at full size."""
    return some(AUDITS, variant=variant, seed=0)


def point(variant: str, **setting: object) -> list[Row]:
    """Rows of a point of the trade-off: so many values, or such a λ."""
    return some(TRADE_OFF, variant=variant, seed=0, **setting)


def of_set(name: str, variant: str) -> list[Row]:
    """Rows of a set of Figure 7; the defended ones of set (a) are points of the trade-off."""
    if variant in ("undefended", "noise"):
        return some(SETS, set=BASED.get(name, name), variant=variant, seed=0)
    if name == "a":
        return point("paper", weight=1.0) if variant == "paper" else point("veil", values=32)
    return some(SETS, set=name, variant=variant, seed=0)


def service(rows: list[Row], attribute: str = SMILE) -> Row:
    """What the service reads of what it asks for."""
    (row,) = (row for row in rows if row["kind"] == "service" and row["attribute"] == attribute)
    return row


def served(rows: list[Row], attribute: str = SMILE, metric: str = "balanced_accuracy") -> float:
    """How well it does."""
    return float(service(rows, attribute)[metric])


def read(rows: list[Row], attribute: str = GENDER, metric: str = "balanced_accuracy") -> float:
    """What the strongest attacker reads who is trained afterwards."""
    return float(readings.strongest(rows, attribute, metric)[metric])


def own(rows: list[Row], attribute: str = GENDER, metric: str = "balanced_accuracy") -> float | None:
    """What the training's own adversary reads, its threshold chosen anew on validation faces."""
    row = in_loop(rows, attribute)
    return None if row is None else float(row[metric])


def own_by_epoch(variant: str) -> list[float]:
    """The same at its own threshold, on validation faces, as the training's log has it."""
    log = [row for row in audit(variant) if row["kind"] == "training" and row["stage"] == "adversarial"]
    return [row["watched_adversary"] for row in log]


def drawn(rows: list[Row], attack: str | None = None, metric: str = "ms_ssim") -> float:
    """What is nearest to the photo of all that was drawn afterwards, or of what one attacker drew."""
    best = drawn_best([row for row in rows if attack in (None, row.get("attack"))], metric)
    assert best is not None
    return float(best[metric])


def drawn_in_loop(rows: list[Row]) -> float:
    """MS-SSIM of what the training's own reconstructor draws."""
    (row,) = (row for row in reconstructions(rows, in_loop=True) if row["attack"] == "in-loop")
    return float(row["ms_ssim"])


def recognised(rows: list[Row], asked: str, kinds: tuple[str, ...] = ("reconstruction", "identity")) -> float:
    """How often a person is told rightly, in what was drawn afterwards or by features alone."""
    rates = [row[asked]["rate"] for row in rows if row["kind"] in kinds and row["attack"] != "in-loop" and row[asked]]
    return float(max(rates))


def floors(rows: list[Row], asked: str) -> float:
    """The same for pictures that need no features."""
    return max(float(picture_floor(rows, name)[asked]["rate"]) for name in readings.GUESSES)


def sent(rows: list[Row]) -> Row:
    """What is sent of the judged faces."""
    return next(row for row in rows if row["kind"] == "sent")


def faces(share: float | str) -> int:
    """How many faces an attacker has: all, or a share of their own."""
    (count,) = {row["faces"] for row in audit("paper") if row["kind"] == "attribute" and row["share"] == share}
    return int(count)


def judged() -> Row:
    """The faces and people that attackers of attributes are judged on."""
    return service(audit("paper"))


def points() -> dict[tuple[str, int], list[Row]]:
    """Points of the trade-off that send few values, with and without adversaries."""
    return {(kind, count): point(kind, values=count) for kind in ("bottleneck", "veil") for count in VALUES}


def point_auroc(kind: str, values: int) -> float:
    """AUROC of the strongest attacker of gender where so many values are sent."""
    return read(point(kind, values=values), GENDER, "auroc")


def of_lambdas(metric: str) -> list[float]:
    """The service's balanced accuracy, or the AUROC of the strongest attacker of gender, on maps, by λ."""
    by_weight = [point("paper", weight=weight) for weight in LAMBDAS]
    return [served(rows) if metric == "smile" else read(rows, GENDER, "auroc") for rows in by_weight]


def hidden_attributes() -> Iterator[tuple[str, str]]:
    """Sets and their hidden attributes."""
    for name in ASKED:
        yield name, GENDER
        if name in BASED.values():
            yield name, MAKEUP


def over_sets(variant: str, attribute: str) -> list[float]:
    """What the strongest attacker reads of an attribute, by set."""
    return [read(of_set(name, variant), hides) for name, hides in hidden_attributes() if hides == attribute]


def set_floors(metric: str = "balanced_accuracy") -> list[float]:
    """What the true answers give away, by set and hidden attribute."""
    return [least(floor_of(of_set(name, "undefended"), hides), metric) for name, hides in hidden_attributes()]


def above_floors(metric: str) -> list[float]:
    """By how much attackers of Veil's training read more than true answers give away."""
    read_by = [read(of_set(name, "veil"), hides, metric) for name, hides in hidden_attributes()]
    return [value - floor for value, floor in zip(read_by, set_floors(metric), strict=True)]


def own_over_sets() -> list[float]:
    """Accuracies of the own adversaries of the paper's training, by set and hidden attribute."""
    shares = (own(of_set(name, "paper"), hides, "accuracy") for name, hides in hidden_attributes())
    return [value for value in shares if value is not None]


def lost(variant: str) -> list[float]:
    """What services lose to no defence, in points of accuracy, by set and question."""
    return [
        100 * (served(of_set(name, "undefended"), asked, "accuracy") - served(of_set(name, variant), asked, "accuracy"))
        for name, questions in ASKED.items() for asked in questions
    ]  # fmt: skip


def left(variant: str, what: str) -> float:
    """What attackers still get, of what lies between the floor and no defence at all: of gender, or of the image."""
    rows, plain = audit(variant), audit("undefended")
    if what == "gender":
        least_of, reached, most = least(floor_of(rows, GENDER)), read(rows), read(plain)
    else:
        least_of, reached, most = guess(rows, "ms_ssim"), drawn(rows), drawn(plain)
    return (reached - least_of) / (most - least_of)


def presets() -> str:
    """What every way to train gives away, as a table."""
    lines = [
        (title, percent(served(rows)), "–" if own(rows) is None else percent(own(rows) or 0),
         f"{percent(read(rows))} (of {len(of_attribute(rows, GENDER))})",
         f"{drawn(rows):.3f}", percent(recognised(rows, "rank_one")))
        for title, rows in ((title, audit(name)) for name, title in WORDS.items())
    ]  # fmt: skip
    rows = audit("undefended")
    lines.append((
        "without any features (of gender: from a true smile)", "50.0", "–", percent(least(floor_of(rows, GENDER))),
        f"{guess(rows, 'ms_ssim'):.3f}", percent(floors(rows, "rank_one")),
    ))  # fmt: skip
    return table(
        ("`--preset`", "smile", "gender, training's own adversary", "gender, strongest retrained (of how many)",
         "MS-SSIM", "who, rank 1"), lines,
    )  # fmt: skip


TABLES: Numbers = {"li2019.presets": presets}
NUMBERS: Numbers = {
    "li2019.judged": lambda: f"{judged()['count']:,}",
    "li2019.people": lambda: f"{judged()['people']}",
    "li2019.faces.service": lambda: f"{faces('all') - faces(1.0):,}",
    "li2019.smile.undefended": lambda: percent(served(audit("undefended"))),
    "li2019.smile.paper": lambda: percent(served(audit("paper"))),
    "li2019.smile.authors-code": lambda: percent(served(audit("authors-code"))),
    "li2019.smile.veil": lambda: percent(served(audit("veil"))),
    "li2019.smile.lost-to-noise": lambda: percent(served(audit("undefended")) - served(audit("noise"))),
    "li2019.gender.own": lambda: percent(own(audit("paper")) or 0),
    "li2019.gender.own.logged": lambda: percent(own_by_epoch("paper")[-1]),
    "li2019.gender.own.logged.least": lambda: percent(min(own_by_epoch("paper"))),
    "li2019.gender.own.logged.most": lambda: percent(max(own_by_epoch("paper"))),
    "li2019.gender.undefended": lambda: percent(read(audit("undefended"))),
    "li2019.gender.paper": lambda: percent(read(audit("paper"))),
    "li2019.gender.paper.by": lambda: readings.titled(readings.strongest(audit("paper"), GENDER)["attack"]),
    "li2019.gender.authors-code": lambda: percent(read(audit("authors-code"))),
    "li2019.gender.only-images": lambda: percent(read(audit("only-images"))),
    "li2019.gender.veil": lambda: percent(read(audit("veil"))),
    "li2019.gender.floor": lambda: percent(least(floor_of(audit("veil"), GENDER))),
    "li2019.gender.auroc.undefended": lambda: f"{read(audit('undefended'), GENDER, 'auroc'):.3f}",
    "li2019.gender.auroc.veil": lambda: f"{read(audit('veil'), GENDER, 'auroc'):.3f}",
    "li2019.gender.auroc.floor": lambda: f"{least(floor_of(audit('veil'), GENDER), 'auroc'):.3f}",
    "li2019.drawn.own": lambda: f"{drawn_in_loop(audit('paper')):.3f}",
    "li2019.drawn.mean-face": lambda: f"{picture_floor(audit('paper'), 'mean')['ms_ssim']:.3f}",
    "li2019.drawn.grey": lambda: f"{picture_floor(audit('paper'), 'grey')['ms_ssim']:.3f}",
    "li2019.drawn.undefended": lambda: f"{drawn(audit('undefended')):.3f}",
    "li2019.drawn.undefended.mirror": lambda: f"{drawn(audit('undefended'), 'mirror'):.3f}",
    "li2019.drawn.paper": lambda: f"{drawn(audit('paper')):.3f}",
    "li2019.drawn.paper.mirror": lambda: f"{drawn(audit('paper'), 'mirror'):.3f}",
    "li2019.drawn.paper.others": lambda: span(
        [drawn(audit("paper"), name) for name in ("urec1", "urec2", "resrec")], 3
    ),
    "li2019.drawn.authors-code": lambda: f"{drawn(audit('authors-code')):.3f}",
    "li2019.drawn.only-attributes": lambda: f"{drawn(audit('only-attributes')):.3f}",
    "li2019.drawn.veil": lambda: f"{drawn(audit('veil')):.3f}",
    "li2019.rank-one.veil": lambda: percent(recognised(audit("veil"), "rank_one")),
    "li2019.rank-one.paper": lambda: percent(recognised(audit("paper"), "rank_one")),
    "li2019.rank-one.undefended": lambda: percent(recognised(audit("undefended"), "rank_one")),
    "li2019.rank-one.floor": lambda: percent(floors(audit("undefended"), "rank_one")),
    "li2019.one-of-4.paper": lambda: percent(recognised(audit("paper"), "one_of_4", ("reconstruction",)), 0),
    "li2019.one-of-4.mean-face": lambda: percent(picture_floor(audit("paper"), "mean")["one_of_4"]["rate"], 0),
    "li2019.veil.different": lambda: f"{sent(audit('veil'))['different']}",
    "li2019.veil.bits": lambda: f"{math.log2(sent(audit('veil'))['different']):.1f}",
    "trade-off.points": lambda: f"{len(some(TRADE_OFF, kind='sent'))}",
    "trade-off.smile": lambda: span([100 * served(rows) for rows in points().values()]),
    "trade-off.auroc.bottleneck.1": lambda: f"{point_auroc('bottleneck', 1):.2f}",
    "trade-off.auroc.bottleneck.128": lambda: f"{point_auroc('bottleneck', 128):.2f}",
    "trade-off.auroc.veil.128": lambda: f"{point_auroc('veil', 128):.2f}",
    "trade-off.maps.smile": lambda: ", ".join(map(percent, of_lambdas("smile"))),
    "trade-off.maps.auroc": lambda: ", ".join(f"{value:.3f}" for value in of_lambdas("auroc")),
    "figure7.gender.paper": lambda: span([100 * value for value in over_sets("paper", GENDER)]),
    "figure7.gender.undefended": lambda: span([100 * value for value in over_sets("undefended", GENDER)]),
    "figure7.gender.veil": lambda: span([100 * value for value in over_sets("veil", GENDER)]),
    "figure7.makeup.paper": lambda: span([100 * value for value in over_sets("paper", MAKEUP)]),
    "figure7.makeup.undefended": lambda: span([100 * value for value in over_sets("undefended", MAKEUP)]),
    "figure7.makeup.veil": lambda: span([100 * value for value in over_sets("veil", MAKEUP)]),
    "figure7.own": lambda: span([100 * value for value in own_over_sets()], 0),
    "figure7.lost.paper": lambda: span(lost("paper"), 0),
    "figure7.lost.veil": lambda: f"{max(lost('veil')):.1f}",
    "figure7.above-floor": lambda: percent(max(above_floors("balanced_accuracy"))),
    "figure7.above-floor.auroc": lambda: f"{max(above_floors('auroc')):.2f}",
    "figure7.floors": lambda: span([100 * value for value in set_floors()]),
}
CONCLUSIONS: Conclusions = {
    "li2019.veil.gender": lambda: read(audit("veil")) - least(floor_of(audit("veil"), GENDER)) < 0.01,
    "li2019.veil.face": lambda: left("veil", "image") < LEAKS,
    "li2019.veil.serves": lambda: served(audit("veil")) > served(audit("undefended")) - 0.01,
    "li2019.images.do-not-hold": lambda: left("paper", "image") > MOST,
    "li2019.gender.does-not-hold": lambda: left("paper", "gender") > MOST,
    "li2019.drawn.own.below-grey": lambda: (
        drawn_in_loop(audit("paper"))
        < picture_floor(audit("paper"), "grey")["ms_ssim"]
        < guess(audit("paper"), "ms_ssim")
    ),
    "li2019.service.holds": lambda: round(100 * (served(audit("undefended")) - served(audit("paper")))) == 2,
    "li2019.nearly-nothing": lambda: min(left("paper", "gender"), left("paper", "image")) > 0.9,
    "li2019.authors-code": lambda: min(left("authors-code", "gender"), left("authors-code", "image")) > 0.9,
    "li2019.only": lambda: left("only-images", "gender") > MOST and left("only-attributes", "image") > MOST,
    "li2019.only.itself": lambda: left("only-images", "image") > MOST and left("only-attributes", "gender") > MOST,
    "li2019.noise": lambda: all(left("noise", what) < left("paper", what) for what in ("gender", "image")),
    "trade-off.smile.alike": lambda: (
        max(answers["balanced_accuracy_interval"][0] for answers in map(service, points().values()))
        < min(answers["balanced_accuracy_interval"][1] for answers in map(service, points().values()))
    ),
    "trade-off.bottleneck.leaks-more": lambda: all(
        point_auroc("bottleneck", fewer) < point_auroc("bottleneck", more) for fewer, more in pairwise(VALUES)
    ),
    "trade-off.adversaries": lambda: (
        point_auroc("bottleneck", 128) - point_auroc("veil", 128) > 0.05
        and all(abs(point_auroc("bottleneck", few) - point_auroc("veil", few)) < 0.02 for few in (1, 2))
    ),
    "trade-off.lambda": lambda: (
        of_lambdas("smile")[0] - of_lambdas("smile")[-1] > 0.05
        and of_lambdas("auroc")[0] - of_lambdas("auroc")[-1] < 0.02
    ),
    "figure7.no-consequence": lambda: all(
        abs(defended - plain) < 0.02
        for hides in (GENDER, MAKEUP)
        for defended, plain in zip(over_sets("paper", hides), over_sets("undefended", hides), strict=True)
    ),
}
