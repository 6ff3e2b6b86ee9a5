"""Schedules of learning rates, and that there is one place that sets a rate."""

from pathlib import Path

import pytest
import torch
from torch import nn

import veil
from veil.training.schedule import constant, one_cycle, set_rate, steps


def test_one_cycle_rises_and_falls_to_zero() -> None:
    assert one_cycle(0) == 0
    assert one_cycle(0.05) == pytest.approx(1)
    assert one_cycle(0.525) == pytest.approx(0.5)
    assert one_cycle(1) == pytest.approx(0)
    assert one_cycle(0.1, warmup=0.2) == 0.5


def test_steps_fall_at_their_milestones_and_not_before() -> None:
    schedule = steps((0.3, 0.6), 0.2)
    assert [schedule(progress) for progress in (0, 0.29, 0.3, 0.59, 0.6, 1)] == pytest.approx(
        [1, 1, 0.2, 0.2, 0.04, 0.04]
    )
    assert constant(0) == constant(1) == 1


def test_all_parameters_get_the_rate() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD([{"params": first.parameters()}, {"params": second.parameters(), "lr": 7.0}], lr=1.0)
    set_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_rates_are_set_and_epochs_ordered_in_one_place() -> None:
    source = Path(veil.__file__).parent
    texts = {file.relative_to(source).as_posix(): file.read_text(encoding="utf-8") for file in source.rglob("*.py")}
    assert [name for name, text in texts.items() if '["lr"]' in text] == ["training/schedule.py"]
    assert [name for name, text in texts.items() if 'seed_of("order"' in text] == ["training/order.py"]
