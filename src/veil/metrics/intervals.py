"""95 % intervals of shares: Wilson's for independent trials, and bootstraps for dependent trials.

Photos of one person are not independent: a hundred of them tell little more than a few do, and about gender no more
than one does. So whole people are resampled with replacement, each with all photos (the cluster bootstrap: Field &
Welsh 2007, Bootstrapping clustered data), and the share is computed on each resample. An interval reaches from the 2.5
% to the 97.5 % quantile of many such shares.

- `over_people`, of measurements: `DRAWS` resamples with a fixed seed, so that equal answers have equal intervals. The
  interval always contains the share itself.
- `of_answers`, of a study in which all people answer the same questions: 10,000 resamples by the study's own seed. With
  ``questions`` the questions are resampled as well (Owen 2007, The pigeonhole bootstrap), which shows how far a result
  carries over to other questions.

With fewer than about ten people both are too narrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

Z95 = 1.959963984540054
"""Standard deviations on each side of a 95 % interval."""
DRAWS = 2_000
"""Number of resamples for an interval over people."""
ANSWER_DRAWS = 10_000
"""Number of resamples for an interval of a study's answers."""
_TAIL = 0.025
_SEED = 0
_POINT = 1e-9
"""Intervals up to this length count as points."""
Interval = tuple[float, float]


def wilson(hits: float, count: int) -> Interval:
    """Wilson's 95 % interval of a share, ``hits`` out of ``count``; hits may be fractions.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.

    Raises:
        ValueError: if ``count`` is less than 1, or ``hits`` is not between 0 and ``count``.
    """
    from scipy import stats

    if count < 1 or not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count} is no share")
    if float(hits).is_integer():
        bounds = stats.binomtest(int(hits), count).proportion_ci(method="wilson")
        return float(bounds.low), float(bounds.high)
    # SciPy takes whole hits only. The bounds are those shares p for which hits lie Z95 deviations away from count · p.
    low, high = np.sort(np.roots([1 + Z95**2 / count, -(2 * hits + Z95**2) / count, (hits / count) ** 2]))
    return float(low), float(high)


def numbered(people: Tensor, count: int) -> Tensor:
    """People as numbers from 0 on without gaps, int64 on the CPU, checked.

    Raises:
        ValueError: for anything but integers (count,).
    """
    wrong = people.is_floating_point() or people.is_complex() or people.dtype == torch.bool
    if wrong or people.shape != (count,):
        raise ValueError(f"people must hold integers of shape ({count},), not {people.dtype} {tuple(people.shape)}")
    person: Tensor = torch.unique(people.detach().cpu().long(), return_inverse=True)[1]
    return person


def draws(people: int) -> Tensor:
    """How often each person is in each resample: float64 (`DRAWS`, people), always the same numbers."""
    drawn = torch.randint(people, (DRAWS, people), generator=torch.Generator().manual_seed(_SEED))
    times = torch.zeros(DRAWS, people, dtype=torch.float64)
    return times.scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand_as(drawn))


def sums(values: Tensor, person: Tensor) -> Tensor:
    """Sum of every person's values: float64 (P,).

    Args:
        values: (N,).
        person: (N,), `numbered`.
    """
    return torch.zeros(int(person.max()) + 1, dtype=torch.float64).index_add_(0, person, values.double())


def quantiles(resampled: NDArray[np.floating]) -> Interval:
    """The middle 95 % of resampled shares, (B,)."""
    low, high = np.quantile(resampled, [_TAIL, 1 - _TAIL])
    return float(low), float(high)


def bootstrap(share: float, resampled: Tensor, people: int) -> Interval:
    """Percentile interval of a share, widened where needed to hold it.

    If all resamples are equal, for instance because all answers are right, they show no variance. Wilson's interval of
    the share, with the number of people as count, is used instead. With fewer than two people it is (0, 1).

    Args:
        share: of all answers.
        resampled: (B,), of every resample.
        people: how many people the share depends on; with two classes, those of the rarer class.
    """
    if people < 2:
        return 0.0, 1.0
    low, high = quantiles(resampled.numpy())
    if high - low <= _POINT:
        return wilson(share * people, people)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def over_people(right: Tensor, people: Tensor) -> Interval:
    """95 % interval of the mean of answers, by the bootstrap over people.

    Args:
        right: (N,), bool, or shares 0 to 1.
        people: (N,) integers: the person of every answer.

    Raises:
        ValueError: for people of other types and shapes.
    """
    person = numbered(people, len(right))
    hits, counts = sums(right, person), sums(torch.ones_like(person), person)
    times = draws(len(counts))
    share = min(1.0, float(hits.sum() / counts.sum()))
    return bootstrap(share, (times @ hits) / (times @ counts), len(counts))


def of_answers(
    right: NDArray[np.bool_], seed: int, *, questions: bool = False, draws: int = ANSWER_DRAWS
) -> Interval | None:
    """95 % percentile interval of the share of right answers, by a bootstrap over people.

    Args:
        right: (people, questions), whether each answer is right.
        questions: resample the questions, too.

    Returns:
        The interval; None for fewer than two people, or with ``questions`` for fewer than two questions.
    """
    people, asked = right.shape
    if people < 2 or (questions and asked < 2):
        return None
    generator = np.random.default_rng(seed)
    hits = generator.multinomial(people, np.full(people, 1 / people), draws) @ right.astype(np.int64)
    if questions:
        hits = hits * generator.multinomial(asked, np.full(asked, 1 / asked), draws)
    return quantiles(hits.sum(1) / right.size)
