"""What rows of an audit say, for each kind of attacker, in plain words.

An attacker can do whatever one who knows less can, so all of these attacks count. The strongest is the one that counts,
by each metric by itself: one that gives back shapes in wrong colours has a low SSIM. `lift` puts a metric between its
floor, 0, and what the plain images have, 1; the floor is the best of the guesses that need no protected image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from veil.attacks.images import KNOWLEDGE, knowledge_of, title_of
from veil.jobs.rows import Row

ATTACKERS: Mapping[str, int] = {knowledge.attacker: knowledge.rank for knowledge in KNOWLEDGE.values()}
"""Kinds of attackers, from the weakest on, and the rank of what they know."""
LEVELS = {
    "exact": "broken, exactly",
    "broken": "broken",
    "leaks": "leaks",
    "nothing": "nothing found",
    "untried": "not tried",
}
METRICS = ("ssim", "visible", "accuracy")
GUESSES = ("mean", "unrelated")
_ABOVE = "As above: "
BROKEN, LEAKS = 0.5, 0.1
"""Lifts from which images count as given back, and as showing in part."""


@dataclass(frozen=True)
class Verdict:
    """What an attacker gets.

    Attributes:
        attacker: a key of `ATTACKERS`.
        level: a key of `LEVELS`; ``untried`` where no attack of this kind was made, and weaker ones give nothing.
        text: a sentence or two.
        strongest: the row with the highest lift of all that the attacker can do; None where nothing was tried.
    """

    attacker: str
    level: str
    text: str
    strongest: Row | None


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


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """One for each kind of attacker, from the weakest on. What a weaker one can do, a stronger one can."""
    results: list[Verdict] = []
    before = ""
    for attacker, rank in ATTACKERS.items():
        level, text, best = _all_together(rows, rank)
        own = attempts(rows, rank, rank)
        if not own and rank and level == "nothing":
            results.append(Verdict(attacker, "untried", "No attack of this kind was made.", None))
            continue
        shown = f"{_ABOVE}{text}" if text == before else text
        if own and not reconstructions(own):
            reasons = "; ".join(f"{title_of(row)}: {row['failed']}" for row in own)
            shown = f"{shown} No attack of this kind worked: {reasons}."
        results.append(Verdict(attacker, level, shown, best))
        before = text
    return results


def _all_together(rows: Sequence[Row], rank: int) -> tuple[str, str, Row]:
    """What all attacks up to a rank give: level, sentence, and the strongest of them."""
    worked = [*reconstructions(attempts(rows, rank)), floor(rows, "protected")]
    exact = [row for row in worked if row["exact"] == 1]
    if exact:
        first = min(exact, key=lambda row: (_rank(row), row.get("pairs") or 0))
        return "exact", _exact(first), first
    best = max(worked, key=lambda row: max(lifts(rows, row).values(), default=0.0))
    most = max(lifts(rows, best).values(), default=0.0)
    level = "broken" if most >= BROKEN else "leaks" if most >= LEAKS else "nothing"
    return level, _text(rows, worked, level), best


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
        "nothing": "No attack that was tried gives more than a guess",
    }[level]  # fmt: skip
    parts = []
    for metric, title in (("ssim", "SSIM {:.2f}"), ("visible", "shows {:.2f}"), ("accuracy", "{:.0%} named rightly")):
        least, most = guess(rows, metric), floor(rows, "plain")[metric]
        if least is None or most is None:
            continue
        row = max(worked, key=lambda one: float(one[metric]))
        parts.append(f"{title.format(row[metric])} by {named(row)} (a guess {_number(metric, least)}, plain images "
                     f"{_number(metric, most)})")  # fmt: skip
    return f"{start}: {'; '.join(parts)}."


def _number(metric: str, value: float) -> str:
    return f"{value:.0%}" if metric == "accuracy" else f"{value:.2f}"
