"""Reduces an input that fails to a small one that fails in the same way (delta debugging, Zeller 2002, simplified)."""

import time
from collections.abc import Callable


def minimised(data: bytes, fails: Callable[[bytes], bool], seconds: float) -> bytes:
    """The shortest input that was found by removing pieces, halved in size each round, while it fails.

    Args:
        data: an input that fails.
        fails: whether shorter bytes fail in the same way.
        seconds: after which the best one so far is returned.
    """
    until = time.monotonic() + seconds
    piece = max(1, len(data) // 2)
    while True:
        at, shorter = 0, False
        while at < len(data):
            if time.monotonic() > until:
                return data
            fewer = data[:at] + data[at + piece :]
            if fails(fewer):
                data, shorter = fewer, True
            else:
                at += piece
        if piece == 1 and not shorter:
            return data
        piece = max(1, piece // 2)
