"""What rows of an audit of features say, in plain words: for each private attribute, the image, and the person.

The strongest attacker counts (`veil.audits.features.readings`). A level says how far it gets above the floor; one that
gets nothing is worth what its positive control says (`veil.audits.levels`), and one below the floor raises an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from veil.audits.features.evidence import drew, of_attackers, read_attribute, recognised
from veil.audits.features.readings import (
    ASKED,
    PICTURE_METRICS,
    compared_by,
    drawn_best,
    floors_of,
    guess,
    in_loop,
    least,
    lift,
    of_attribute,
    reconstructions,
    retrained,
    strongest,
    titled,
)
from veil.audits.features.settings import ALL
from veil.audits.levels import LEAKS, InWords, Judgement, at_scale, level_of, of_nothing, people_of, share
from veil.jobs.rows import Row
from veil.report.numbers import interval
from veil.runtime.scales import Scale

FLOORS = {
    "answers": "what the service’s answers give away as sent",
    "true": "what its answers would give away, were they all right",
}


@dataclass(frozen=True)
class FeatureVerdict(InWords):
    """What comes out about one thing.

    Attributes:
        about: an attribute, or ``the image``, ``the person``.
        level: a key of `veil.audits.levels.LEVELS`.
        text: a sentence or two.
        strongest: the row that says most.
        reason: what the level says of itself: of "nothing found", what the same attackers did elsewhere.
        attacks: how many trained attackers the strongest was chosen from.
        count: of how many judged faces the rates are.
        people: of how many people these are; None where nobody knows.
        scale: of the audit, where it is known.
        alarm: a warning that the strongest attacker is below a floor; empty where it is not.
    """

    about: str
    level: str
    text: str
    strongest: Row
    reason: str = ""
    attacks: int = 0
    count: int | None = None
    people: int | None = None
    scale: Scale | None = None
    alarm: str = ""

    @property
    def over(self) -> str:
        """What stands beside the verdict: over how many attackers and faces, at which scale."""
        tried = f"{self.attacks} trained attacker{'s' * (self.attacks != 1)}"
        return ", ".join(filter(None, (tried, people_of(self.count, self.people), at_scale(self.scale))))


def verdicts(rows: Sequence[Row], hides: Sequence[str], scale: Scale | None = None) -> list[FeatureVerdict]:
    """One for each private attribute, one for the image, and one for the person where people are known.

    Args:
        scale: of the audit; ``smoke`` gives no verdicts, but numbers.
    """
    reached = [_attribute(rows, name, scale) for name in hides if of_attribute(rows, name)]
    if drawn_best(rows, "ms_ssim") is not None:
        reached.append(_image(rows, scale))
    if person := _person(rows, scale):
        reached.append(person)
    return reached


@dataclass(frozen=True)
class Distance:
    """How far an attacker is above a floor, in balanced accuracy.

    Attributes:
        floor: a key of `FLOORS`.
        value: of the floor, never below a guess.
        difference: the attacker's minus that.
        interval: of the difference, 95 %: paired where the row has it, else that of the attacker alone.
    """

    floor: str
    value: float
    difference: float
    interval: tuple[float, float]
    paired: bool

    @property
    def words(self) -> str:
        low, high = (100 * bound for bound in self.interval)
        alone = "" if self.paired else ", of the attacker alone"
        side = "above" if self.difference >= 0 else "below"
        return (
            f"{abs(100 * self.difference):.1f} points {side} {FLOORS[self.floor]}, {100 * self.value:.1f} % "
            f"(difference, 95 %{alone}: {low:+.1f} to {high:+.1f} points)"
        )


def distances(rows: Sequence[Row], name: str, row: Row) -> list[Distance]:
    """How far the attacker of a row is above each floor, the answers as sent before the true ones."""
    floors = floors_of(rows, name)
    value = float(row["balanced_accuracy"])
    known = []
    for floor in (one for one in FLOORS if one in floors):
        floor_value = least(floors[floor])
        paired = row.get("above", {}).get(floor) if floors[floor]["balanced_accuracy"] >= 0.5 else None
        low, high = (bound - floor_value for bound in row["balanced_accuracy_interval"])
        bounds = (low, high) if paired is None else (paired["interval"][0], paired["interval"][1])
        known.append(Distance(floor, floor_value, value - floor_value, bounds, paired is not None))
    return known


def _attribute(rows: Sequence[Row], name: str, scale: Scale | None) -> FeatureVerdict:
    best, measured = strongest(rows, name), of_attribute(rows, name)
    apart = distances(rows, name, best)
    text = (
        f"{titled(best['attack'])}, with {best['faces']:,} faces to learn from, is right in {_percent(best)} "
        f"({interval(best['balanced_accuracy_interval'])}; balanced accuracy over "
        f"{people_of(best.get('count'), best.get('people'))}): {'; '.join(one.words for one in apart)}."
    )
    loop = in_loop(rows, name)
    if loop is not None:
        text += f" The training’s own adversary is right in {_percent(loop)}, and says nothing of one who comes later."
    judged = at(scale, _of_attribute(rows, name, apart, measured))
    return FeatureVerdict(
        name, judged.level, text[0].upper() + text[1:], best, judged.reason, len(measured), best.get("count"),
        best.get("people"), scale, _alarm(apart),
    )  # fmt: skip


def at(scale: Scale | None, judged: Judgement) -> Judgement:
    """A judgement at a scale: smoke gives none."""
    return Judgement("smoke") if scale == "smoke" else judged


def _of_attribute(rows: Sequence[Row], name: str, apart: Sequence[Distance], measured: Sequence[Row]) -> Judgement:
    """By the floor of the answers as sent, where there is one; what is not certain is not shown."""
    floor = apart[0]
    reached = lift(floor.value + floor.difference, floor.value)
    if reached >= LEAKS and floor.interval[0] > 0:
        return Judgement(level_of(reached))
    if any(one.interval[1] < 0 for one in apart):
        return Judgement("unshown", ": the strongest attacker is below its floor")
    if reached >= LEAKS:
        return Judgement("unshown", ": too few faces to tell the strongest attacker from its floor")
    with_most = of_attribute(rows, name, ALL) or measured
    return of_nothing(of_attackers(rows, with_most, "attributes", read_attribute(rows, name), attribute=name))


def _alarm(apart: Sequence[Distance]) -> str:
    below = [one.words for one in apart if one.difference < 0]
    return f"below its floor: {'; '.join(below)}" if below else ""


def _percent(row: Row) -> str:
    return f"{100 * row['balanced_accuracy']:.1f} %"


def _image(rows: Sequence[Row], scale: Scale | None) -> FeatureVerdict:
    best = drawn_best(rows, "ms_ssim")
    assert best is not None
    strongest_by = {
        metric: drawn_best(rows, metric) or best for metric in PICTURE_METRICS if best.get(metric) is not None
    }
    floors = {metric: guess(rows, metric) for metric in strongest_by}
    reached = {metric: float(row[metric]) for metric, row in strongest_by.items()}
    parts = [
        f"{PICTURE_METRICS[metric]} {reached[metric]:.3f} by {titled(row['attack'])} "
        f"(without any features {floors[metric]:.3f})"
        for metric, row in strongest_by.items()
    ]
    drawn = reconstructions(rows)
    level = level_of(max(lift(reached[metric], floors[metric]) for metric in reached))
    judged = of_nothing(of_attackers(rows, drawn, "images", drew(rows))) if level == "nothing" else Judgement(level)
    below = [parts[place] for place, metric in enumerate(reached) if reached[metric] < floors[metric]]
    alarm = f"below its floor: {'; '.join(below)}" if len(below) == len(parts) else ""
    judged = at(scale, judged)
    return FeatureVerdict("the image", judged.level, f"{'; '.join(parts)}.", best, judged.reason, len(drawn),
                          best.get("count"), None, scale, alarm)  # fmt: skip


def _person(rows: Sequence[Row], scale: Scale | None) -> FeatureVerdict | None:
    """Whether people are found again, in pictures or by features: by whatever is surely above a guess, and most."""
    answers = [
        (row, asked, row[asked])
        for row in rows if row["kind"] in ("reconstruction", "identity") and retrained(row)
        for asked in ASKED if row.get(asked)
    ]  # fmt: skip
    if not answers:
        return None
    certain = [(row, asked, answer) for row, asked, answer in answers if answer["interval"][0] > answer["chance"]]
    best, asked, answer = max(certain or answers, key=lambda one: lift(one[2]["rate"], one[2]["chance"]))
    by = compared_by(best["attack"])
    how = f"by what is sent{by and f', with {by}'}" if best["kind"] == "identity" else (
        f"in what {titled(best['attack'])} draws"
    )  # fmt: skip
    text = (
        f"{ASKED[asked]} {share(answer['rate'], answer['count'], 'faces')} ({interval(answer['interval'])}) {how}; "
        f"a guess has {100 * answer['chance']:.1f} %."
    )
    reached = lift(answer["rate"], answer["chance"])
    if certain and reached >= LEAKS:
        judged = Judgement(level_of(reached))
    elif reached >= LEAKS:
        judged = Judgement("unshown", ": too few faces to tell the strongest attacker from a guess")
    else:
        looked = {id(row): row for row, _, _ in answers}
        judged = of_nothing([
            *of_attackers(rows, [row for row in looked.values() if row["kind"] == "identity"], "people", recognised),
            *of_attackers(rows, [row for row in looked.values() if row["kind"] != "identity"], "images", recognised),
        ])  # fmt: skip
    judged = at(scale, judged)
    alarm = "" if answer["interval"][1] >= answer["chance"] else f"below its floor: {text[0].lower()}{text[1:-1]}"
    tried = len({id(row) for row, _, _ in answers})
    count = answer["count"]
    return FeatureVerdict("the person", judged.level, text, best, judged.reason, tried, count, None, scale, alarm)
