"""What every noise scheme is made of: settings, a plan for a photo, what counts as protected, and its row.

A scheme is a generator for a photo, a `Plan`: it yields the `Job`s that it wants done, gets their `Outcome`s back, may
ask for more, and returns what is `Released`. `veil.protections.noise.engine` runs the plans of many photos together; it
knows neither schemes nor targets. Whether the photo is protected is judged on the file as decoded (`Verdict`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

Objective = Callable[["Tensor", "Tensor"], tuple["Tensor", "Tensor"]]
"""Logits and goals, (N, K), to a loss and a score, (N,)."""
Aim = Callable[[Sequence["Tensor"]], Sequence["Tensor"]]
"""Logits (K,) of every network on the photo to a goal (K,) for each."""
Plan = Generator[list["Job"], list["Outcome"], Any]


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """How far and how fast: the parameters that every descent has. Noise in grey levels of 0 to 255."""

    step: float = field(default=1.0, metadata={"help": "Noise step η_step, in grey levels."})
    budget: float = field(
        default=3.0,
        metadata={"help": "Noise limit η_max, in grey levels (1 to 255); the file holds whole levels."},
    )
    required_score: float = field(default=0.99, metadata={"help": "Score at which a photo counts as done."})
    max_iterations: int = field(default=100, metadata={"help": "Steps before an attempt is given up."})

    def __post_init__(self) -> None:
        if not 1 <= self.budget <= 255:
            raise ValueError(f"budget must lie between 1 and 255 grey levels, not {self.budget:g}")
        if not 0 < self.step <= self.budget:
            raise ValueError(f"step must be above 0 and at most the budget ({self.budget:g}), not {self.step:g}")
        if not 0 < self.required_score < 1:
            raise ValueError(f"required score must lie between 0 and 1, not {self.required_score:g}")
        if self.max_iterations < 1:
            raise ValueError(f"max iterations must be at least 1, not {self.max_iterations}")


@dataclass(frozen=True, eq=False)
class Job:
    """One descent.

    Attributes:
        image: uint8, (C, H, W), C = 1 or 3.
        aim: given the logits (K,) of each network on the photo, the goal (K,) for each.
    """

    image: Tensor
    aim: Aim


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a descent ended.

    Attributes:
        released: uint8, (C, H, W): the iterate with the highest score.
        goals: what the job's aim answered.
        score: of ``released``, the lowest over the networks.
        iterations: updates made before ``released``'s score was taken, or all of them where it was not reached.
        reached: whether every network is at the required score.
    """

    released: Tensor
    goals: Sequence[Tensor]
    score: float
    iterations: int
    reached: bool


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
    classes: list[int] = torch.nonzero(goal >= goal.max())[:, 0].tolist()
    return classes


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Scheme:
    """A row of the table of schemes.

    Attributes:
        name: by which it is chosen.
        title: what it does, in a few words.
        settings: class of its settings; every field has a ``help``.
        plan: makes the `Plan` of a photo: ``plan(image, settings, label_spaces=…, truth=…, seed=…)``.
        objective: what the engine descends: logits and goals (N, K) to a loss and a score (N,).
        protects: judges the decoded file by its `Verdict`; the descent's own word does not count.
        protected_when: that condition in words, for reports; ``{networks}`` and ``{score}`` are filled in.
        ice_note: what entropy should do under this scheme, for reports.
        shortfall: why a photo on which no network has the truth on top is not protected: its row and the scheme's
            settings to a sentence, or None.
        universal: whether a universal noise can stand in for the descent.
    """

    name: str
    title: str
    settings: type[StepSettings]
    plan: Callable[..., Plan]
    objective: Objective
    protects: Callable[[Verdict, Any], bool]
    protected_when: str
    ice_note: str = ""
    shortfall: Callable[[Mapping[str, Any], Mapping[str, Any]], str | None] = lambda row, settings: None
    universal: bool = False


def is_undecided(verdict: Verdict, settings: object = None) -> bool:
    """Whether, on the file as decoded, no network has the truth on top and none is surer than it was before."""
    return not verdict.truth_on_top and verdict.entropy_after >= verdict.entropy_before


def surer(row: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """Says which networks are surer of their answer than before, which `is_undecided` forbids."""
    names = [
        view["network"] for view in row["networks"]
        if view["role"] == "descent" and view["ice_after"] < view["ice_before"]
    ]  # fmt: skip
    if not names:
        return None
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"The true class is no longer first, but {listed} is surer of its answer than before."


def missed_score(what: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], str | None]:
    """Says by how much ``what`` misses the required score."""

    def shortfall(row: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
        required = settings.get("required_score")
        if required is None or row["target_score"] >= required:
            return None
        score = f"{row['target_score']:.4f}"
        return f"The true class is no longer first, but {what} {score}; {required:.4g} is required."

    return shortfall
