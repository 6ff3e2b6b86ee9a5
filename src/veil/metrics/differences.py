"""Paired differences of balanced accuracies, with 95 % intervals: two readers of the same faces.

Two readers of the same faces err on the same ones, so that their difference is known better than either of them. Where
people are known, whole people are resampled, both readers together (`veil.metrics.intervals`); otherwise images count
as independent, by the normal approximation of the differences of the two classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from veil.metrics.intervals import Z95, Interval, draws, numbered, quantiles, sums, wilson

_POINT = 1e-9
"""Intervals up to this length count as points."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One balanced accuracy minus another, −1 to 1, with its interval of 95 %."""

    difference: float
    interval: Interval


def balanced_difference(first: Tensor, second: Tensor, labels: Tensor, people: Tensor | None = None) -> Difference:
    """The balanced accuracy of one reader minus that of another, over the same images.

    Args:
        first, second: whether each says yes, bool (N,).
        labels: bool (N,), both classes among them.
        people: (N,) integers, who is on each image; None treats images as independent.

    Raises:
        ValueError: for other types and shapes, and where all labels are alike.
    """
    first, second, labels = (one.detach().cpu() for one in (first, second, labels))
    for one in (first, second, labels):
        if one.dtype != torch.bool or one.ndim != 1 or one.shape != labels.shape:
            raise ValueError(f"answers and labels must be bool (N,) of one length, not {one.dtype} {tuple(one.shape)}")
    if not bool(labels.any()) or bool(labels.all()):
        raise ValueError("both classes must occur")
    gained = (first == labels).double() - (second == labels).double()
    point = float(gained[labels].mean() + gained[~labels].mean()) / 2
    if people is None:
        return Difference(difference=point, interval=_over_images(point, gained, labels))
    return Difference(difference=point, interval=_over_people(point, gained, labels, numbered(people, len(labels))))


def _over_images(point: float, gained: Tensor, labels: Tensor) -> Interval:
    parts = gained[labels], gained[~labels]
    fewer = min(map(len, parts))
    if fewer < 2:
        return -1.0, 1.0
    deviation = math.sqrt(sum(float(part.var()) / len(part) for part in parts)) / 2
    return _widened(point, point - Z95 * deviation, point + Z95 * deviation, fewer)


def _over_people(point: float, gained: Tensor, labels: Tensor, person: Tensor) -> Interval:
    """By resamples that have both classes."""
    of_yes, of_no = (sums(gained * part, person) for part in (labels, ~labels))
    yes, no = sums(labels, person), sums(~labels, person)
    fewer = int(min((yes > 0).sum(), (no > 0).sum()))
    if fewer < 2:
        return -1.0, 1.0
    times = draws(len(yes))
    resampled = ((times @ of_yes) / (times @ yes) + (times @ of_no) / (times @ no)) / 2
    return _widened(point, *quantiles(resampled[resampled.isfinite()].numpy()), fewer)


def _widened(point: float, low: float, high: float, count: int) -> Interval:
    """An interval that holds its point; where nothing varies, as wide as no event in ``count`` trials leaves it."""
    if high - low <= _POINT:
        unknown = wilson(0, count)[1]
        low, high = point - unknown, point + unknown
    return max(-1.0, min(low, point)), min(1.0, max(high, point))
