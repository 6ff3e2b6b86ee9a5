"""How well an attacker predicts a yes-or-no attribute (Li et al. 2019, section 4.5), with intervals and floors.

Plain accuracy, which the paper reports, says nothing without the majority's share: 58.3 % of CelebA's images show
women, and the paper's "random-guessing level" for gender is 58.85 %. So balanced accuracy, the mean of the two
classes' hit rates, and the area under the ROC curve stand beside it, each with a 95 % interval.

Images of one person are not independent, and an attribute such as gender is the person's. If the people on the test
images are known, intervals come from a bootstrap over people (`veil.metrics.intervals`). Otherwise they treat the
images as independent, and are too narrow if a person has several images:

- accuracy: Wilson 1927 (Probable inference, the law of succession, and statistical inference);
- balanced accuracy: Wilson's intervals of the two rates, joined as Newcombe 1998 does for differences (Interval
  estimation for the difference between independent proportions, method 10);
- AUROC: DeLong et al. 1988 (Comparing the areas under two or more correlated receiver operating characteristic
  curves), by mid-ranks in O(n log n) as in Sun & Xu 2014 (Fast implementation of DeLong's algorithm).

Intervals cover the sampling of test images or people only, not the randomness of training.

A score is any finite number, larger for a more likely yes. Scores at or above the threshold mean yes. Labels are bool
or 0 and 1. Everything is computed on the CPU in float64. All functions raise ``ValueError`` for other types and shapes,
and for NaN or infinite scores.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from veil.metrics.intervals import Z95, Interval, bootstrap, draws, numbered, over_people, sums, wilson

_PART = 4_000_000
"""How many weights of resampled images are in memory at a time: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class AttributeResult:
    """How well an attribute was read on test images; shares are 0 to 1, intervals (low, high) of 95 %.

    Attributes:
        accuracy: share of right answers. Its floor is ``majority``.
        balanced_accuracy: mean of the shares of right answers among the yes and among the no; 0.5 is a guess.
        auroc: how often a yes has a larger score than a no, ties count one half; 0.5 is a guess.
        threshold: the lowest score that counts as yes, for the balanced accuracy.
        accuracy_threshold: the same for the accuracy.
        majority: share of the more frequent class among the test images.
        count: number of test images.
        people: number of people on the test images if intervals are over people; None if they are over images.
    """

    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    auroc: float
    auroc_interval: Interval
    threshold: float
    accuracy_threshold: float
    majority: float
    count: int
    people: int | None = None


def measure(
    scores: Tensor,
    labels: Tensor,
    threshold: float,
    *,
    accuracy_threshold: float | None = None,
    people: Tensor | None = None,
) -> AttributeResult:
    """Judges scores on test images by thresholds from elsewhere: `best_threshold` of the attacker's validation data.

    Args:
        scores: (N,).
        labels: (N,), both classes among them.
        threshold: for the balanced accuracy.
        accuracy_threshold: for the accuracy, the best one on the validation data: with the other threshold, accuracy
            may fall below the majority's share. None takes ``threshold`` for both.
        people: (N,) integers, the person on each image; None makes intervals over images.

    Raises:
        ValueError: also for a NaN threshold, and if all labels are equal: nothing can be measured then.
    """
    scores, labels = _checked(scores, labels)
    if accuracy_threshold is None:
        accuracy_threshold = threshold
    if math.isnan(threshold) or math.isnan(accuracy_threshold):
        raise ValueError("the threshold is NaN")
    positive, right = scores >= threshold, (scores >= accuracy_threshold) == labels
    correct, positives = int(right.sum()), int(labels.sum())
    rates = [(int((positive & labels).sum()), positives), (int((~positive & ~labels).sum()), len(labels) - positives)]
    balanced = sum(hits / count for hits, count in rates) / 2
    area, area_interval = _delong(scores, labels)
    person = None if people is None else numbered(people, len(labels))
    if person is None:
        intervals = wilson(correct, len(labels)), _mean_of_rates(rates), area_interval
    else:
        intervals = (
            over_people(right, person),
            _balanced_over_people(balanced, positive, labels, person),
            _area_over_people(area, scores, labels, person),
        )
    return AttributeResult(
        accuracy=correct / len(labels),
        accuracy_interval=intervals[0],
        balanced_accuracy=balanced,
        balanced_accuracy_interval=intervals[1],
        auroc=area,
        auroc_interval=intervals[2],
        threshold=threshold,
        accuracy_threshold=accuracy_threshold,
        majority=majority(labels),
        count=len(labels),
        people=None if person is None else int(person.max()) + 1,
    )


