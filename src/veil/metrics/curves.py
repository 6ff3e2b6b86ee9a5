"""Whether a training had gone flat when it ended, or was still improving: one rule for all curves.

A training that was still improving would have gone further with more effort: what it reached is a lower bound. A curve
is flat where the last quarter of its epochs brought at most a hundredth of all that was gained since the first epoch,
or less than a difference that means nothing (`LEAST`, of an AUROC or a loss of images). Fewer than four epochs show
no curve: they count as still improving. Rates that fall to nothing flatten any curve: that one is flat is necessary for
"nothing found", and never sufficient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FEWEST = 4
"""Epochs that show a curve at least."""
QUARTER = 0.25
"""The last part of a training, in which little may be gained."""
SHARE = 0.01
"""Of all that was gained since the first epoch."""
LEAST = 0.005
"""A gain of a validation score that means nothing."""
RULE = (
    f"A curve is flat where the last quarter of its epochs brought at most {SHARE:.0%} of all that was gained, or at "
    f"most {LEAST} of a validation score; fewer than {FEWEST} epochs count as still improving."
)


def flat(scores: Sequence[float], *, least: float = LEAST) -> bool:
    """Whether scores of epochs, more is better, had gone flat; see the head of this module.

    Args:
        scores: one or more, by epoch.
        least: a gain that means nothing; 0 where scores have no known scale.

    Raises:
        ValueError: for no scores.
    """
    if not scores:
        raise ValueError("a curve has an epoch at least")
    if len(scores) < FEWEST:
        return False
    before = max(scores[: len(scores) - math.ceil(QUARTER * len(scores))])
    best = max(scores)
    return best - before <= max(least, SHARE * (best - scores[0]))


def best_was_early(best: int, epochs: int) -> bool:
    """Whether the best epoch, counted from 0, lies before the last quarter: then `flat` holds without the scores."""
    return epochs >= FEWEST and best < epochs - math.ceil(QUARTER * epochs)
