"""What rows of an audit say, for each kind of attacker, in plain words.

The strongest attack is the one that counts, by each metric by itself: one that gives back shapes in wrong colours has a
low SSIM. `lift` puts a metric between its floor, 0, and what the plain images have, 1; the floor is the best of the
guesses that need no protected image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from veil.attacks.images import ATTACKS, Knowledge
from veil.jobs.rows import Row

ATTACKERS: dict[str, tuple[Knowledge, ...]] = {
    "sees protected images": ("protected",),
    "also has plain images of their own": ("unpaired",),
    "knows or chose a handful of the images": ("few", "chosen"),
    "may have as many images protected as they like": ("pairs",),
}
METRICS = ("ssim", "visible", "accuracy")
GUESSES = ("mean", "unrelated")
ORDER = ("untried", "nothing", "leaks", "broken", "exact")
_ABOVE = "As above: "
BROKEN, LEAKS = 0.5, 0.1
"""Lifts from which images count as given back, and as showing in part."""


@dataclass(frozen=True)
class Verdict:
    """What an attacker gets.

    Attributes:
        attacker: a key of `ATTACKERS`.
        level: of `ORDER`: ``exact``, ``broken``, ``leaks`` or ``nothing``; ``untried`` where no attack was made.
        text: a sentence.
        strongest: the row with the highest lift, of the attacks of this kind; None where all failed.
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
    found = [row[metric] for name in GUESSES if (row := floor(rows, name))[metric] is not None]
    return max(found, default=None)


def lift(rows: Sequence[Row], row: Row, metric: str) -> float | None:
    """How far an attack is above the floor, of what plain images are: 0 to 1, below 0 for less than a guess."""
    least, most = guess(rows, metric), floor(rows, "plain")[metric]
    if least is None or most is None or row.get(metric) is None or most <= least:
        return None
    return float((row[metric] - least) / (most - least))


def lifts(rows: Sequence[Row], row: Row) -> dict[str, float]:
    """`lift` by metric, where there is one."""
    return {metric: value for metric in METRICS if (value := lift(rows, row, metric)) is not None}


def made(rows: Sequence[Row]) -> list[Row]:
    """Rows of attacks that gave something."""
    return [row for row in rows if row["kind"] == "attack" and "failed" not in row]


def strongest(rows: Sequence[Row], metric: str, knows: Sequence[Knowledge]) -> Row | None:
    """The attack with the highest value of a metric, of those with that knowledge; the protected image itself counts
    as an attack of everybody's."""
    found = [row for row in made(rows) if ATTACKS[row["attack"]].knows in knows]
    found = [row for row in [*found, floor(rows, "protected")] if row[metric] is not None]
    return max(found, key=lambda row: float(row[metric]), default=None)


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """One for each kind of attacker, from the weakest on. What a weaker one can do, a stronger one can."""
    found: list[Verdict] = []
    for each in _alone(rows):
        worst = max(found, key=lambda one: ORDER.index(one.level), default=each)
        if ORDER.index(each.level) < ORDER.index(worst.level):
            text = worst.text if worst.text.startswith(_ABOVE) else f"{_ABOVE}{worst.text}"
            each = Verdict(each.attacker, worst.level, text, worst.strongest)
        found.append(each)
    return found


def _alone(rows: Sequence[Row]) -> Iterator[Verdict]:
    """What each kind of attacker gets by attacks of that kind."""
    for attacker, knows in ATTACKERS.items():
        tried = [row for row in rows if row["kind"] == "attack" and ATTACKS[row["attack"]].knows in knows]
        found = [row for row in tried if "failed" not in row]
        if knows == ("protected",):
            found.append(floor(rows, "protected"))
        if not tried and not found:
            yield Verdict(attacker, "untried", "No attack of this kind was made.", None)
            continue
        exact = [row for row in found if row["exact"] == 1]
        if exact:
            first = min(exact, key=lambda row: row.get("pairs") or 0)
            yield Verdict(attacker, "exact", _exact(first), first)
            continue
        if not found:
            reasons = "; ".join(f"{ATTACKS[row['attack']].title}: {row['failed']}" for row in tried)
            yield Verdict(attacker, "nothing", f"No attack worked: {reasons}.", None)
            continue
        best = max(found, key=lambda row: max(lifts(rows, row).values(), default=0.0))
        most = max(lifts(rows, best).values(), default=0.0)
        level = "broken" if most >= BROKEN else "leaks" if most >= LEAKS else "nothing"
        yield Verdict(attacker, level, _text(rows, found, level), best)


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
    return "the protected image itself" if row["kind"] == "floor" else ATTACKS[row["attack"]].title


def _text(rows: Sequence[Row], found: Sequence[Row], level: str) -> str:
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
        row = max(found, key=lambda each: float(each[metric]))
        parts.append(f"{title.format(row[metric])} by {named(row)} (a guess {_number(metric, least)}, plain images "
                     f"{_number(metric, most)})")  # fmt: skip
    return f"{start}: {'; '.join(parts)}."


def _number(metric: str, value: float) -> str:
    return f"{value:.0%}" if metric == "accuracy" else f"{value:.2f}"
