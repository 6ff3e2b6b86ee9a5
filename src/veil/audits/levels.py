"""How far an attacker gets, in words, and what "nothing" is worth (DESIGN, rules 3 and 4).

An attack that reports nothing is evidence only where the same attack, with the same effort, breaks something that is
known to be broken (its *control*), and its own curve has gone flat. So "nothing found" is said where the attacks of an
attacker passed their controls; "not shown" where none of these did; "lower bound" where one that did was still
improving. At scale ``smoke`` no verdict is given at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEVELS: Mapping[str, str] = {
    "exact": "broken, exactly",
    "broken": "broken",
    "leaks": "leaks",
    "nothing": "nothing found",
    "lower": "lower bound",
    "unshown": "not shown",
    "untried": "not tried",
    "smoke": "smoke scale: shows that everything runs; no verdict",
}
BROKEN, LEAKS = 0.5, 0.1
"""Lifts from which something counts as given back, and as showing in part."""
NO_CONTROL = "no control"


@dataclass(frozen=True)
class Evidence:
    """What an attack that reports nothing is worth.

    Attributes:
        attack: its title.
        passed: whether it found something in its control; None where there is no control of the same settings.
        control: what it did there, in words.
        flat: whether its own curve had gone flat; None where it has no curve.
    """

    attack: str
    passed: bool | None = None
    control: str = ""
    flat: bool | None = None


@dataclass(frozen=True)
class Judgement:
    """A level, and the words behind it that say why.

    Attributes:
        level: a key of `LEVELS`.
        reason: the end of a sentence that the level begins; empty where there is nothing to add.
    """

    level: str
    reason: str = ""

    @property
    def words(self) -> str:
        return f"{LEVELS[self.level]}{self.reason}"


class InWords:
    """A verdict as terminals and pages show it.

    Attributes:
        level, reason: see `Judgement`.
        text: a sentence or two.
        alarm: a warning; empty where there is none.
    """

    level: str
    reason: str
    text: str
    alarm: str

    @property
    def words(self) -> str:
        """The level, and what it says of itself."""
        return Judgement(self.level, self.reason).words

    @property
    def because(self) -> str:
        """What stands beside it in tables: its text, and its warning."""
        return " ".join(filter(None, (self.text, self.alarm and f"{self.alarm[0].upper()}{self.alarm[1:]}.")))


def level_of(lift: float) -> str:
    """``broken``, ``leaks`` or ``nothing``, of how far something is above its floor: 0 none, 1 all."""
    return "broken" if lift >= BROKEN else "leaks" if lift >= LEAKS else "nothing"


def of_nothing(own: Sequence[Evidence], others: Sequence[Evidence] = ()) -> Judgement:
    """What it means that attacks report nothing.

    Args:
        own: attacks of this kind of attacker, at least one.
        others: attacks of weaker ones, which the attacker can make, too.
    """
    passed = [one for one in own if one.passed]
    if not passed:
        tried = [one for one in own if one.passed is not None]
        if not tried:
            return Judgement("unshown", f": {NO_CONTROL}")
        return Judgement("unshown", f": the control failed too ({_listed(tried)})")
    improving = [one.attack for one in (*others, *own) if one.passed and one.flat is False]
    if improving:
        return Judgement("lower", f": still improving ({', '.join(improving)})")
    said = "; ".join(f"{one.control}: {one.attack}" for one in passed)
    failed = [one.attack for one in own if not one.passed]
    left_out = f"; not counted, for their controls failed: {', '.join(failed)}" if failed else ""
    return Judgement("nothing", f" (the same attack {said}{left_out})")


def _listed(evidence: Sequence[Evidence]) -> str:
    return "; ".join(f"{one.attack} {one.control}" for one in evidence)


def without_controls(audits: Iterable[Sequence[Mapping[str, Any]]]) -> str:
    """A sentence for tables over audits none of which has a positive control; empty where one has."""
    if any(row["kind"] == "control" for rows in audits for row in rows):
        return ""
    return " These audits have no positive controls: of nothing is it said that it does not leak."


def people_of(count: int | None, people: int | None, what: str = "faces") -> str:
    """``2,387 faces of 146 people``; without people where these are not known."""
    if count is None:
        return f"{what}: not recorded"
    return f"{count:,} {what}" + (f" of {people:,} people" if people is not None else "")


def share(rate: float, count: int, what: str) -> str:
    """A rate with its n: ``75 % (3 of 4 faces)``; hits are rounded where ties count in part."""
    return f"{100 * rate:.0f} % ({round(rate * count):,} of {count:,} {what})"


def at_scale(scale: str | None) -> str:
    """``smoke scale``; nothing where the scale is not known."""
    return f"{scale} scale" if scale else ""
