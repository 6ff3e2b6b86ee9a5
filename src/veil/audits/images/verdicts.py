"""What rows of an audit say, for each kind of attacker, in plain words.

An attacker can do whatever one who knows less can, so all of these attacks count. The strongest is the one that counts,
by each metric by itself: one that gives back shapes in wrong colours has a low SSIM. `lift` puts a metric between its
floor, 0, and what the plain images have, 1; the floor is the best of the guesses that need no protected image.

What an attacker who reports nothing is worth, rows of the kind ``control`` say (`veil.audits.images.controls`,
`veil.audits.levels`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from veil.attacks.images import KNOWLEDGE, knowledge_of, title_of
from veil.audits.levels import BROKEN as BROKEN
from veil.audits.levels import LEAKS as LEAKS
from veil.audits.levels import LEVELS as LEVELS
from veil.audits.levels import Evidence, InWords, Judgement, at_scale, level_of, of_nothing, share
from veil.jobs.rows import Row
from veil.metrics.intervals import wilson
from veil.report.numbers import interval
from veil.runtime.scales import Scale

ATTACKERS: Mapping[str, int] = {knowledge.attacker: knowledge.rank for knowledge in KNOWLEDGE.values()}
"""Kinds of attackers, from the weakest on, and the rank of what they know."""
METRICS = ("ssim", "visible", "accuracy")
GUESSES = ("mean", "unrelated")
_ABOVE = "As above: "
_TITLES = {"ssim": "SSIM", "visible": "shows", "accuracy": "named rightly"}


@dataclass(frozen=True)
class Verdict(InWords):
    """What an attacker gets.

    Attributes:
        attacker: a key of `ATTACKERS`.
        level: a key of `LEVELS`; ``untried`` where no attack of this kind was made, and weaker ones give nothing.
        text: a sentence or two.
        strongest: the row with the highest lift of all that the attacker can do; None where nothing was tried.
        reason: what the level says of itself: of "nothing found", what the same attacks did elsewhere.
        attacks: how many attacks the strongest was chosen from, the protected image itself not counted.
        count: of how many judged images all rates are; None where rows of older versions do not say it.
        scale: of the audit, where it is known.
        alarm: a warning that the attacks are weaker than a guess; empty where they are not.
    """

    attacker: str
    level: str
    text: str
    strongest: Row | None
    reason: str = ""
    attacks: int = 0
    count: int | None = None
    scale: Scale | None = None
    alarm: str = ""

    @property
    def over(self) -> str:
        """What stands beside the verdict: over how many attacks and images, at which scale."""
        tried = f"{self.attacks} attack{'s' * (self.attacks != 1)}"
        images = f"{self.count:,} images" if self.count is not None else "number of images not recorded"
        return ", ".join(filter(None, (tried, images, at_scale(self.scale))))


def floor(rows: Sequence[Row], name: str) -> Row:
    """The row of a floor: ``plain``, ``protected``, ``mean`` or ``unrelated``."""
    return next(row for row in rows if row["kind"] == "floor" and row["floor"] == name)


def guess(rows: Sequence[Row], metric: str) -> float | None:
    """What the better guess reaches without any protected image."""
    values = [row[metric] for name in GUESSES if (row := floor(rows, name))[metric] is not None]
    return max(values, default=None)


def lift(rows: Sequence[Row], row: Row, metric: str) -> float | None:
    """How far an attack is above the floor, of what plain images are: 0 to 1, below 0 for less than a guess."""
    least, most = guess(rows, metric), floor(rows, "plain")[metric]
    if least is None or most is None or row.get(metric) is None or most <= least:
        return None
    return float((row[metric] - least) / (most - least))


def lifts(rows: Sequence[Row], row: Row) -> dict[str, float]:
    """`lift` by metric, where there is one."""
    return {metric: value for metric in METRICS if (value := lift(rows, row, metric)) is not None}


def attempts(rows: Sequence[Row], most: int, least: int = 0) -> list[Row]:
    """Rows of attacks, of ranks of knowledge from ``least`` to ``most``; those that failed, too."""
    known = ((row, knowledge_of(row)) for row in rows if row["kind"] == "attack")
    return [row for row, knowledge in known if knowledge is not None and least <= knowledge.rank <= most]


def reconstructions(rows: Sequence[Row]) -> list[Row]:
    """Rows of attacks that gave something."""
    return [row for row in rows if row["kind"] == "attack" and "failed" not in row]


def strongest(rows: Sequence[Row], metric: str, most: int, least: int = 0) -> Row | None:
    """The attack with the highest value of a metric, of such ranks of knowledge; the protected image itself counts as
    an attack of everybody's."""
    worked = [*reconstructions(attempts(rows, most, least)), floor(rows, "protected")]
    return max((row for row in worked if row[metric] is not None), key=lambda row: float(row[metric]), default=None)


