"""A bound on tests of what once hung: they fail instead."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Raises a TimeoutError in the main thread if the block takes longer, also while it waits for a file."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"nothing came for {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
