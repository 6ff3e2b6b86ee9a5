"""Attribute attackers that need no training by gradients: nearest neighbours, and kernel regression.

What the attacker knows: as for `veil.attacks.features.attribute_classifiers`. For vectors only. On a few values, deep
networks find nothing that these two do not find as well, and these depend neither on a learning rate nor on a seed.
Both compare standardised features; their free parameters are chosen on the attacker's own validation part. They are
computed again each time, and leave nothing in the run's folder.

Neighbours: Fix and Hodges 1951; an image's score is how much more frequent the attribute is among its nearest. Kernel:
ridge regression on Gaussian functions around some of the attacker's own features ("subset of regressors", Smola and
Schölkopf 2000), with the two classes of each attribute weighing as much as each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from veil.attacks.errors import AttackFailed
from veil.attacks.features.attackers import AttributeAttacker, KnownAttributes, TrainedAttack
from veil.attacks.features.attribute_classifiers import KNOWS, balanced, mean_auroc, scores_of
from veil.models.features import is_vector
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.models.features import Shape
    from veil.training.checkpoints import Row
    from veil.training.run import Run

_AT_ONCE = 512
Solved = Callable[["Tensor"], "Tensor"]
"""Standardised vectors (N, C, 1, 1) to scores (N, A)."""


@dataclass(frozen=True, kw_only=True)
class ClosedFormSettings:
    """Settings of neighbours and kernel.

    Attributes:
        neighbours: how many are asked: the best of these.
        centres: of the kernel: so many features, evenly out of all.
        bandwidths: of the kernel, as shares of the median distance: the best of these.
        ridges: of the regression: the best of these, together with a bandwidth.
    """

    neighbours: tuple[int, ...] = (1, 3, 9, 17, 33, 65, 129, 257)
    centres: int = 2000
    bandwidths: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0)
    ridges: tuple[float, ...] = (1e-6, 1e-4, 1e-2)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Maps standardised vectors (N, C, 1, 1) to scores (N, A): the share of yes among the nearest, each label weighed.

    Attributes:
        known: (M, C).
        worth: (M, A), what a neighbour adds.
        count: how many are asked.
    """

    known: Tensor
    worth: Tensor
    count: int

    def __call__(self, features: Tensor) -> Tensor:
        parts = torch.split(features.flatten(1).double(), _AT_ONCE)
        return torch.cat([self.worth[nearest(part, self.known, self.count)].mean(1) for part in parts]).float()


@dataclass(frozen=True, eq=False)
class Kernel:
    """Maps standardised vectors (N, C, 1, 1) to scores (N, A): weighted Gaussians around centres.

    Attributes:
        centres: (M, C).
        bandwidth: deviation of the Gaussians.
        weights: (M + 1, A), the last ones constant.
    """

    centres: Tensor
    bandwidth: float
    weights: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        parts = torch.split(features.flatten(1).double(), _AT_ONCE)
        return torch.cat([gaussians(part, self.centres, self.bandwidth) @ self.weights for part in parts]).float()


def neighbours(known: KnownAttributes, settings: ClosedFormSettings) -> Iterator[Solved]:
    """All numbers of neighbours to choose from; of standardised features."""
    values = known.features.flatten(1).double()
    worth = balanced(known.labels) * (2 * known.labels.double() - 1)
    return (Neighbours(values, worth, min(count, len(values))) for count in settings.neighbours)


def kernels(known: KnownAttributes, settings: ClosedFormSettings) -> Iterator[Solved]:
    """All bandwidths and ridges to choose from; of standardised features."""
    values = known.features.flatten(1).double()
    count = min(settings.centres, len(values))
    centres = values[torch.linspace(0, len(values) - 1, count).long().to(values.device)]
    apart = torch.cdist(centres, centres)
    middle = float(apart[apart > 0].median()) if bool((apart > 0).any()) else 1.0
    for bandwidth in (share * middle for share in settings.bandwidths):
        functions, among = (gaussians(points, centres, bandwidth) for points in (values, centres))
        penalty = F.pad(among[:, :-1], (0, 1, 0, 1))
        columns = [_regression(functions, penalty, label[:, None], settings.ridges) for label in known.labels.T]
        for weights in zip(*columns, strict=True):
            yield Kernel(centres, bandwidth, torch.cat(weights, 1))


