"""Batches of images on their way through a cipher: what is refused, and pieces that threads take in turn.

On the CPU a piece stays in the cache near a core, and every operation on it has fewer elements than torch gives to
several threads. Threads within such short operations would wait for each other all the time, ten times as long as they
work where other processes keep a core busy; so there are threads over pieces. `torch.set_num_threads` says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

Work = TypeVar("Work")
Piece = tuple[slice, slice]
"""Which images of a batch, and which rows of each."""

SERIAL = (1 << 15) - 1
"""Most elements of an operation that torch leaves to one thread (GRAIN_SIZE of ATen/Parallel.h)."""

_ON_DEVICE = 64 << 20  # bytes of a piece elsewhere than on the CPU, where few large kernels are fast
_THREADS = 4  # more would only wait for Python's interpreter


def pieces(images: Tensor, *, most: int, rows: int) -> Iterator[Piece]:
    """Cuts a batch (N, 3, H, W) of bytes.

    Images stay whole where they are small enough, else they are cut after a multiple of ``rows`` rows.

    Args:
        most: bytes of a piece on the CPU; more only where so few rows have more.
    """
    count, channels, height, width = images.shape
    budget = most if images.device.type == "cpu" else _ON_DEVICE
    strip = min(height, max(1, budget // (channels * width * rows)) * rows)
    together = max(1, budget // (channels * width * strip))
    for top in range(0, height, strip):
        for first in range(0, count, together):
            yield slice(first, first + together), slice(top, top + strip)


def share(work: Callable[[Iterator[Work]], None], all_work: Iterable[Work], device: torch.device) -> None:
    """Has the work on all pieces done, by several threads if on the CPU: each calls ``work`` with the one iterator."""
    waiting = list(all_work)
    threads = min(torch.get_num_threads(), _THREADS, len(waiting)) if device.type == "cpu" else 1
    common = iter(waiting)
    if threads == 1:
        work(common)
        return
    with ThreadPoolExecutor(threads) as pool:
        for running in [pool.submit(work, common) for _ in range(threads)]:
            running.result()


def piece_of(images: Tensor, piece: Piece) -> Tensor:
    """A piece of a batch, (n, 3, rows, W), that can be seen as larger integers where its size allows it.

    It is a copy where the batch is not one block of memory.
    """
    which, rows = piece
    part = images[which, :, rows]
    aligned = images.is_contiguous() and images.storage_offset() % 8 == 0
    return part if aligned else part.clone(memory_format=torch.contiguous_format)
