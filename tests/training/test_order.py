"""The order of an epoch: every example once, whole batches, the same again from the same seed, shares of processes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Generator

from veil.training.order import epoch_generator, share_of, whole_batches


@pytest.mark.parametrize(("count", "size"), [(12, 4), (13, 4), (4, 4)])
def test_no_example_comes_twice_and_batches_are_whole(count: int, size: int) -> None:
    batches = list(whole_batches(count, size, epoch_generator(0, 0)))
    drawn = torch.cat(batches)
    assert [len(batch) for batch in batches] == [size] * (count // size)
    assert len(drawn.unique()) == len(drawn)
    assert set(drawn.tolist()) <= set(range(count))


def test_too_few_examples_are_no_batch() -> None:
    assert list(whole_batches(3, 4, epoch_generator(0, 0))) == []


def test_the_order_is_of_seed_stage_and_epoch() -> None:
    def order(*of: Any) -> list[int]:
        return torch.cat(list(whole_batches(50, 10, epoch_generator(*of)))).tolist()

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(*of)) for of in ((0, 0), (0, 1), (1, 0), (0, "attackers", 0))}) == 4


def test_the_order_is_that_of_earlier_versions() -> None:
    """Trainings that were stopped go on in the order in which they began."""
    batches = list(whole_batches(7, 3, epoch_generator(3, 2)))
    assert [batch.tolist() for batch in batches] == [[4, 1, 2], [0, 3, 6]]


def test_nothing_is_drawn_before_the_first_batch() -> None:
    generator = Generator().manual_seed(0)
    before = generator.get_state()
    batches = whole_batches(5, 2, generator)
    assert generator.get_state().equal(before)
    next(batches)
    assert not generator.get_state().equal(before)


def test_shares_of_all_processes_are_the_batch() -> None:
    runners: list[Any] = [SimpleNamespace(world_size=3, global_rank=rank) for rank in range(3)]
    assert [list(range(12))[share_of(runner, 12)] for runner in runners] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11],
    ]  # fmt: skip
    for size in (13, 3):
        with pytest.raises(ValueError, match=f"batches of {size} images cannot be divided among 3 devices"):
            share_of(runners[0], size)
