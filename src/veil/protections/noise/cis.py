"""CIS, the class indistinguishability scheme: networks hesitate between several classes, none of them the true one.

Source: Liu et al. 2019, "Adversaries or allies? Privacy and deep learning in big data era", Algorithm 2 (doi
10.1002/cpe.5102).

Threat model: as for `veil.protections.noise.crs`.

Deviations from the paper, and why:
- Sign and accumulation of the noise as in `veil.protections.noise.crs`.
- The sum of the noises of n classes may leave the budget; by default it is clipped to it (``combine="clip"``). The
  raw sum is ``combine="sum"``.
- The paper draws a new list when one class of it is not reached. Here only that class is replaced, by the next one
  drawn, at most ``retries`` times; what is still not reached takes part with its best iterate.
- The paper names no condition for success. Here a photo counts as protected when, on every network, the true class is
  not on top and the entropy is not lower than the original's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from veil.protections.noise.crs import CrsSettings
from veil.protections.noise.scheme import Job, Outcome, Released, Scheme, is_undecided, surer
from veil.protections.noise.targets import cross_entropy, towards
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.protections.noise.scheme import Plan


Rule = Literal["clip", "sum"]
"""How the noises of the targets become one."""


@dataclass(frozen=True, kw_only=True)
class CisSettings(CrsSettings):
    """Algorithm 2's parameters: those of Algorithm 1, and n."""

    targets: int = field(default=2, metadata={"help": "The paper's n: classes to become indistinguishable."})
    combine: Rule = field(
        default="clip", metadata={"help": "Clip the sum of the noises to the budget, or release the raw sum."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.targets < 1:
            raise ValueError(f"targets must be at least 1, not {self.targets}")
        if self.combine not in get_args(Rule):
            raise ValueError(f"combine must be {' or '.join(get_args(Rule))}, not {self.combine!r}")


def plan(image: Tensor, settings: CisSettings, *, label_spaces: Sequence[int], truth: int | None, seed: int) -> Plan:
    """Algorithm 2 for one photo, uint8 (C, H, W)."""

    def job(number: int) -> Job:
        aim = towards(number, label_spaces, image, excluded_top=settings.excluded_top, truth=truth, seed=seed)
        return Job(image, aim)

    outcomes = yield [job(number) for number in range(settings.targets)]
    steps = sum(outcome.iterations for outcome in outcomes)
    drawn = settings.targets
    for _ in range(settings.retries):
        missing = [index for index, outcome in enumerate(outcomes) if not outcome.reached]
        if not missing:
            break
        again = yield [job(drawn + extra) for extra in range(len(missing))]
        drawn += len(missing)
        steps += sum(outcome.iterations for outcome in again)
        for index, outcome in zip(missing, again, strict=True):
            new = _targets(outcome) not in map(_targets, outcomes)  # with few classes the draw starts again
            if new and outcome.score > outcomes[index].score:
                outcomes[index] = outcome
    released = combine([outcome.released for outcome in outcomes], image, settings)
    goals = tuple(outcome.goals for outcome in outcomes)
    return Released(released, goals, steps, all(outcome.reached for outcome in outcomes))


def _targets(outcome: Outcome) -> list[int]:
    return [int(goal.argmax()) for goal in outcome.goals]


def combine(noisy: Sequence[Tensor], image: Tensor, settings: CisSettings) -> Tensor:
    """Lines 27 to 30: the photo plus the sum of the noises, uint8 (C, H, W)."""
    noise = torch.stack([photo.int() - image.int() for photo in noisy]).sum(0)
    if settings.combine == "clip":
        noise = noise.clamp(-int(settings.budget), int(settings.budget))
    return (image.int() + noise).clamp(0, 255).to(torch.uint8)


SCHEME = Scheme(
    name="cis",
    title="networks hesitate between classes",
    settings=CisSettings,
    plan=plan,
    objective=cross_entropy,
    protects=is_undecided,
    protected_when=(
        "The written file, read back, makes {networks} hesitate: the true class is not the first choice, and no "
        "network is surer of its answer than it was before."
    ),
    ice_note="This scheme makes networks undecided, so ICE should rise.",
    shortfall=surer,
)
