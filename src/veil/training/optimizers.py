"""The optimisers that settings can name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["sgd", "adam"]
"""``sgd`` has momentum 0.9."""


def optimizer(
    kind: Kind, parameters: Iterable[Tensor], rate: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """A new optimiser.

    Args:
        rate: learning rate at the start; see `veil.training.schedule.set_rate`.
        betas: of Adam.
    """
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9)
    return torch.optim.Adam(parameters, lr=rate, betas=betas)
