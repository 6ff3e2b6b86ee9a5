"""Six sets of attributes, target and private ones (Figure 7).

Paper:   Li et al. 2019, section 4.5, Figure 7
Item:    figure7
Cost:    smoke a minute; cpu 3 h on two cores; paper days on a GPU
Expect:  (a) smile 92.68 to 91.53, gender 97.36 to 58.85 %; noise: gender 90.15 %; (b) gender 59.79; (c) 63.96 %
Command: veil reproduce li2019 figure7 --scale cpu --data DIR

Plain accuracies, as the paper has them, and balanced ones and AUROC beside their floors. The paper's adversary
classifier is the one of the training; here the strongest retrained attacker is shown as well. All six sets have the
reduced setting (`veil.recipes.li2019.reduced`): the defended variants of set (a) are points of the trade-off, and
undefended variants are trained once for all sets with the same targets. Set (a) at full size is in `audits`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from veil.audits.features.readings import floor_of, in_loop, least, of_attribute, strongest
from veil.jobs.rows import Row
from veil.recipes.li2019 import reduced, tradeoff
from veil.recipes.li2019.audits import service
from veil.recipes.li2019.reduced import Point
from veil.recipes.li2019.variants import CHEEKS, GENDER, MAKEUP, SMILE, VARIANTS, of_first_seed
from veil.recipes.recipe import Conditions, Evidence
from veil.report import figures
from veil.report.page import Picture, Section, Table
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ITEM = "figure7"
SETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a": ((SMILE,), (GENDER,)),
    "b": ((CHEEKS,), (GENDER,)),
    "c": ((SMILE, CHEEKS), (GENDER,)),
    "d": ((SMILE,), (GENDER, MAKEUP)),
    "e": ((CHEEKS,), (GENDER, MAKEUP)),
    "f": ((SMILE, CHEEKS), (GENDER, MAKEUP)),
}
"""Target and private attributes of each set."""
PRINTED = {("a", SMILE): 91.53, ("d", SMILE): 90.85, ("a", GENDER): 58.85, ("b", GENDER): 59.79, ("c", GENDER): 63.96}
"""Accuracies of DeepObfuscator in % that the paper's text names; the others are bars without numbers."""
BASELINES = ("undefended", "noise")
"""Variants that are trained without private attributes: sets with the same targets share them."""
BASED = {"a": "d", "b": "e", "c": "f"}
"""Sets whose baselines other sets share; attackers of these sets read both attributes."""
COMPARED: dict[Scale, tuple[str, ...]] = {
    "smoke": ("undefended", "paper"), "cpu": ("undefended", "noise", "paper", "veil"),
    "paper": ("undefended", "noise", "paper", "veil"),
}  # fmt: skip
SMOKE_SETS = ("c", "f")
BySet = Mapping[tuple[str, str], list[Row]]
"""Rows by set and variant."""
METRICS = ("balanced_accuracy", "auroc")
WORDS = {SMILE: "smile", CHEEKS: "high cheekbones", GENDER: "gender", MAKEUP: "heavy makeup"}


def points(scale: Scale) -> list[Point]:
    """All obfuscators of the figure except the defended ones of set (a), which the trade-off contains."""
    defended = [name for name in SETS if name != "a"]
    own = [name for name in SETS if name not in BASED]
    return [
        Point(variant=variant, target=SETS[name][0], private=SETS[name][1], brief=True,
              mark={"set": name, "variant": variant})
        for variant in COMPARED[scale]
        for name in (own if variant in BASELINES else defended)
        if scale != "smoke" or name in SMOKE_SETS
    ]  # fmt: skip


def measure(conditions: Conditions) -> None:
    """Rows of an audit for each set and variant."""
    reduced.measure(conditions, ITEM, points(conditions.scale))


def by_set(evidence: Evidence) -> dict[tuple[str, str], list[Row]]:
    """Rows by set and variant, of the first seed, in the order of tables, for complete sets."""
    measured: dict[tuple[str, str], list[Row]] = {}
    for row in of_first_seed(evidence.rows(ITEM)):
        measured.setdefault((row["set"], row["variant"]), []).append(row)
    scale = evidence.conditions.scale
    for variant in BASELINES:
        for name, other in BASED.items():
            measured[name, variant] = measured.get((other, variant), [])
    settings = {name: reduced.REDUCED[scale].settings(VARIANTS[name]) for name in ("paper", "veil")}
    measured["a", "paper"] = tradeoff.of_point(evidence, "paper", settings["paper"].lambda1)
    measured["a", "veil"] = tradeoff.of_point(evidence, "veil", settings["veil"].values or 0)
    compared = COMPARED[scale]
    whole = [name for name in SETS if all(measured.get((name, variant)) for variant in compared)]
    return {(name, variant): measured[name, variant] for name in whole for variant in compared}


