"""A matcher of people: an embedding of features in which photos of one person lie together, learnt from other people's.

What the attacker knows: features, as they are sent and decoded, of photos of people whose identities are known. These
people need not be the ones that the attacker looks for later. Closed form, no training.

Features are standardised and reduced to principal components, as for Fisherfaces (Belhumeur et al. 1997, Eigenfaces
vs. Fisherfaces); these are found by randomised subspace iteration (Halko et al. 2011, algorithm 4.4), a first one over
some photos and one over all. Linear discriminant analysis follows (Fisher 1936). With W the covariance of photos around
the mean of their person, of people with two photos at least, and T that of all photos,

    W ← (1 − a) W + a tr(W) / D · I       (shrinkage to the identity, as in Ledoit and Wolf 2004)
    A: AᵀWA = I, AᵀTA = diag(1 + b)       (within-class covariance normalisation, WCCN: Hatch et al. 2006)
    b ← (1 − e) b + e mean(b)             (evenness)
    weight of a direction: √(b / (1 + 2 b))

so that the inner product of two photos is what joins them in the log likelihood ratio of one person against two, where
people and photos are Gaussian (probabilistic linear discriminant analysis: Ioffe 2006). An evenness of 1 leaves
directions as WCCN has them. Embeddings have length 1 and are compared by the cosine, as Dehak et al. 2011 do (Front-end
factor analysis for speaker verification).

Ours: before embeddings are scaled to length 1, one constant value is added, as large as the others are on average.
Without it, an embedding of a single value could only be +1 or −1; among hundreds of values it changes nothing. The
number of components, a and e are chosen by threefold cross-validation on the attacker's own people: most photos of the
people left out must have another photo of the same person as their nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from veil.attacks.errors import AttackFailed
from veil.attacks.features.attackers import KnownPeople, PersonFinder, TrainedAttack, shape_of
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor

SHARES = (1.0, 0.5, 0.25)
"""Of the components, to choose from."""
_FOLDS = 3
_FEWEST = 12  # people to choose by
_JUDGED = 2000  # photos of a fold at most
_VALUES_AT_ONCE = 1 << 24  # bounds memory
_OF_CHANNEL = 0.1
_OVERSAMPLED = 16
_FIRST = 4000  # photos of the first iteration
_NOTHING = 1e-9  # of the largest variance
_LEAST_WITHIN = 1e-6  # of the mean variance, where all photos of a person are alike


@dataclass(frozen=True, kw_only=True)
class MatcherSettings:
    """What a matcher chooses from.

    Attributes:
        components: at most so many principal components; all, half and a quarter of them are tried.
        shrinkages: of W, above 0 up to 1: the best of these.
        evennesses: of the directions, 0 to 1: the best of these.
        seed: of the folds, and of the search for components.

    Raises:
        ValueError: for nothing to choose from, and for shares out of range.
    """

    components: int = 1024
    shrinkages: tuple[float, ...] = (0.1, 0.01, 0.001)
    evennesses: tuple[float, ...] = (1.0, 0.3, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.components < 1 or not self.shrinkages or not self.evennesses:
            raise ValueError("a matcher needs a component, a shrinkage and an evenness to choose from")
        shares = all(0 < share <= 1 for share in self.shrinkages) and all(0 <= share <= 1 for share in self.evennesses)
        if not shares:
            raise ValueError(
                f"shrinkages {self.shrinkages} and evennesses {self.evennesses} must be shares, shrinkages above 0"
            )


class Choice(NamedTuple):
    """How many principal components, the shrinkage a, and the evenness e."""

    components: int
    shrinkage: float
    evenness: float


@dataclass(frozen=True, eq=False)
class Matcher:
    """Maps features (N, C, h, w), floats of any precision, to embeddings of length 1, float32 (N, D + 1).

    Attributes:
        mean: of features, float32 (C, h, w).
        directions: float32 (C h w, D).
        level: of the value that all embeddings have before they get length 1.
        choice: what was chosen.
    """

    mean: Tensor = field(repr=False)
    directions: Tensor = field(repr=False)
    level: float
    choice: Choice

    def __call__(self, features: Tensor) -> Tensor:
        """Embeddings, on the features' device.

        Raises:
            ValueError: for features of another shape.
        """
        if not features.is_floating_point() or features.shape[1:] != self.mean.shape:
            raise ValueError(
                f"this matcher is for floats (N, {', '.join(map(str, self.mean.shape))}), "
                f"not {features.dtype} {tuple(features.shape)}"
            )
        mean, directions = self.mean.to(features.device), self.directions.to(features.device)
        parts = torch.split(features, _at_once(self.mean))
        with torch.inference_mode():
            return torch.cat([_embedded((part.float() - mean).flatten(1) @ directions, self.level) for part in parts])


def fit(features: Tensor, identities: Tensor, settings: MatcherSettings) -> Matcher:
    """The matcher that finds most of the attacker's own people; of fewer than 12 none is left out, and the choice is
    the most cautious one: all components, the largest shrinkage and evenness.

    Memory beside the features: some 16 C h w + 24 N bytes for each component.

    Args:
        features: floats (N, C, h, w), of any precision; each photo once: copies, mirrored ones too, mislead the choice.
        identities: integers (N,), who is seen.

    Raises:
        AttackFailed: where fewer than two people have two photos, and where all features are alike.
        ValueError: for other features or identities, and features that are not finite.
    """
    shape_of(features)
    counted = not (identities.is_floating_point() or identities.is_complex() or identities.dtype == torch.bool)
    if identities.shape != (len(features),) or not counted:
        raise ValueError(
            f"identities are integers ({len(features)},), not {identities.dtype} {tuple(identities.shape)}"
        )
    people = _People.of(identities.to(features.device))
    if people.known < 2:
        raise AttackFailed(f"a matcher learns from two people with two photos each at least, not from {people.known}")
    with torch.inference_mode():
        return _fit(features, people, settings)


def _fit(features: Tensor, people: _People, settings: MatcherSettings) -> Matcher:
    from veil.attacks.features.training import moments

    mean, deviation = (moment.to(features.device) for moment in moments(features, places=True))
    if not bool(mean.isfinite().all() & deviation.isfinite().all()):
        raise ValueError("features must be finite")
    deviation = _deviations(features, mean, deviation)
    basis, scores = _principal(features, mean, deviation, settings.components, settings.seed)
    if not basis.shape[1]:
        raise AttackFailed("all features are alike")
    choice = _chosen(scores, people, settings)
    within, total = _covariances(scores[:, : choice.components], people.number)
    directions, variances = _discriminant(within, total, choice.shrinkage)
    weights, level = _weights(variances, choice.evenness)
    of_values = basis[:, : choice.components] @ (directions * weights).float()
    return Matcher(mean, of_values / deviation.flatten()[:, None], level, choice)


@dataclass(frozen=True, eq=False)
class _People:
    """Whom photos show.

    Attributes:
        number: int64 (N,), from 0.
        several: bool, whether a person has two photos at least.
    """

    number: Tensor
    several: Tensor

    @classmethod
    def of(cls, identities: Tensor) -> _People:
        _, number, count = torch.unique(identities, return_inverse=True, return_counts=True)
        return cls(number, count > 1)

    @property
    def known(self) -> int:
        return int(self.several.sum())

    def folds(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Places of photos to learn from and to judge by. Nobody is in both; people with one photo are not judged."""
        several = self.several.nonzero().flatten()
        order = torch.randperm(len(several), generator=torch.Generator().manual_seed(seed_of("folds", seed)))
        rank = torch.full_like(self.several, -1, dtype=torch.int64)
        rank[several] = order.to(rank.device)
        rank = rank[self.number]
        for fold in range(_FOLDS):
            held = (rank >= 0) & (rank % _FOLDS == fold)
            judged = held.nonzero().flatten()
            yield (~held).nonzero().flatten(), judged[rank[judged].argsort(stable=True)][:_JUDGED]


