"""Learning rates over a training: schedules are functions of its progress, 0 to 1, and give the share of the highest.

`veil.training.loop.Moment` has the progress of a step; `set_rate` sets what a schedule gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """The highest rate throughout."""
    return 1.0


def one_cycle(progress: float, warmup: float = 0.05) -> float:
    """Linear from zero over the first ``warmup``, then a half cosine to zero."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def steps(milestones: Sequence[float], factor: float) -> Schedule:
    """Multiplies the rate by ``factor`` at every one of ``milestones``, which are shares of the training."""
    return lambda progress: factor ** sum(progress >= milestone for milestone in milestones)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Sets the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate
