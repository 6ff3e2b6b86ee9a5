"""What every noise scheme is made of: its settings, its plan for a photo, and what counts as protected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from veil.protections.noise.engine import Objective, Plan, StepSettings


@dataclass(frozen=True, eq=False)
class Released:
    """What a plan returns.

    Attributes:
        pixels: uint8, (C, H, W): the photo with its noise.
        goals: for each noise that was added, the goal (K,) of each network.
        iterations: steps taken, all attempts and all targets together.
        reached: whether every descent reached its goal. Says nothing of the written file: see `Verdict`.
    """

    pixels: Tensor
    goals: tuple[Sequence[Tensor], ...]
    iterations: int
    reached: bool

    @property
    def targets(self) -> list[list[int]]:
        """For each noise, the classes that the first network is drawn to."""
        return [wanted(goals[0]) for goals in self.goals]


def wanted(goal: Tensor) -> list[int]:
    """The classes with the largest weight in a goal (K,): the target, or the classes that are to look alike."""
    found: list[int] = torch.nonzero(goal >= goal.max())[:, 0].tolist()
    return found


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the networks of the descent say of the file as decoded, before and after; the worst of them each time.

    Attributes:
        truth_on_top: whether the true class is the first choice of any network.
        icp_before, icp_after: highest probability of the true class.
        entropy_before, entropy_after: ICE in nats, of the network on which it grew least.
        target_score: lowest over the networks of the scheme's own score for the goal that came nearest.
    """

    truth_on_top: bool
    icp_before: float
    icp_after: float
    entropy_before: float
    entropy_after: float
    target_score: float


@dataclass(frozen=True)
class Scheme:
    """A row of the table of schemes. ``protects`` judges the decoded file; the descent's own word does not count."""

    summary: str
    settings: type[StepSettings]
    plan: Callable[..., Plan]
    objective: Objective
    protects: Callable[[Verdict, Any], bool]