def show(evidence: Evidence) -> Section:
    """Tables of accuracies, as in the paper; a table and two pictures of metrics that do not depend on thresholds."""
    grouped, titles = by_set(evidence), [VARIANTS[variant].title for variant in COMPARED[evidence.conditions.scale]]
    tables = (
        Table("The sets.", ("", "asked for", "hidden"), tuple((f"({name})", *_parts(name)) for name in SETS)),
        Table("What services read, accuracy in %.", ("", "paper", *titles, "majority"), _services(grouped)),
        Table(
            "What attackers read, accuracy in %: what the paper prints, and the adversary of our training as in the "
            "paper, which is what that stands for; then the strongest that was trained afterwards, of "
            "as many as the next table says.",
            ("", "paper", "own adversary", *titles, "majority"), _attackers(grouped),
        ),
        Table(
            "What the strongest attackers read that were trained afterwards: balanced accuracy in %, and AUROC, "
            "and of how many attackers they are the strongest. One training of each.",
            ("", *titles, "floor"), _beside_floors(grouped),
        ),
    )  # fmt: skip
    pictures = (
        Picture(
            "figure7-services", "AUROC of services, by the set of attributes: high is better.",
            lambda: _bars(grouped, "service"),
        ),
        Picture(
            "figure7-attackers", "AUROC of the strongest retrained attacker, by the set of attributes: low is better; "
            "the floor is what the true answers alone give away.", lambda: _bars(grouped, "retrained attacker"),
        ),
    )  # fmt: skip
    return Section(ITEM, "Figure 7 · Six sets of attributes", _text(), tables, pictures, evidence.source(ITEM))


def _lines(by_set_and_variant: BySet, part: int) -> Iterator[tuple[str, str, dict[str, list[Row]]]]:
    """Each set with one of its attributes, target (0) or private (1), and its rows by variant."""
    for name in dict.fromkeys(name for name, _ in by_set_and_variant):
        rows = {variant: of_it for (other, variant), of_it in by_set_and_variant.items() if other == name}
        for attribute in SETS[name][part]:
            yield name, attribute, rows


def _services(grouped: BySet) -> tuple[tuple[str, ...], ...]:
    lines = []
    for name, asked, variants in _lines(grouped, 0):
        rows = [service(of_it, asked) for of_it in variants.values()]
        majority = service(variants["undefended"], asked)["majority"]
        lines.append((_label(name, asked), _printed(name, asked), *map(_accuracy, rows), _percent(majority)))
    return tuple(lines)


def _attackers(grouped: BySet) -> tuple[tuple[str, ...], ...]:
    lines = []
    for name, secret, variants in _lines(grouped, 1):
        rows = [in_loop(variants["paper"], secret)]
        rows += [strongest(of_it, secret, "accuracy") for of_it in variants.values()]
        majority = floor_of(variants["undefended"], secret)["majority"]
        lines.append((_label(name, secret), _printed(name, secret), *map(_accuracy, rows), _percent(majority)))
    return tuple(lines)


def _beside_floors(grouped: BySet) -> tuple[tuple[str, ...], ...]:
    lines = []
    for name, secret, variants in _lines(grouped, 1):
        floor = floor_of(variants["undefended"], secret)
        pairs = [[strongest(rows, secret, metric)[metric] for metric in METRICS] for rows in variants.values()]
        pairs.append([least(floor, metric) for metric in METRICS])
        cells = [f"{_percent(balanced)} ({auroc:.3f})" for balanced, auroc in pairs]
        over = [f", of {len(of_attribute(rows, secret))}" for rows in variants.values()]
        lines.append((_label(name, secret), *map("".join, zip(cells, [*over, ""], strict=True))))
    return tuple(lines)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _accuracy(row: Row | None) -> str:
    return "–" if row is None else _percent(row["accuracy"])


def _bars(grouped: BySet, who: str) -> "Figure":
    """AUROC of services, or of attackers and without any features."""
    series: dict[str, dict[str, float]] = {}
    attackers = who != "service"
    for name, attribute, variants in _lines(grouped, int(attackers)):
        group = _label(name, attribute)
        for variant, rows in variants.items():
            row = strongest(rows, attribute, "auroc") if attackers else service(rows, attribute)
            series.setdefault(VARIANTS[variant].title, {})[group] = row["auroc"]
        if attackers:
            floor = floor_of(variants["undefended"], attribute)
            series.setdefault("floor", {})[group] = least(floor, "auroc")
    return figures.bars(series, f"AUROC, {who}", reference={"chance": 0.5})


def titled(name: str) -> str:
    """The label of a set beside curves."""
    return f"({name}) {'; '.join(_parts(name))}"


def _parts(name: str) -> tuple[str, ...]:
    """The target and the private attributes of a set, in words."""
    return tuple(", ".join(WORDS[attribute] for attribute in part) for part in SETS[name])


def _label(name: str, attribute: str) -> str:
    return f"({name}) {WORDS[attribute]}"


def _printed(name: str, attribute: str) -> str:
    value = PRINTED.get((name, attribute))
    return "–" if value is None else f"{value:.2f}"


def _text() -> tuple[str, ...]:
    return (
        "The paper says that more questions, or more hidden attributes, make both tasks harder, because target and "
        "private attributes are correlated. The floor shows how much they are: it is what the true answers alone give "
        "away.",
        "At cpu scale all sets are reduced: half the width, 48×48 pixels; set (a) at full size is above. Sets with the "
        "same targets share one undefended obfuscator, whose attackers learn both attributes.",
        "The paper’s column is its DeepObfuscator. By its text, set (a) has 92.68 % (smile) and 97.36 % (gender) "
        "without a defence, 87.32 and 90.15 % with noise on raw images.",
    )  # fmt: skip
