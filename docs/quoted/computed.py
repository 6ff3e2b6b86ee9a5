"""Numbers that follow from formulas and settings, not from rows."""

from quoted.sources import Numbers, percent
from veil.metrics.intervals import wilson

PRINTED = 0.28
"""Share of right answers in the human study of Li et al. 2019; 40 responses, ten questions."""


def right(answers: int) -> int:
    """So many right answers of so many, in whole ones."""
    return round(PRINTED * answers)


def bounds(answers: int) -> str:
    """Wilson's interval in percent."""
    low, high = wilson(right(answers), answers)
    return f"{percent(low)} to {percent(high)}"


def above(answers: int) -> str:
    """How far the interval's upper end is from the share, in points."""
    return percent(wilson(right(answers), answers)[1] - right(answers) / answers, 0)


NUMBERS: Numbers = {
    "study.400": lambda: bounds(400),
    "study.400.right": lambda: str(right(400)),
    "study.40": lambda: bounds(40),
    "study.40.right": lambda: str(right(40)),
    "study.400.above": lambda: above(400),
    "study.40.above": lambda: above(40),
}
