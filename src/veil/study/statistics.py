"""How sure a share of right answers is: intervals, an exact test, and a bootstrap that keeps people whole.

Wilson's interval and the binomial test take every answer for an independent trial. Answers of one person, and answers
to one question, are not: some people look harder, some pictures show more. `bootstrap` draws whole people anew, and
with ``questions`` whole questions as well (Owen 2007, "The pigeonhole bootstrap"), which says how far a result holds
for other people and, with the latter, for other pictures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE, DRAWS = 0.95, 10_000
Interval = tuple[float, float]


@dataclass(frozen=True)
class Share:
    """``right`` answers of ``total``, at least one, with Wilson's 95 % interval."""

    right: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.total or not self.total:
            raise ValueError(f"there is no share of {self.right} in {self.total}")

    @property
    def accuracy(self) -> float:
        """The share, in [0, 1]."""
        return self.right / self.total

    @property
    def interval(self) -> Interval:
        """Wilson's, which is good for few answers and for shares near 0 and 1, and stays in [0, 1]."""
        found = stats.binomtest(self.right, self.total).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)


def p_value(share: Share, chance: float) -> float:
    """Exact binomial test, two-sided: how often guessing with ``chance`` is at least as unlikely a result."""
    return float(stats.binomtest(share.right, share.total, chance).pvalue)


def bootstrap(right: NDArray[np.bool_], seed: int, *, questions: bool = False, draws: int = DRAWS) -> Interval | None:
    """95 % percentile interval of the share of right answers.

    Args:
        right: (people, questions), whether each answer is right.
        questions: draw the questions anew too.

    Returns:
        The interval; None for fewer than two people, or with ``questions`` fewer than two questions, of which nothing
        can be drawn. With fewer than some ten of either it is too narrow.
    """
    people, asked = right.shape
    if people < 2 or (questions and asked < 2):
        return None
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(people, np.full(people, 1 / people), draws)
    by_question = weights @ right.astype(np.int64)
    if questions:
        by_question = by_question * generator.multinomial(asked, np.full(asked, 1 / asked), draws)
    shares = by_question.sum(1) / right.size
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
