"""What attackers on features are worth that report nothing: their positive controls, read from rows.

A control is a row of the kind ``control`` of the same attacker, made with plain features of the same shape
(`veil.audits.features.controls`), with the same settings: rows of an attacker with others are refused, see
`veil.audits.features.running`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from veil.audits.features.readings import (
    ASKED,
    PICTURE_METRICS,
    flatness,
    floors_of,
    guess,
    least,
    lift,
    titled,
)
from veil.audits.levels import LEAKS, Evidence
from veil.jobs.rows import Row

PLAIN = "plain features"
Passed = Callable[[Row], tuple[bool, str]]
"""Whether an attacker found something in its control, and what, as the end of a sentence."""


def of_attackers(
    rows: Sequence[Row], measured: Sequence[Row], reads: str, passed: Passed, **fields: Any
) -> list[Evidence]:
    """A piece of evidence for each attacker among some rows.

    Args:
        rows: of the audit.
        measured: those that report nothing.
        reads: what is read: ``attributes``, ``images`` or ``people``.
        fields: of the control's row, beside these.
    """
    reported = []
    for name in dict.fromkeys(row["attack"] for row in measured):
        own = [row for row in measured if row["attack"] == name]
        flat = _flat([flatness(row) for row in own])
        control = control_of(rows, name, reads, **fields)
        if control is None:
            reported.append(Evidence(titled(name), flat=flat))
        elif "failed" in control:
            reported.append(Evidence(titled(name), False, f"fails on {PLAIN}: {control['failed']}", flat))
        else:
            reported.append(Evidence(titled(name), *passed(control), flat))
    return reported


def _flat(curves: Sequence[bool | None]) -> bool | None:
    """Of several trainings: none of them is improving any more; None where none has a curve."""
    known = [one for one in curves if one is not None]
    return all(known) if known else None


def control_of(rows: Sequence[Row], attack: str, reads: str, **fields: Any) -> Row | None:
    """The control of an attacker; None where there is none."""
    wanted: Mapping[str, Any] = {"kind": "control", "attack": attack, "reads": reads, **fields}
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def read_attribute(rows: Sequence[Row], name: str) -> Passed:
    """Of an attribute: above every floor for certain, and by as much as counts."""
    floor = max(least(row) for row in floors_of(rows, name).values())

    def passed(control: Row) -> tuple[bool, str]:
        value, low = control["balanced_accuracy"], control["balanced_accuracy_interval"][0]
        passes = low > floor and lift(value, floor) >= LEAKS
        return passes, f"{'reads' if passes else 'hardly reads'} {name} off {PLAIN}, {100 * value:.1f} %"

    return passed


def drew(rows: Sequence[Row]) -> Passed:
    """Of pictures: by the metric that is furthest above what needs no features."""

    def passed(control: Row) -> tuple[bool, str]:
        metrics = [metric for metric in PICTURE_METRICS if control.get(metric) is not None]
        lifts = {metric: lift(float(control[metric]), guess(rows, metric)) for metric in metrics}
        best = max(lifts, key=lambda metric: lifts[metric])
        passes = lifts[best] >= LEAKS
        does = "draws photos from" if passes else "draws nothing from"
        return passes, f"{does} {PLAIN}, {PICTURE_METRICS[best]} {control[best]:.3f}"

    return passed


def recognised(control: Row) -> tuple[bool, str]:
    """Of people: by the question whose answers are furthest above a guess."""
    answers = {asked: control[asked] for asked in ASKED if control.get(asked)}
    if not answers:
        return False, f"finds nobody in {PLAIN}"
    best = max(answers, key=lambda asked: lift(answers[asked]["rate"], answers[asked]["chance"]))
    answer = answers[best]
    passes = answer["interval"][0] > answer["chance"] and lift(answer["rate"], answer["chance"]) >= LEAKS
    does = "finds people in" if passes else "finds nobody in"
    return (
        passes,
        f"{does} {PLAIN}, {100 * answer['rate']:.0f} % of {answer['count']:,} (a guess {100 * answer['chance']:.1f} %)",
    )
