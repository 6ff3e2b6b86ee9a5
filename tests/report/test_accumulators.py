"""Means and medians of numbers that come one by one, beside those of lists."""

import math
import statistics
from random import Random

import pytest

from veil.report import accumulators
from veil.report.accumulators import Mean, Median


def numbers(count: int, seed: int = 0) -> list[float]:
    """Of very different sizes and signs, so that a naive sum loses digits."""
    draw = Random(seed)
    return [draw.uniform(-1, 1) * 10 ** draw.randint(-12, 12) for _ in range(count)]


def mean_of(given: list[float]) -> float:
    mean = Mean()
    for number in given:
        mean.add(number)
    assert mean.count == len(given)
    return mean.value


@pytest.mark.parametrize("count", [1, 2, 4095, 4096, 4097, 20_000])
def test_a_mean_has_the_digits_of_fmean(count: int) -> None:
    given = numbers(count)
    assert mean_of(given) == statistics.fmean(given)


def test_numbers_that_cancel_out_leave_nothing() -> None:
    given = numbers(10_000)
    assert mean_of([*given, *(-number for number in reversed(given))]) == 0


def test_nan_and_infinity_are_kept() -> None:
    assert math.isnan(mean_of([1.0] * 5000 + [math.nan] + [1.0] * 5000))
    assert mean_of([1.0] * 5000 + [math.inf] + [1.0] * 5000) == math.inf


@pytest.mark.parametrize("count", [1, 2, 999, 1000])
def test_the_median_of_few_numbers_is_exact(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulators, "SAMPLE", 1000)
    median = Median()
    for number in numbers(count):
        median.add(number)
    assert median.exact
    assert median.value == statistics.median(numbers(count))


def test_the_median_of_many_numbers_is_that_of_a_random_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers come sorted, so that the first or the last of them would be far off. A sample's median is wrong by
    50 % / sqrt(1000) of all numbers, once in three draws."""
    monkeypatch.setattr(accumulators, "SAMPLE", 1000)
    medians = [Median(), Median()]
    for median in medians:
        for number in range(30_000):
            median.add(number)
        assert not median.exact
    assert medians[0].value == medians[1].value
    assert medians[0].value == pytest.approx(15_000, rel=0.1)


def test_no_numbers_have_no_median() -> None:
    assert Median().value is None
    assert Median().exact
