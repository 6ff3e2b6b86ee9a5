"""What every noise scheme is made of: its settings, its plan for a photo, and what counts as protected."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from veil.noise.engine import Objective, Plan, StepSettings


@dataclass(frozen=True, eq=False)
class Released:
    """What a plan returns.

    Attributes:
        pixels: uint8, (C, H, W): the photo with its noise.
        targets: for each noise that was added, the target class of each network.
        iterations: steps taken, all attempts and all targets together.
        reached: whether every descent reached its goal. Says nothing of the written file: see `Verdict`.
    """

    pixels: Tensor
    targets: tuple[list[int], ...]
    iterations: int
    reached: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the networks of the descent say of the file as decoded, before and after; the worst of them each time.

    Attributes:
        truth_on_top: whether the true class is the first choice of any network.
        icp_before, icp_after: highest probability of the true class.
        entropy_before, entropy_after: ICE in nats, of the network on which it grew least.
        target_score: lowest over the networks of the highest probability among their targets.
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