def verdicts(rows: Sequence[Row], scale: Scale | None = None) -> list[Verdict]:
    """One for each kind of attacker, from the weakest on. What a weaker one can do, a stronger one can.

    Args:
        scale: of the audit; ``smoke`` gives no verdicts, but numbers.
    """
    reached: list[Verdict] = []
    before, best = "", None
    for attacker, rank in ATTACKERS.items():
        judged, text, best = _all_together(rows, rank, smoke=scale == "smoke")
        own = attempts(rows, rank, rank)
        below = ""
        if not own and judged.level not in ("exact", "broken", "leaks"):
            none = "No attack of this kind was made."
            judged, shown, best = Judgement("untried"), none if rank else f"{none} {text}", None
        else:
            shown, below, before = _shown(text, before, own), _below_guess(rows, rank), text
        if scale == "smoke":
            judged = Judgement("smoke")
        reached.append(Verdict(
            attacker, judged.level, shown, best, judged.reason, len(attempts(rows, rank)),
            floor(rows, "plain").get("count"), scale, below,
        ))  # fmt: skip
    return reached


def _shown(text: str, before: str, own: Sequence[Row]) -> str:
    """The sentence of an attacker; ``before`` is that of the weaker one, ``own`` the attempts of this kind alone."""
    shown = f"{_ABOVE}{text}" if text == before else text
    if own and not reconstructions(own):
        reasons = "; ".join(f"{title_of(row)}: {row['failed']}" for row in own)
        shown = f"{shown} No attack of this kind worked: {reasons}."
    return shown


def _all_together(rows: Sequence[Row], rank: int, *, smoke: bool) -> tuple[Judgement, str, Row]:
    """What all attacks up to a rank give: level, sentence, and the strongest of them."""
    worked = [*reconstructions(attempts(rows, rank)), floor(rows, "protected")]
    exact = [row for row in worked if row["exact"] == 1]
    if exact:
        first = min(exact, key=lambda row: (_rank(row), row.get("pairs") or 0))
        return Judgement("exact"), _exact(first), first
    best = max(worked, key=lambda row: most_lift(rows, row))
    level = level_of(most_lift(rows, best))
    judged = Judgement(level)
    if level == "nothing" and (own := evidence(rows, rank, rank)):
        judged = of_nothing(own, evidence(rows, rank - 1))
    return judged, _text(rows, worked, "smoke" if smoke else level), best


def most_lift(rows: Sequence[Row], row: Row) -> float:
    """The highest of the `lifts` of an attack, never below 0; 0 for one that failed, 1 for exact images."""
    return 1.0 if row.get("exact") == 1 else max(0.0, *lifts(rows, row).values(), 0.0)


def evidence(rows: Sequence[Row], most: int, least: int = 0) -> list[Evidence]:
    """What attacks of some ranks are worth that report nothing: one for each, of the most pairs that were tried."""
    last: dict[str, Row] = {row["attack"]: row for row in attempts(rows, most, least)}
    return [_worth(rows, row) for row in last.values()]


def control_of(rows: Sequence[Row], row: Row) -> Row | None:
    """The control of an attack, made with the same settings and as many pairs; None where there is none."""
    same = ("attack", "pairs", "settings")
    controls = (one for one in rows if one["kind"] == "control")
    return next((one for one in controls if all(one.get(name) == row.get(name) for name in same)), None)


