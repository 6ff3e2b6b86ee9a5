"""How much of a measurement is done: every recipe and audit knows the same three scales."""

from typing import Literal, get_args

Scale = Literal["smoke", "cpu", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)
"""The smallest first."""
TITLES: dict[Scale, str] = {
    "smoke": "seconds, on data that is drawn for it; shows that everything runs",
    "cpu": "hours on two cores",
    "paper": "the paper's own setting, on a GPU",
}
