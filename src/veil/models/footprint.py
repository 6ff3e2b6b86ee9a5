"""How much memory a network takes, found out before it takes any.

A model card that came from a stranger may describe a network of a thousand gigabytes in two lines. Such a network is
first built on torch's device ``meta``, whose tensors have shapes and no values: `outline`. Its weights are compared
with the header of the file of weights (`veil.models.weights.require_fit`), and one image of its size goes through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MOST_BYTES = 1 << 30
"""Of one tensor between two layers, for one image, and of all tensors that are not weights."""


def outline(build: Callable[[], nn.Module]) -> nn.Module | None:
    """The network that ``build`` returns, with shapes and no values; None if it looks at values when it is built."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, NotImplementedError) as error:
        if _lacks_values(error):
            return None
        raise


def require_small(network: nn.Module, image: tuple[int, int, int]) -> None:
    """Refuses a network that takes too much memory for one image.

    Args:
        network: an `outline`.
        image: shape (C, H, W).

    Raises:
        ValueError: where a tensor between layers, or what is kept beside weights, would have more than `MOST_BYTES`.
    """
    weights = network.state_dict().keys()
    if sum(_bytes(buffer) for name, buffer in network.named_buffers() if name not in weights) > MOST_BYTES:
        raise ValueError(f"it would keep more than {MOST_BYTES:,} bytes beside its weights")
    try:
        with torch.inference_mode(), _Limit(image):
            network.eval()(torch.zeros(1, *image, device="meta"))
    except (RuntimeError, NotImplementedError) as error:
        if not _lacks_values(error):
            raise


class _Limit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Stops at an operation whose result would be too large."""

    def __init__(self, image: tuple[int, int, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.image = image

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(_bytes(value) > MOST_BYTES for value in tree_leaves(result) if isinstance(value, Tensor)):
            height, width = self.image[1:]
            raise ValueError(f"an image of {height}×{width} would take more than {MOST_BYTES:,} bytes at once")
        return result


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()


def _lacks_values(error: Exception) -> bool:
    """Whether torch refused to say a value that a tensor without values does not have."""
    return "meta" in str(error)
