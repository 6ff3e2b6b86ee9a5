"""The device to compute on, chosen by a person or the best one available, and the precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from veil.runtime.lazy import torch

Precision = Literal["auto", "32-true", "bf16-mixed"]
"""What a training computes in; ``auto`` is bfloat16, with weights in float32, where the hardware computes in it."""


_AVAILABLE: Mapping[str, Callable[[], bool]] = {
    "cpu": lambda: True,
    "cuda": lambda: torch.cuda.is_available(),
    "mps": lambda: torch.backends.mps.is_available(),
}
AUTO = "auto"
NAMES = (AUTO, *_AVAILABLE)
"""What `choose` takes, beside numbered ones such as ``cuda:1``."""


def choose(name: str) -> torch.device:
    """``auto`` is CUDA, then MPS, then the CPU.

    Raises:
        ValueError: for a device that is not there.
    """
    available = {device: here() for device, here in _AVAILABLE.items()}
    if name == AUTO:
        return torch.device(next(device for device in ("cuda", "mps", "cpu") if available[device]))
    if not available.get(name.partition(":")[0], False):
        there = ", ".join(device for device, here in available.items() if here)
        raise ValueError(f"there is no device {name!r} here; available: {AUTO}, {there}")
    return torch.device(name)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bfloat16 rather than emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
