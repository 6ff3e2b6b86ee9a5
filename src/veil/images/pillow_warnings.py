"""Keeps Pillow's warnings about odd files from reaching the user.

Pillow warns where it meets a strange tag ("Corrupt EXIF data", "Truncated File Read"), and a user who turns
warnings into errors would lose a readable photo to one. ``warnings.catch_warnings`` swaps the filters of the
whole process and is not safe among threads. Here one filter that matches only Pillow's own modules stands at the head
of the list while at least one thread reads or writes a photo; the last thread removes it. (It cannot stop the line that
libtiff prints to standard error about a damaged compressed TIFF.)
"""

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

_FILTER = ("ignore", None, Warning, re.compile(r"(PIL|pillow_heif)\b"), 0)
# Without a handler Python prints Pillow's log messages about damaged files.
logging.getLogger("PIL").addHandler(logging.NullHandler())
_lock = threading.Lock()
_inside = 0


@contextmanager
def silent_pillow() -> Iterator[None]:
    """Ignores warnings that come from Pillow and pillow-heif while the block runs, in every thread."""
    global _inside
    with _lock:
        _inside += 1
        filters = _filters()
        if filters[:1] != [_FILTER]:
            filters.insert(0, _FILTER)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            filters = _filters()
            while _inside == 0 and _FILTER in filters:
                filters.remove(_FILTER)


def _filters() -> list[Any]:
    # Looked up each time: catch_warnings elsewhere (pytest, for one) replaces the list.
    return cast("list[Any]", warnings.filters)
