"""Least-likely class: networks see the class that they held for least likely.

Source: A. Kurakin, I. Goodfellow, S. Bengio, "Adversarial examples in the physical world", 2017
(https://arxiv.org/abs/1607.02533), the iterative least-likely class method.

Threat model: as for Veil's own scheme ``crs``. Deviations: steps stop at the required score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from veil.protections.noise.scheme import Job, Released, Scheme, StepSettings, Verdict, missed_score
from veil.protections.noise.targets import cross_entropy
from veil.runtime.lazy import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from veil.protections.noise.scheme import Plan


def plan(image: Tensor, settings: StepSettings, *, label_spaces: Sequence[int], truth: int | None, seed: int) -> Plan:
    """One descent of one photo, uint8 (C, H, W), towards every network's least likely class."""

    def aim(logits: Sequence[Tensor]) -> list[Tensor]:
        return [F.one_hot(answer.argmin(), len(answer)).float() for answer in logits]

    (outcome,) = yield [Job(image, aim)]
    return Released(outcome.released, (outcome.goals,), outcome.iterations, outcome.reached)


def protects(verdict: Verdict, settings: StepSettings) -> bool:
    """Whether every network gives the target the required score and the truth is not on top."""
    return not verdict.truth_on_top and verdict.target_score >= settings.required_score


SCHEME = Scheme(
    name="least-likely",
    title="networks see the class that they held for least likely",
    settings=StepSettings,
    plan=plan,
    objective=cross_entropy,
    protects=protects,
    protected_when="The written file makes {networks} name the class that they held for least likely, with {score}.",
    shortfall=missed_score("the target class has only"),
)
