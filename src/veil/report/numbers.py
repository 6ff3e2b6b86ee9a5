"""Numbers as texts: durations, means with their spread, intervals."""

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``2.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0


def spread(values: Iterable[float], digits: int = 1) -> str:
    """Mean and sample standard deviation, ``12.3 ± 0.4``; a single value alone."""
    numbers = list(values)
    if not numbers:
        return "–"
    text = f"{fmean(numbers):.{digits}f}"
    return f"{text} ± {deviation(numbers):.{digits}f}" if len(numbers) > 1 else text


def interval(bounds: Sequence[float]) -> str:
    """A 95 % interval of a share, in percent: ``95 %: 61.0 to 65.2 %``."""
    return f"95 %: {100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"


def signed_interval(bounds: Sequence[float]) -> str:
    """A 95 % interval of a difference of shares, in points: ``95 %: -1.5 to +2.0``."""
    return f"95 %: {100 * bounds[0]:+.1f} to {100 * bounds[1]:+.1f}"