def _worth(rows: Sequence[Row], row: Row) -> Evidence:
    control = control_of(rows, row)
    if control is None:
        return Evidence(title_of(row), flat=flatness(row))
    return Evidence(title_of(row), passed(rows, control), in_control(rows, control), flatness(row))


def flatness(row: Row) -> bool | None:
    """Whether the curve of an attack had gone flat, as far as is known; None where it has none.

    Rows of older versions do not say it of what is trained: then it counts as still improving.
    """
    flat: bool | None = row.get("flat", False if "settings" in row else None)
    return flat


def passed(rows: Sequence[Row], control: Row) -> bool:
    """Whether an attack found something in its control, by the rule of all verdicts."""
    return level_of(most_lift(rows, control)) != "nothing"


def in_control(rows: Sequence[Row], control: Row) -> str:
    """What an attack did in its control, as the end of a sentence that its title begins."""
    against = control["protection"]
    if "failed" in control:
        return f"fails on {against}: {control['failed']}"
    if control["exact"] == 1:
        return f"breaks {against} exactly"
    metric, value = max(lifts(rows, control).items(), key=lambda one: one[1], default=("ssim", 0.0))
    does = {"broken": "breaks", "leaks": "finds something of", "nothing": "finds nothing of"}[level_of(value)]
    return f"{does} {against}, {_TITLES[metric]} {_number(metric, control[metric])}"


def _below_guess(rows: Sequence[Row], rank: int) -> str:
    """A warning where the strongest attack, by every metric, is below what needs no protected image."""
    worked = reconstructions(attempts(rows, rank))
    lines = []
    for metric in METRICS:
        values = [row[metric] for row in worked if row.get(metric) is not None]
        least = guess(rows, metric)
        if values and least is not None:
            if max(values) >= least:
                return ""
            lines.append(f"{_TITLES[metric]} {_number(metric, max(values))}, a guess {_number(metric, least)}")
    return f"below its floor: {'; '.join(lines)}" if lines else ""


def _rank(row: Row) -> int:
    """Of what its attacker knows; nobody needs to know anything for a floor."""
    knowledge = None if row["kind"] == "floor" else knowledge_of(row)
    return -1 if knowledge is None else knowledge.rank


def _exact(row: Row) -> str:
    how = named(row)
    match row.get("pairs"):
        case None:
            known = ""
        case 1:
            known = " from one known image"
        case count:
            known = f" from {count} known images"
    return f"{how[0].upper() + how[1:]} gives every image back, byte for byte{known}."


def named(row: Row) -> str:
    """What an attack or floor is called in a sentence."""
    return "the protected image itself" if row["kind"] == "floor" else title_of(row)


def _text(rows: Sequence[Row], worked: Sequence[Row], level: str) -> str:
    """The strongest of some attacks by each metric."""
    start = {
        "broken": "Images come back", "leaks": "Something of the images shows",
        "nothing": "No attack that was tried gives more than a guess", "smoke": "The strongest by each metric",
    }[level]  # fmt: skip
    parts = []
    for metric in METRICS:
        least, most = guess(rows, metric), floor(rows, "plain")[metric]
        if least is None or most is None:
            continue
        row = max(worked, key=lambda one: float(one[metric]))
        parts.append(f"{_reached(metric, row)} by {named(row)} (a guess {_number(metric, least)}, plain images "
                     f"{_number(metric, most)})")  # fmt: skip
    return f"{start}: {'; '.join(parts)}."


def _reached(metric: str, row: Row) -> str:
    """A metric of an attack in words; a rate with its n, where the row has it."""
    value, count = row[metric], row.get("count")
    if metric != "accuracy":
        return f"{_TITLES[metric]} {value:.2f}"
    if count is None:
        return f"{value:.0%} named rightly"
    bounds = interval(wilson(round(value * count), count))
    return f"{share(value, count, 'images')} named rightly, {bounds},"


def _number(metric: str, value: float) -> str:
    return f"{value:.0%}" if metric == "accuracy" else f"{value:.2f}"