def fit(
    solutions: Callable[[KnownAttributes, ClosedFormSettings], Iterator[Solved]],
    own: KnownAttributes,
    validation: KnownAttributes,
    settings: ClosedFormSettings,
    run: Run,
) -> TrainedAttack:
    """The best of some solutions, by the mean AUROC on the validation part."""
    from veil.attacks.features.training import moments
    from veil.models.feature_attackers import Standardised

    device = run.runner.device
    ready = Standardised(torch.nn.Identity(), *moments(own.features, places=False))
    known, others = (
        KnownAttributes(ready(part.features).to(device), part.labels.to(device)) for part in (own, validation)
    )
    with torch.inference_mode():
        best, score = best_of(solutions(known, settings), others)
    ready = ready.to(device)
    row: Row = {"epoch": 0, "validation": score}
    run.logged(row)

    def answer(features: Tensor) -> Tensor:
        return scores_of(lambda part: best(ready(part)), features, device).to(features.device)

    return TrainedAttack(answer, [row], solved=True)


def best_of(solutions: Iterator[Solved], validation: KnownAttributes) -> tuple[Solved, float]:
    """The solution that is best on standardised features of others, and how good it is.

    Raises:
        AttackFailed: where none gives finite scores.
    """
    judged = [(solved, mean_auroc(solved(validation.features), validation.labels)) for solved in solutions]
    finite = [pair for pair in judged if math.isfinite(pair[1])]
    if not finite:
        raise AttackFailed("no solution gives finite scores")
    return max(finite, key=lambda pair: pair[1])


def nearest(features: Tensor, known: Tensor, count: int) -> Tensor:
    """Indices (N, count) of the nearest of ``known``."""
    return torch.cdist(features, known).topk(count, largest=False).indices


def gaussians(features: Tensor, centres: Tensor, bandwidth: float) -> Tensor:
    """(N, M + 1): a Gaussian around each centre, and a constant."""
    near = torch.exp(-torch.cdist(features, centres).square() / (2 * bandwidth**2))
    return torch.cat([near, near.new_ones(len(near), 1)], 1)


def _regression(functions: Tensor, penalty: Tensor, label: Tensor, ridges: tuple[float, ...]) -> list[Tensor]:
    """Weights for each ridge, (M + 1, 1); a little is always added to the diagonal, for functions may be alike."""
    worth = balanced(label)
    square, wanted = functions.T @ (worth * functions), functions.T @ (worth * (2 * label.double() - 1))
    least = 1e-9 * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype, device=square.device)
    return [torch.linalg.solve(square + len(label) * ridge * penalty + least, wanted) for ridge in ridges]


def reads_vectors(shape: Shape) -> str | None:
    """Why maps cannot be read: neighbours and kernels compare vectors as a whole."""
    return None if is_vector(shape) else f"reads vectors, not maps of {shape[1]}×{shape[2]}"


NEIGHBOURS = AttributeAttacker(
    name="neighbours", title="nearest neighbours", knows=KNOWS, fit=partial(fit, neighbours), cannot=reads_vectors,
    settings=ClosedFormSettings(), scales={"smoke": {"neighbours": (1, 9)}, "cpu": {}, "paper": {}},
    default_at=("cpu", "paper"),
)  # fmt: skip
KERNEL = AttributeAttacker(
    name="kernel", title="kernel regression", knows=KNOWS, fit=partial(fit, kernels), cannot=reads_vectors,
    settings=ClosedFormSettings(),
    scales={"smoke": {"centres": 50, "bandwidths": (0.3,)}, "cpu": {"centres": 1000}, "paper": {}},
    default_at=("cpu", "paper"),
)  # fmt: skip
