"""The order of an epoch: indices of examples in whole batches, drawn anew for every epoch, and a process's share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def epoch_generator(seed: int, *epoch: object) -> Generator:
    """A generator for the order of an epoch, on the CPU.

    It depends on the seed and the epoch alone, so that a training that was stopped goes on in the same order.

    Args:
        epoch: its number; the name of a stage first, where a training has several.
    """
    return Generator().manual_seed(seed_of("order", seed, *epoch))


def whole_batches(count: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Indices of ``count`` examples in a random order, ``size`` at a time, int64 on the CPU.

    The last ones that fill no batch are left out. The order is drawn when the first batch is asked for.
    """
    order = torch.randperm(count, generator=generator)
    for first in range(0, count - size + 1, size):
        yield order[first : first + size]


def share_of(runner: "Fabric", size: int) -> slice:
    """Which part of a batch of ``size`` examples belongs to this process.

    Raises:
        ValueError: where the batch cannot be divided among all processes into equal parts of at least two examples.
    """
    shares = runner.world_size
    if size % shares or size < 2 * shares:
        raise ValueError(f"batches of {size} images cannot be divided among {shares} devices")
    return slice(runner.global_rank * size // shares, (runner.global_rank + 1) * size // shares)
