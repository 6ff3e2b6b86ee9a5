"""How well an attacker tells a yes-or-no attribute (Li et al. 2019, section 4.5), with intervals and floors.

Plain accuracy, which the paper reports, says nothing without the majority's share: 58.3 % of CelebA's images show
women, and the paper's "random-guessing level" for gender is 58.85 %. So balanced accuracy, the mean of the two
classes' hit rates, and the area under the ROC curve stand beside it, each with a 95 % interval over the test images:

- accuracy: Wilson 1927 (Probable inference, the law of succession, and statistical inference);
- balanced accuracy: Wilson's intervals of the two rates, joined as Newcombe 1998 does for differences (Interval
  estimation for the difference between independent proportions, method 10);
- AUROC: DeLong et al. 1988 (Comparing the areas under two or more correlated receiver operating characteristic
  curves), by mid-ranks in O(n log n) as in Sun & Xu 2014 (Fast implementation of DeLong's algorithm).

Intervals know of chance among the test images only, not of that in training; images of one person are not
independent, so that they are narrow rather than wide.

A score is any finite number that is larger where the attacker rather says yes, and says yes from the threshold on.
Labels are bool or 0 and 1. Everything is computed on the CPU in float64. All functions raise ``ValueError`` for other
types and shapes, and for NaN or infinite scores.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Z95 = 1.959963984540054
"""Standard deviations on each side of a 95 % interval."""
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class AttributeResult:
    """How well an attribute was told on test images; shares are 0 to 1, intervals (low, high) of 95 %.

    Attributes:
        accuracy: share of right answers. Its floor is ``majority``.
        balanced_accuracy: mean of the shares of right answers among the yes and among the no; 0.5 is a guess.
        auroc: how often a yes has a larger score than a no, ties count one half; 0.5 is a guess.
        threshold: from which score on the answer was yes.
        majority: share of the more frequent class among the test images.
        count: test images.
    """

    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    auroc: float
    auroc_interval: Interval
    threshold: float
    majority: float
    count: int


def measure(scores: Tensor, labels: Tensor, threshold: float) -> AttributeResult:
    """Judges scores on test images by a threshold from elsewhere: `best_threshold` of the attacker's validation data.

    Args:
        scores: (N,).
        labels: (N,), both classes among them.

    Raises:
        ValueError: also for a threshold that is NaN, and where all labels are alike: nothing could be told then.
    """
    scores, labels = _checked(scores, labels)
    if math.isnan(threshold):
        raise ValueError("the threshold is NaN")
    said = scores >= threshold
    right = int((said == labels).sum())
    positives = int(labels.sum())
    rates = [(int((said & labels).sum()), positives), (int((~said & ~labels).sum()), len(labels) - positives)]
    area, area_interval = _delong(scores, labels)
    return AttributeResult(
        accuracy=right / len(labels),
        accuracy_interval=wilson(right, len(labels)),
        balanced_accuracy=sum(hits / count for hits, count in rates) / 2,
        balanced_accuracy_interval=_mean_of_rates(rates),
        auroc=area,
        auroc_interval=area_interval,
        threshold=threshold,
        majority=majority(labels),
        count=len(labels),
    )


def best_threshold(scores: Tensor, labels: Tensor) -> float:
    """The threshold of the largest balanced accuracy: the lowest score, or the middle between two neighbouring ones.

    Of several that are equally good, the middle one.

    Args:
        scores: (N,), of the attacker's own validation images.
        labels: (N,), both classes among them.

    Raises:
        ValueError: also where all labels are alike.
    """
    scores, labels = _checked(scores, labels)
    values, place = torch.unique(scores, return_inverse=True)
    yes, no = (torch.zeros(len(values), dtype=torch.float64) for _ in range(2))
    yes.index_add_(0, place, labels.double())
    no.index_add_(0, place, (~labels).double())
    # From every value on the answer is yes: those below are said no.
    hits = (yes.sum() - yes.cumsum(0) + yes) / yes.sum()
    rejections = (no.cumsum(0) - no) / no.sum()
    balanced = hits + rejections
    best = (balanced >= balanced.max() - 1e-12).nonzero().flatten()
    chosen = int(best[len(best) // 2])
    if chosen == 0:
        return float(values[0])
    below, above = float(values[chosen - 1]), float(values[chosen])
    middle = below + (above - below) / 2
    return middle if middle > below else above


def accuracy(scores: Tensor, labels: Tensor, threshold: float) -> float:
    """Share of right answers."""
    scores, labels = _checked(scores, labels, both=False)
    return float(((scores >= threshold) == labels).double().mean())


def balanced_accuracy(scores: Tensor, labels: Tensor, threshold: float) -> float:
    """Mean of the shares of right answers among the yes and among the no; both must occur."""
    scores, labels = _checked(scores, labels)
    said = scores >= threshold
    return float(said[labels].double().mean() + (~said[~labels]).double().mean()) / 2


def auroc(scores: Tensor, labels: Tensor) -> float:
    """Share of pairs of a yes and a no in which the yes has the larger score, ties one half; both must occur."""
    return _delong(*_checked(scores, labels))[0]


def majority(labels: Tensor) -> float:
    """Share of the more frequent class: the accuracy of always giving the same answer."""
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels must have shape (N,), N at least 1, not {tuple(labels.shape)}")
    share = float(_as_bool(labels, "labels").double().mean())
    return max(share, 1 - share)


def from_utility(
    utility_train: Tensor, private_train: Tensor, utility_test: Tensor, private_test: Tensor
) -> AttributeResult:
    """What the true utility labels alone give away of a private attribute: the floor where the service is always right.

    The score of an image is the share of yes among the training images of the same utility labels (among all of them
    for a combination that does not occur there), the threshold the best on the training images.

    Args:
        utility_train: (N, T), bool or 0 and 1, T at least 1.
        private_train: (N,), both classes among them.
        utility_test: (M, T).
        private_test: (M,), both classes among them.
    """
    parts = (("training", utility_train, private_train), ("test", utility_test, private_test))
    for name, utility, private in parts:
        fits = utility.ndim == 2 and private.shape == utility.shape[:1] and utility.shape[1:] == utility_train.shape[1:]
        if not fits or 0 in utility.shape:
            raise ValueError(
                f"{name} labels: utility {tuple(utility.shape)} and private {tuple(private.shape)} do not fit together"
            )
    seen, answers = _as_bool(utility_train, "utility labels"), _as_bool(private_train, "private labels")
    new = _as_bool(utility_test, "utility labels")
    _, kind = torch.unique(torch.cat([seen, new]), dim=0, return_inverse=True)
    counts, yes = (torch.zeros(int(kind.max()) + 1, dtype=torch.float64) for _ in range(2))
    counts.index_add_(0, kind[: len(seen)], torch.ones(len(seen), dtype=torch.float64))
    yes.index_add_(0, kind[: len(seen)], answers.double())
    rate = torch.where(counts > 0, yes / counts.clamp_min(1), answers.double().mean())
    threshold = best_threshold(rate[kind[: len(seen)]], answers)
    return measure(rate[kind[len(seen) :]], private_test, threshold)


def wilson(hits: float, count: int) -> Interval:
    """Wilson's 95 % interval of a share, ``hits`` out of ``count``; hits may be fractions.

    Raises:
        ValueError: where ``count`` is less than 1, or there are more hits than that or fewer than none.
    """
    if count < 1 or not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count} is no share")
    share, z2 = hits / count, Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return (0.0 if hits == 0 else max(0.0, centre - half)), (1.0 if hits == count else min(1.0, centre + half))


def _mean_of_rates(rates: list[tuple[int, int]]) -> Interval:
    """95 % interval of the mean of independent shares: the distances to Wilson's bounds add as squares."""
    centre = down = up = 0.0
    for hits, count in rates:
        low, high = wilson(hits, count)
        centre += hits / count
        down += (hits / count - low) ** 2
        up += (high - hits / count) ** 2
    return (centre - math.sqrt(down)) / len(rates), (centre + math.sqrt(up)) / len(rates)


