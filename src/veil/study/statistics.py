"""The uncertainty of a share of right answers: Wilson's interval and an exact test.

Both treat every answer as an independent trial. Answers of one person, and answers to one question, are not
independent: some people look harder, and some pictures show more. `veil.metrics.intervals.of_answers` resamples whole
people and whole questions.
"""

from dataclasses import dataclass

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
        """Wilson's interval, which is accurate for few answers and for shares near 0 and 1, and stays in [0, 1]."""
        from veil.metrics.intervals import wilson

        return wilson(self.right, self.total)


def p_value(share: Share, chance: float) -> float:
    """Exact binomial test, two-sided: how often guessing with ``chance`` is at least as unlikely a result."""
    from scipy import stats

    return float(stats.binomtest(share.right, share.total, chance).pvalue)