def _deviations(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Of each value, (C, h, w), with a tenth of its channel's variance: a place may be empty in nearly all photos."""
    squares = torch.zeros_like(mean, dtype=torch.float64)
    for part in torch.split(features, _at_once(mean)):
        squares += (part.float() - mean).square().sum(0, dtype=torch.float64)
    variance = (1 - _OF_CHANNEL) * squares / len(features) + _OF_CHANNEL * deviation.double().square()
    return variance.sqrt().float()


def _principal(features: Tensor, mean: Tensor, deviation: Tensor, components: int, seed: int) -> tuple[Tensor, Tensor]:
    """Principal components of standardised features, float32 (C h w, D), and their scores, float64 (N, D)."""
    size = mean.numel()
    generator = torch.Generator().manual_seed(seed_of("principal components", seed))
    some = torch.randperm(len(features), generator=generator)[:_FIRST].to(features.device)
    width = min(components + _OVERSAMPLED, size, len(features))
    basis = torch.randn(size, width, generator=generator).to(features.device)

    def standardised(places: Tensor | None = None) -> Iterator[Tensor]:
        for part in torch.split(features if places is None else places, _at_once(mean)):
            photos = part if places is None else features[part]
            yield ((photos.float() - mean) / deviation).flatten(1)

    for places in (some, None):
        stretched = torch.zeros_like(basis)
        for part in standardised(places):
            stretched.addmm_(part.T, part @ basis)
        basis = torch.linalg.qr(stretched).Q
    scores = torch.cat([part @ basis for part in standardised()]).double()
    variances, vectors = torch.linalg.eigh(scores.T @ scores / len(scores))
    kept = (variances > max(_NOTHING * float(variances[-1]), 0.0)).nonzero().flatten().flip(0)[:components]
    return basis @ vectors[:, kept].float(), scores @ vectors[:, kept]


def _at_once(mean: Tensor) -> int:
    return max(1, _VALUES_AT_ONCE // mean.numel())


def _chosen(scores: Tensor, people: _People, settings: MatcherSettings) -> Choice:
    """The best of all choices, of several that are equally good the most cautious one."""
    sizes = sorted({max(1, round(share * scores.shape[1])) for share in SHARES}, reverse=True)
    shrinkages, evennesses = (
        tuple(sorted(set(shares), reverse=True)) for shares in (settings.shrinkages, settings.evennesses)
    )
    rates = {Choice(*choice): 0.0 for choice in product(sizes, shrinkages, evennesses)}
    if people.known < _FEWEST or len(rates) == 1:
        return next(iter(rates))
    for own, judged in people.folds(settings.seed):
        within, total = _covariances(scores[own], people.number[own])
        for size, shrinkage in product(sizes, shrinkages):
            directions, variances = _discriminant(within[:size, :size], total[:size, :size], shrinkage)
            values = scores[judged, :size] @ directions
            for evenness in evennesses:
                weights, level = _weights(variances, evenness)
                rate = _rank_one(_embedded(values * weights, level), people.number[judged])
                rates[Choice(size, shrinkage, evenness)] += rate
    return max(rates, key=rates.__getitem__)


def _covariances(scores: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """W and T, (D, D), of scores (N, D) whose mean over all photos is 0; W is not yet shrunk."""
    _, number, count = torch.unique(number, return_inverse=True, return_counts=True)
    sums = scores.new_zeros(len(count), scores.shape[1]).index_add_(0, number, scores)
    squares = scores.T @ scores
    return (squares - sums.T @ (sums / count[:, None])) / (count - 1).sum(), squares / len(scores)


def _discriminant(within: Tensor, total: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """A, (D, D), and 1 + b, (D,)."""
    size = len(within)
    level = max(float(within.trace()), _LEAST_WITHIN * float(total.trace())) / size
    identity = torch.eye(size, dtype=within.dtype, device=within.device)
    shrunk = (1 - shrinkage) * within + shrinkage * level * identity
    whitening = torch.linalg.solve_triangular(torch.linalg.cholesky(shrunk), identity, upper=False).T
    variances, vectors = torch.linalg.eigh(whitening.T @ total @ whitening)
    return whitening @ vectors, variances


def _weights(variances: Tensor, evenness: float) -> tuple[Tensor, float]:
    """Weights of directions, (D,), and the root mean square of what they then give."""
    between = (variances - 1).clamp_min(0)
    between = (1 - evenness) * between + evenness * between.mean()
    weights = (between / (1 + 2 * between)).sqrt()
    return weights, float((variances * weights.square()).mean().sqrt())


def _embedded(values: Tensor, level: float) -> Tensor:
    """Values (N, D) and a constant, of length 1 together: float32 (N, D + 1)."""
    return F.normalize(F.pad(values, (0, 1), value=level), dim=1).float()


def _rank_one(embeddings: Tensor, number: Tensor) -> float:
    """How often the most similar other photo is of the same person; as `veil.metrics.identity.rank_one`, without its
    interval."""
    similarity = (embeddings @ embeddings.T).fill_diagonal_(-torch.inf)
    right = (number[:, None] == number).fill_diagonal_(False)
    best = similarity == similarity.amax(1, keepdim=True)
    shares = (best & right).sum(1) / best.sum(1)
    return float(shares[right.any(1)].mean())


def fit_row(own: KnownPeople, validation: KnownPeople, settings: MatcherSettings) -> TrainedAttack:
    """The matcher of the attacker's own people."""
    assert own.identities is not None
    return TrainedAttack(fit(own.features, own.identities, settings))


MATCHER = PersonFinder(
    name="matcher", title="matcher of people", knows="features of other people's photos, with who is on them",
    settings=MatcherSettings(), scales={"smoke": {"components": 16}, "cpu": {}, "paper": {}}, fit=fit_row,
    by="a matcher that was learnt", needs_people=True,
)  # fmt: skip
