"""Attribute attackers that need no training by gradients: nearest neighbours, and kernel regression.

For vectors only. A few values leave nothing for a deep network to find that these do not find as well, and what they
find does not hang on a rate or a seed's luck. Both compare standardised features; what they are free in is chosen on
the attacker's own validation part.

Neighbours: Fix and Hodges 1951; an image's score is how much more frequent the attribute is among its nearest. Kernel:
ridge regression on Gaussian functions around some of the attacker's own features ("subset of regressors", Smola and
Schölkopf 2000), with the two classes of each attribute weighing as much as each other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_AT_ONCE = 512
Judge = Callable[[Tensor, Tensor], float]
"""Scores and labels, (N, A), to how good these are."""


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


class Neighbours(nn.Module):
    """Maps standardised vectors (N, C, 1, 1) to scores (N, A): the share of yes among the nearest, each label weighed.

    Args:
        known: (M, C).
        worth: (M, A), what a neighbour adds.
        count: how many are asked.
    """

    known: Tensor
    worth: Tensor

    def __init__(self, known: Tensor, worth: Tensor, count: int) -> None:
        super().__init__()
        self.register_buffer("known", known)
        self.register_buffer("worth", worth)
        self.count = count

    def forward(self, features: Tensor) -> Tensor:
        parts = torch.split(features.flatten(1).double(), _AT_ONCE)
        return torch.cat([self.worth[nearest(part, self.known, self.count)].mean(1) for part in parts]).float()


class Kernel(nn.Module):
    """Maps standardised vectors (N, C, 1, 1) to scores (N, A): weighted Gaussians around centres.

    Args:
        centres: (M, C).
        bandwidth: deviation of the Gaussians.
        weights: (M + 1, A), the last ones constant.
    """

    centres: Tensor
    weights: Tensor

    def __init__(self, centres: Tensor, bandwidth: float, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("centres", centres)
        self.register_buffer("weights", weights)
        self.bandwidth = bandwidth

    def forward(self, features: Tensor) -> Tensor:
        parts = torch.split(features.flatten(1).double(), _AT_ONCE)
        return torch.cat([gaussians(part, self.centres, self.bandwidth) @ self.weights for part in parts]).float()


def fit_neighbours(
    features: Tensor, labels: Tensor, validation: tuple[Tensor, Tensor], settings: ClosedFormSettings, judge: Judge
) -> tuple[nn.Module, float]:
    """The best number of neighbours, and how well it did.

    Args:
        features: standardised, (N, C, 1, 1).
        labels: bool (N, A).
        validation: both of others.
        judge: more is better.
    """
    known, worth = features.flatten(1).double(), balanced(labels) * (2 * labels.double() - 1)
    tried = (Neighbours(known, worth, min(count, len(known))) for count in settings.neighbours)
    return _best(tried, validation, judge)


def fit_kernel(
    features: Tensor, labels: Tensor, validation: tuple[Tensor, Tensor], settings: ClosedFormSettings, judge: Judge
) -> tuple[nn.Module, float]:
    """The best bandwidth and ridge, and how well they did; as `fit_neighbours`."""
    values = features.flatten(1).double()
    count = min(settings.centres, len(values))
    centres = values[torch.linspace(0, len(values) - 1, count).long().to(values.device)]
    apart = torch.cdist(centres, centres)
    middle = float(apart[apart > 0].median()) if bool((apart > 0).any()) else 1.0

    def tried() -> Iterator[nn.Module]:
        for bandwidth in (share * middle for share in settings.bandwidths):
            functions, among = (gaussians(each, centres, bandwidth) for each in (values, centres))
            penalty = F.pad(among[:, :-1], (0, 1, 0, 1))
            columns = [_regression(functions, penalty, label[:, None], settings.ridges) for label in labels.T]
            for weights in zip(*columns, strict=True):
                yield Kernel(centres, bandwidth, torch.cat(weights, 1))

    return _best(tried(), validation, judge)


def balanced(labels: Tensor) -> Tensor:
    """Weights (N, A) with which yes and no count as much as each other in each column, 1 on average.

    A column of one kind has 1 throughout.
    """
    share = labels.double().mean(0)
    weights = torch.where(labels, 0.5 / share, 0.5 / (1 - share))
    return torch.where((share > 0) & (share < 1), weights, 1.0)


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


def _best(tried: Iterator[nn.Module], validation: tuple[Tensor, Tensor], judge: Judge) -> tuple[nn.Module, float]:
    found = ((each, judge(each(validation[0]), validation[1])) for each in tried)
    return max(found, key=lambda pair: pair[1])
