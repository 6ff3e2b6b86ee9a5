"""Paired differences of balanced accuracies: against each reader alone, and what pairing is worth."""

import pytest
import torch

from veil.metrics.attributes import balanced_accuracy
from veil.metrics.differences import balanced_difference


def readers(people: bool) -> tuple[torch.Tensor, ...]:
    """A reader, one that errs on the same images and on a few more, the truths, and who is on them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 3 == 0
    wrong = torch.rand(400, generator=generator) < 0.3
    worse = wrong | (torch.rand(400, generator=generator) < 0.05)
    person = torch.arange(400) // 4 if people else torch.zeros(0, dtype=torch.int64)
    return labels ^ wrong, labels ^ worse, labels, person


@pytest.mark.parametrize("people", [True, False])
def test_it_is_one_minus_the_other_and_certain_where_they_err_alike(people: bool) -> None:
    first, second, labels, person = readers(people)
    result = balanced_difference(first, second, labels, person if people else None)
    alone = [balanced_accuracy(one.double(), labels, 0.5) for one in (first, second)]
    assert result.difference == pytest.approx(alone[0] - alone[1])
    low, high = result.interval
    assert 0 < low < result.difference < high < 0.1  # each alone is known to ±0.05


@pytest.mark.parametrize("people", [True, False])
def test_the_same_reader_twice_is_as_certain_as_there_are_images(people: bool) -> None:
    first, _, labels, person = readers(people)
    result = balanced_difference(first, first, labels, person if people else None)
    assert result.difference == 0
    assert result.interval[0] == -result.interval[1]
    assert 0.005 < result.interval[1] < 0.1


def test_one_person_says_nothing() -> None:
    first, second, labels, _ = readers(False)
    assert balanced_difference(first, second, labels, torch.zeros(400, dtype=torch.int64)).interval == (-1, 1)


def test_what_is_no_pair_of_readers_is_refused() -> None:
    first, second, labels, _ = readers(False)
    with pytest.raises(ValueError, match="must be bool"):
        balanced_difference(first, second[:-1], labels)
    with pytest.raises(ValueError, match="both classes"):
        balanced_difference(first, second, labels | True)
