"""CRS, the class replacement scheme: networks see another class, with high confidence.

Source: Liu et al. 2019, "Adversaries or allies? Privacy and deep learning in big data era", Algorithm 1 (doi
10.1002/cpe.5102). Its one-step case is FGSM, eq. 5 (`CrsSettings.fgsm`).

Threat model: a crawler that classifies published photos with networks that the owner can compute gradients of.
Nothing is promised against networks that were not part of the descent, or people.

Deviations from the paper, and why:
- Line 15 adds the sign of the gradient, which walks away from the target. Here it is subtracted.
- Line 12 adds the noise to the image of the step before, which counts it twice. Here the photo is x + η.
- Noise lives at the photo's resolution and the score is that of the 8-bit photo; the paper's experiments worked on the
  resized float tensor.
- "Return to step 10" has no end in the paper. Here a photo gets ``retries`` further targets, and the best iterate of
  all of them is released and reported as not protected.
- The paper gives no k; 5 here.
- Several networks: the noise is done when every one is at the required score. Networks with the same classes are drawn
  to the same target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from veil.protections.noise.scheme import Job, Released, Scheme, StepSettings, Verdict, missed_score
from veil.protections.noise.targets import cross_entropy, towards

if TYPE_CHECKING:
    from torch import Tensor

    from veil.protections.noise.scheme import Plan


@dataclass(frozen=True, kw_only=True)
class CrsSettings(StepSettings):
    """Algorithm 1's parameters; see `StepSettings` for η_step, η_max, score_required and max_iter."""

    excluded_top: int = field(
        default=5, metadata={"help": "The paper's k: the best k classes of the original are no targets."}
    )
    retries: int = field(default=2, metadata={"help": "Further targets to try when one is not reached."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.excluded_top < 1:
            raise ValueError(f"excluded top must be at least 1, not {self.excluded_top}")
        if self.retries < 0:
            raise ValueError(f"retries must not be negative, not {self.retries}")

    @classmethod
    def fgsm(cls, epsilon: float) -> CrsSettings:
        """The fast gradient sign method, eq. 5, towards a random target: one step of ``epsilon`` grey levels."""
        return cls(step=epsilon, budget=epsilon, max_iterations=1, retries=0)


def plan(image: Tensor, settings: CrsSettings, *, label_spaces: Sequence[int], truth: int | None, seed: int) -> Plan:
    """Algorithm 1 for one photo, uint8 (C, H, W)."""
    best, steps = None, 0
    for attempt in range(1 + settings.retries):
        aim = towards(attempt, label_spaces, image, excluded_top=settings.excluded_top, truth=truth, seed=seed)
        (outcome,) = yield [Job(image, aim)]
        steps += outcome.iterations
        if best is None or outcome.score > best.score:
            best = outcome
        if outcome.reached:
            break
    assert best is not None
    return Released(best.released, (best.goals,), steps, best.reached)


def protects(verdict: Verdict, settings: CrsSettings) -> bool:
    """Whether, on the file as decoded, every network gives the target the required score and the truth is not top-1."""
    return not verdict.truth_on_top and verdict.target_score >= settings.required_score


SCHEME = Scheme(
    name="crs",
    title="networks see another class",
    settings=CrsSettings,
    plan=plan,
    objective=cross_entropy,
    protects=protects,
    protected_when=(
        "The written file, read back, makes {networks} name a wrong class, chosen at random, with {score}; the true "
        "class is not the first choice."
    ),
    ice_note="This scheme makes networks certain of a wrong class, so ICE falls here by intention: look at ICP.",
    shortfall=missed_score("the target class has only"),
)
