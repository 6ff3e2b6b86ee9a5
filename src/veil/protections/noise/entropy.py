"""Entropy scheme: one noise that makes a network as unsure as it can be, by optimising ICE itself.

Source: Veil's own. Liu et al. 2019 pose the problem (P2, eq. 4: maximise the entropy of the network's answer), hold it
for hard, and add up noises for single classes instead (`cis`). Here one descent goes towards a *soft goal*, a
distribution over the classes:

- all classes alike (``targets=0``, the default): direct ICE;
- n drawn classes alike (``targets=n``): the joint form of CIS, whose entropy ends at ln n. n = 1 is CRS.

Threat model: as for `veil.protections.noise.crs`.

How it works, and why:
- The loss is KL(goal ‖ answer). Its gradient in the logits is answer − goal, large as long as one class stands out,
  where that of −H vanishes on an answer that is sure. On the photos that we measured both end at the same entropy;
  KL serves drawn classes, too.
- Unsure is not enough: among classes that are nearly alike the true one may still come first. A hinge on the logits
  keeps the best unwanted class (the true one; with n drawn classes all others) below the best wanted one. It wants a
  lead of `LEAD` and weighs `WEIGHT`: enough to decide the order, too little to cost entropy.
- The score is exp(−KL(goal ‖ answer)), in [0, 1]: 1 where the answer is the goal, and for a single class that class's
  probability, as in CRS. Where an unwanted class comes first, 1 is taken off, so that the iterate that is released
  hides the truth wherever one does.
- Half a grey level is the default step: it takes more steps than a whole one and ends at higher entropy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from veil.protections.noise.scheme import Job, Released, Scheme, StepSettings, Verdict, missed_score
from veil.protections.noise.targets import draw, forbidden
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.protections.noise.scheme import Aim, Plan

LEAD = 0.3  # of the best wanted class over the best unwanted one, in logits
WEIGHT = 0.03  # of that lead against the divergence in nats


@dataclass(frozen=True, kw_only=True)
class EntropySettings(StepSettings):
    """See `StepSettings`; the required score is exp(−KL) to the goal, of which 0.95 means ICE ≥ 0.99 ln K or so."""

    step: float = field(default=0.5, metadata={"help": "Noise step η_step, in grey levels."})
    required_score: float = field(default=0.95, metadata={"help": "Score at which a photo counts as done."})
    targets: int = field(
        default=0, metadata={"help": "The paper's n: classes to become indistinguishable; 0 means all of them."}
    )
    excluded_top: int = field(
        default=5, metadata={"help": "The paper's k: the best k classes of the original are no targets."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.targets < 0:
            raise ValueError(f"targets must not be negative, not {self.targets}")
        if self.excluded_top < 1:
            raise ValueError(f"excluded top must be at least 1, not {self.excluded_top}")


def divergence(logits: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
    """KL(goal ‖ answer) with the lead of wanted over unwanted classes, and the score.

    Args:
        logits: (N, K).
        goals: (N, K), rows sum to one. Wanted are the classes with the largest weight in a row.

    Returns:
        The loss in nats, (N,), and the score, (N,): exp(−KL), less 1 where an unwanted class comes first.
    """
    log_probability = F.log_softmax(logits, 1)
    kl = (torch.special.xlogy(goals, goals) - goals * log_probability).sum(1)
    wanted = goals >= goals.amax(1, keepdim=True)
    best = logits.masked_fill(~wanted, -math.inf).amax(1)
    unwanted = logits.masked_fill(wanted, -math.inf).amax(1)  # −inf where all classes are wanted
    loss = kl + WEIGHT * (unwanted - best + LEAD).clamp_min(0)
    return loss, (-kl.detach()).exp() - (unwanted >= best).float()


def alike(classes: int, below: Sequence[int] | Tensor = ()) -> Tensor:
    """The goal of direct ICE, (K,): all classes alike, but those ``below`` as far under the others as `LEAD` wants."""
    weights = torch.ones(classes)
    weights[torch.as_tensor(below, dtype=torch.long)] = math.exp(-LEAD)
    return weights / weights.sum()


def plan(
    image: Tensor, settings: EntropySettings, *, label_spaces: Sequence[int], truth: int | None, seed: int
) -> Plan:
    """One descent of one photo, uint8 (C, H, W), towards the soft goal."""
    aim = _towards_all(label_spaces, truth)
    if settings.targets:
        aim = _towards_some(image, settings, label_spaces, truth, seed)
    (outcome,) = yield [Job(image, aim)]
    return Released(outcome.released, (outcome.goals,), outcome.iterations, outcome.reached)


def _towards_all(label_spaces: Sequence[int], truth: int | None) -> Aim:
    def aim(logits: Sequence[Tensor]) -> list[Tensor]:
        spaces = forbidden(logits, label_spaces, truth)
        return [alike(len(answers), sorted(spaces[space])) for answers, space in zip(logits, label_spaces, strict=True)]

    return aim


def _towards_some(
    image: Tensor, settings: EntropySettings, label_spaces: Sequence[int], truth: int | None, seed: int
) -> Aim:
    def aim(logits: Sequence[Tensor]) -> list[Tensor]:
        orders = draw(logits, label_spaces, image, excluded_top=settings.excluded_top, truth=truth, seed=seed)
        goals = []
        for answers, order in zip(logits, orders, strict=True):
            drawn = order[: settings.targets]
            goals.append(F.one_hot(torch.tensor(drawn), len(answers)).float().mean(0))
        return goals

    return aim


def protects(verdict: Verdict, settings: EntropySettings) -> bool:
    """Whether, on the file as decoded, every network's answer has the required score and the truth is not on top."""
    return not verdict.truth_on_top and verdict.target_score >= settings.required_score


SCHEME = Scheme(
    name="entropy",
    title="networks hold all classes alike",
    settings=EntropySettings,
    plan=plan,
    objective=divergence,
    protects=protects,
    protected_when=(
        "The written file, read back, makes {networks} hold the wanted classes nearly alike, with {score}; the true "
        "class is not the first choice."
    ),
    ice_note="This scheme makes networks undecided, so ICE should rise.",
    shortfall=missed_score("the answer's evenness is"),
    universal=True,
)
