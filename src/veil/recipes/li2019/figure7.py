"""Six sets of attributes: what is asked for, and what is hidden (Figure 7).

Paper:   Li et al. 2019, section 4.5, Figure 7
Item:    figure7
Cost:    smoke a minute; cpu 2 h on two cores; paper days on a GPU
Expect:  (a) smile 92.68 to 91.53, gender 97.36 to 58.85 %; noise: gender 90.15 %; (b) gender 59.79; (c) 63.96 %
Command: veil reproduce li2019 figure7 --scale cpu --data DIR

Plain accuracies, as the paper has them, and balanced ones beside their floors. The paper's adversary classifier is the
one of the training; here the strongest retrained attacker stands beside it. All six sets at the reduced setting
(`veil.recipes.li2019.reduced`); the first one at full size is in `audits`.
"""

from collections.abc import Sequence

from veil.audit.feature_verdicts import floor_of, in_loop, least, lift, strongest
from veil.recipes.li2019 import reduced
from veil.recipes.li2019.audits import service
from veil.recipes.li2019.reduced import Point
from veil.recipes.li2019.variants import CHEEKS, GENDER, MAKEUP, SMILE, VARIANTS, of_first_seed
from veil.recipes.recipe import Conditions, Evidence, Recipe, Scale
from veil.report.paper import Section, Table
from veil.rows import Row

ITEM = "figure7"
SETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a": ((SMILE,), (GENDER,)),
    "b": ((CHEEKS,), (GENDER,)),
    "c": ((SMILE, CHEEKS), (GENDER,)),
    "d": ((SMILE,), (GENDER, MAKEUP)),
    "e": ((CHEEKS,), (GENDER, MAKEUP)),
    "f": ((SMILE, CHEEKS), (GENDER, MAKEUP)),
}
"""What is asked for, and what is hidden."""
PRINTED = {("a", SMILE): 91.53, ("d", SMILE): 90.85, ("a", GENDER): 58.85, ("b", GENDER): 59.79, ("c", GENDER): 63.96}
"""Accuracies of DeepObfuscator in % that the paper's text names; the others are bars without numbers."""
COMPARED: dict[Scale, tuple[str, ...]] = {
    "smoke": ("undefended", "paper"), "cpu": ("undefended", "noise", "paper", "veil"),
    "paper": ("undefended", "noise", "paper", "veil"),
}  # fmt: skip
SMOKE_SETS = ("a", "f")
WORDS = {SMILE: "smile", CHEEKS: "high cheekbones", GENDER: "gender", MAKEUP: "heavy makeup"}


def points(scale: Scale) -> list[Point]:
    """All obfuscators of the figure."""
    return [
        Point(variant=variant, target=SETS[name][0], private=SETS[name][1], mark={"set": name, "variant": variant})
        for name in SETS if scale != "smoke" or name in SMOKE_SETS
        for variant in COMPARED[scale]
    ]  # fmt: skip


def measure(conditions: Conditions) -> None:
    """Rows of an audit for each set and variant."""
    reduced.measure(conditions, ITEM, points(conditions.scale))


def show(evidence: Evidence) -> Section:
    """A table for the services, one for the attackers."""
    found = by_set(evidence)
    variants = list(dict.fromkeys(variant for _, variant in found))
    sets = list(dict.fromkeys(name for name, _ in found))
    return Section(
        ITEM, "Figure 7 · Six sets of attributes", _text(),
        (_services(found, sets, variants), _attackers(found, sets, variants)), (), evidence.source(ITEM),
    )  # fmt: skip


def by_set(evidence: Evidence) -> dict[tuple[str, str], list[Row]]:
    """Rows by set and variant, of the first seed."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in of_first_seed(evidence.rows(ITEM)):
        found.setdefault((row["set"], row["variant"]), []).append(row)
    return found


def _services(found: dict[tuple[str, str], list[Row]], sets: Sequence[str], variants: Sequence[str]) -> Table:
    lines = []
    for name in sets:
        for asked in SETS[name][0]:
            cells = [f"{100 * service(found[name, each], asked)['accuracy']:.1f}" for each in variants]
            majority = service(found[name, variants[0]], asked)["majority"]
            lines.append((titled(name), WORDS[asked], _printed(name, asked), *cells, f"{100 * majority:.1f}"))
    return Table(
        "What services read, accuracy in %.",
        ("set", "", "paper", *(VARIANTS[each].title for each in variants), "majority"), tuple(lines),
    )  # fmt: skip


def _attackers(found: dict[tuple[str, str], list[Row]], sets: Sequence[str], variants: Sequence[str]) -> Table:
    lines = []
    for name in sets:
        for hidden in SETS[name][1]:
            floor = least(floor_of(found[name, variants[0]], hidden))
            cells = [_attacked(found[name, each], hidden) for each in variants]
            lines.append((titled(name), WORDS[hidden], _printed(name, hidden), *cells, f"{100 * floor:.1f}"))
    return Table(
        "What attackers read, in %: accuracy and, behind the stroke, balanced accuracy of the strongest that was "
        "trained afterwards; in brackets the accuracy of the training’s own adversary, which is what the paper prints, "
        "and how much of what there is above the floor is left.",
        ("set", "", "paper", *(VARIANTS[each].title for each in variants), "floor, balanced"), tuple(lines),
    )  # fmt: skip


def _attacked(rows: Sequence[Row], hidden: str) -> str:
    best, said = strongest(rows, hidden), in_loop(rows, hidden)
    own = "" if said is None else f"{100 * said['accuracy']:.1f}; "
    left = 100 * lift(best["balanced_accuracy"], least(floor_of(rows, hidden)))
    return f"{100 * best['accuracy']:.1f} / {100 * best['balanced_accuracy']:.1f} ({own}{left:.0f} %)"


def titled(name: str) -> str:
    """What a set is called in tables."""
    asked, hidden = ([WORDS[each] for each in part] for part in SETS[name])
    return f"({name}) {', '.join(asked)}; {', '.join(hidden)}"


def _printed(name: str, attribute: str) -> str:
    value = PRINTED.get((name, attribute))
    return "–" if value is None else f"{value:.2f}"


def _text() -> tuple[str, ...]:
    return (
        "Two questions asked, or two attributes hidden, make both harder, says the paper: what is asked for and what "
        "is hidden go together. How far they do is the floor, which no features can undo: makeup nearly says gender.",
    )  # fmt: skip


RECIPES = (Recipe(ITEM, "six sets of attributes", __name__, show, measure),)