def best_threshold(scores: Tensor, labels: Tensor, *, balanced: bool = True) -> float:
    """The threshold of the largest balanced accuracy: the lowest score, or the middle between two neighbouring ones.

    Of several equally good thresholds it takes the middle one.

    Args:
        scores: (N,), of the attacker's own validation images.
        labels: (N,), both classes among them.
        balanced: False maximises accuracy instead; the next number above the highest score, which always means no, is a
            candidate then, too.

    Raises:
        ValueError: also where all labels are alike.
    """
    scores, labels = _checked(scores, labels)
    values, place = torch.unique(scores, return_inverse=True)
    yes, no = sums(labels, place), sums(~labels, place)
    # Scores at or above a value mean yes, those below it no.
    hits, rejections = yes.sum() - yes.cumsum(0) + yes, no.cumsum(0) - no
    never = no.sum()[None]
    right = hits / yes.sum() + rejections / never if balanced else torch.cat([hits + rejections, never])
    best = (right >= right.max() - 1e-12).nonzero().flatten()
    chosen = int(best[len(best) // 2])
    if chosen == 0:
        return float(values[0])
    if chosen == len(values):
        return math.nextafter(float(values[-1]), math.inf)
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
    positive = scores >= threshold
    return float(positive[labels].double().mean() + (~positive[~labels]).double().mean()) / 2


def auroc(scores: Tensor, labels: Tensor) -> float:
    """Share of pairs of a yes and a no in which the yes has the larger score, ties one half; both must occur."""
    return _delong(*_checked(scores, labels))[0]


def majority(labels: Tensor) -> float:
    """Share of the more frequent class: the accuracy of always giving the same answer."""
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels must have shape (N,), N at least 1, not {tuple(labels.shape)}")
    positives = int(_as_bool(labels, "labels").sum())
    return max(positives, len(labels) - positives) / len(labels)


def from_utility(
    utility_train: Tensor,
    private_train: Tensor,
    utility_test: Tensor,
    private_test: Tensor,
    *,
    people_test: Tensor | None = None,
) -> AttributeResult:
    """How well the true utility labels alone predict a private attribute: the floor for a service that is always right.

    See `utility_guess` for how, and for the arguments.

    Args:
        private_test: (M,), both classes among them.
        people_test: (M,) integers, who is on each test image, as `measure` takes them.
    """
    guess = utility_guess(utility_train, private_train, utility_test)
    if private_test.shape != utility_test.shape[:1]:
        raise ValueError(
            f"test labels: utility {tuple(utility_test.shape)} and private {tuple(private_test.shape)} do not fit "
            "together"
        )
    return measure(
        guess.scores, private_test, guess.threshold, accuracy_threshold=guess.accuracy_threshold, people=people_test
    )


@dataclass(frozen=True, eq=False)
class Guess:
    """What somebody says of a private attribute who knows answers only.

    Attributes:
        scores: (M,), float64.
        threshold, accuracy_threshold: from which scores count as yes, as in `AttributeResult`.
    """

    scores: Tensor
    threshold: float
    accuracy_threshold: float

    @property
    def positive(self) -> Tensor:
        """Whether each is a yes, bool (M,), for the balanced accuracy."""
        return self.scores >= self.threshold


def utility_guess(utility_train: Tensor, private_train: Tensor, utility_test: Tensor) -> Guess:
    """A private attribute, guessed from yes-or-no answers to other questions.

    The score of an image is the share of yes among the training images of the same utility labels (among all of them
    for a combination that does not occur there), the thresholds the best on the training images.

    Args:
        utility_train: (N, T), bool or 0 and 1, T at least 1.
        private_train: (N,), both classes among them.
        utility_test: (M, T).
    """
    fits = utility_train.ndim == 2 and private_train.shape == utility_train.shape[:1] and 0 not in utility_train.shape
    alike = utility_test.ndim == 2 and utility_test.shape[1:] == utility_train.shape[1:] and len(utility_test)
    if not fits or not alike:
        raise ValueError(
            f"training labels: utility {tuple(utility_train.shape)} and private {tuple(private_train.shape)}, test "
            f"labels: utility {tuple(utility_test.shape)} do not fit together"
        )
    seen, answers = _as_bool(utility_train, "utility labels"), _as_bool(private_train, "private labels")
    new = _as_bool(utility_test, "utility labels")
    _, kind = torch.unique(torch.cat([seen, new]), dim=0, return_inverse=True)
    counts, yes = (torch.zeros(int(kind.max()) + 1, dtype=torch.float64) for _ in range(2))
    counts.index_add_(0, kind[: len(seen)], torch.ones(len(seen), dtype=torch.float64))
    yes.index_add_(0, kind[: len(seen)], answers.double())
    rate = torch.where(counts > 0, yes / counts.clamp_min(1), answers.double().mean())
    threshold, plain = (
        best_threshold(rate[kind[: len(seen)]], answers, balanced=balanced) for balanced in (True, False)
    )
    return Guess(rate[kind[len(seen) :]], threshold, plain)


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


def _balanced_over_people(share: float, positive: Tensor, labels: Tensor, person: Tensor) -> Interval:
    """The balanced accuracy's interval over people, by resamples that have both classes."""
    hits, rejections, yes, no = (sums(one, person) for one in (positive & labels, ~positive & ~labels, labels, ~labels))
    times = draws(len(yes))
    resampled = (times @ hits) / (times @ yes) + (times @ rejections) / (times @ no)
    return bootstrap(share, resampled[resampled.isfinite()] / 2, _rarer(yes, no))


def _area_over_people(area: float, scores: Tensor, labels: Tensor, person: Tensor) -> Interval:
    """The AUROC's interval over people, by resamples that have both classes.

    An image counts as often as its person was drawn: a yes beats the weight of the no below it, and half of that of the
    no with the same score. O(`DRAWS` · N) in time.
    """
    order = scores[~labels].sort()
    yes, no = person[labels], person[~labels][order.indices]
    start, end = (torch.searchsorted(order.values, scores[labels], right=right) for right in (False, True))
    parts = []
    for times in torch.split(draws(int(person.max()) + 1).T.contiguous(), max(1, _PART // len(scores)), 1):
        won, lost = times[yes], times[no].cumsum(0)
        below = torch.cat([torch.zeros_like(lost[:1]), lost])
        parts.append((won * (below[start] + below[end])).sum(0) / (2 * won.sum(0) * below[-1]))
    resampled = torch.cat(parts)
    fewer = _rarer(sums(labels, person), sums(~labels, person))
    return bootstrap(area, resampled[resampled.isfinite()], fewer)


def _rarer(yes: Tensor, no: Tensor) -> int:
    """Number of people in the rarer class; people with images of both classes count in both."""
    return int(min((yes > 0).sum(), (no > 0).sum()))


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
