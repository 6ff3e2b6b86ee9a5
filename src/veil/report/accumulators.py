"""Means and medians of numbers that come one by one. Memory does not grow with their number."""

import math
from array import array
from random import Random
from statistics import median

SAMPLE = 100_000
"""A median of up to so many numbers is exact; of more, it is the median of a sample of this size."""
_AT_ONCE = 4096  # numbers that are added together


class Mean:
    """The mean of all numbers, equal to `statistics.fmean` of a list of them to the last digit."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: list[float] = []  # numbers whose exact sum is that of all before: no digit is lost on the way
        self._waiting: list[float] = []

    def add(self, number: float) -> None:
        """Takes a number."""
        self.count += 1
        self._waiting.append(number)
        if len(self._waiting) == _AT_ONCE:
            self._sum = _exact_sum([*self._sum, *self._waiting])
            self._waiting.clear()

    @property
    def value(self) -> float:
        """The mean; there must be a number."""
        return math.fsum([*self._sum, *self._waiting]) / self.count


class Median:
    """The median of the numbers; of more than `SAMPLE`, the median of a random sample.

    The same numbers give the same sample.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept = array("d")
        self._draw = Random(0)

    def add(self, number: float) -> None:
        """Takes a number."""
        self.count += 1
        if len(self._kept) < SAMPLE:
            self._kept.append(number)
        elif (place := self._draw.randrange(self.count)) < SAMPLE:
            self._kept[place] = number

    @property
    def exact(self) -> bool:
        """Whether it is the median of all numbers."""
        return self.count == len(self._kept)

    @property
    def value(self) -> float | None:
        """The median; None without numbers."""
        return median(self._kept) if self.count else None


def _exact_sum(numbers: list[float]) -> list[float]:
    """A few numbers with exactly the same sum: the rounded sum, the error of rounding it, and so on."""
    parts: list[float] = []
    while rest := math.fsum([*numbers, *(-part for part in parts)]):
        if not math.isfinite(rest):
            return [rest]
        parts.append(rest)
    return parts