def _delong(scores: Tensor, labels: Tensor) -> tuple[float, Interval]:
    """AUROC and its 95 % interval, cut to [0, 1].

    The variance is unknown with less than two of a class: (0, 1). It is zero where the scores separate the classes
    perfectly; Wilson's interval of as many hits as the rarer class has images stands in then.
    """
    yes, no = scores[labels], scores[~labels]
    ranks, ranks_yes, ranks_no = _mid_ranks(scores), _mid_ranks(yes), _mid_ranks(no)
    beaten = (ranks[labels] - ranks_yes) / len(no)  # of every yes: the share of no below it
    beating = 1 - (ranks[~labels] - ranks_no) / len(yes)  # of every no: the share of yes above it
    area = float(beaten.mean())
    fewer = min(len(yes), len(no))
    if fewer < 2:
        return area, (0.0, 1.0)
    deviation = math.sqrt(float(beaten.var() / len(yes) + beating.var() / len(no)))
    if area in (0.0, 1.0):
        return area, wilson(area * fewer, fewer)
    return area, (max(0.0, area - Z95 * deviation), min(1.0, area + Z95 * deviation))


def _mid_ranks(values: Tensor) -> Tensor:
    """Ranks from 1; equal values share the mean of theirs."""
    ordered = values.sort().values
    return (torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True) + 1).double() / 2


def _checked(scores: Tensor, labels: Tensor, *, both: bool = True) -> tuple[Tensor, Tensor]:
    """Scores in float64 and labels as bool, on the CPU."""
    if scores.ndim != 1 or len(scores) == 0 or scores.shape != labels.shape:
        raise ValueError(
            f"scores and labels must have one shape (N,), N at least 1, not {tuple(scores.shape)} "
            f"and {tuple(labels.shape)}"
        )
    if scores.is_complex() or scores.dtype == torch.bool:
        raise ValueError(f"scores must be numbers, not {scores.dtype}")
    wide, truths = scores.detach().cpu().double(), _as_bool(labels, "labels")
    if not wide.isfinite().all():
        raise ValueError("scores must be finite")
    if both and bool((truths == truths[0]).all()):
        raise ValueError(f"all {len(truths)} labels are {bool(truths[0])}: both classes must occur")
    return wide, truths


def _as_bool(labels: Tensor, name: str) -> Tensor:
    labels = labels.detach().cpu()
    if labels.dtype == torch.bool:
        return labels
    if labels.is_floating_point() or labels.is_complex() or not ((labels == 0) | (labels == 1)).all():
        raise ValueError(f"{name} must be bool, or integers 0 and 1")
    return labels.bool()
