"""How features are sent: as they are, in half the bytes, or in a quarter of them.

Features of Table 1 of Li et al. 2019 take ten times as many bytes as their image. An `Encoding` lies between the
obfuscator and every reader: the service's network and attackers' networks get features as they were sent and decoded,
never as the obfuscator computed them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, get_args

from veil.models.features import is_vector
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

Sent = Literal["float32", "float16", "uint8"]
SENT: tuple[Sent, ...] = get_args(Sent)
"""Types that features may be sent in; torch and NumPy call them the same."""
_LEVELS = 255
_SHARE = 0.999
"""Of the values of maps that lie within the range of their 8 bits."""


@dataclass(frozen=True)
class Encoding:
    """Numbers of a type for features.

    Attributes:
        dtype: ``float32``, ``float16`` or ``uint8``.
        low, high: of uint8 alone: what 0 and 255 stand for. Values beyond them are cut off.

    Raises:
        ValueError: for another type, and for a range where none belongs, none where one does, or one that is empty.
    """

    dtype: Sent
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.dtype not in SENT:
            raise ValueError(f"there is no encoding {self.dtype!r}; there are {', '.join(SENT)}")
        if self.dtype != "uint8":
            if (self.low, self.high) != (None, None):
                raise ValueError(f"{self.dtype} takes no range")
        elif self.low is None or self.high is None or not (self.low < self.high < math.inf) or self.low == -math.inf:
            raise ValueError(f"uint8 takes a range, low below high, not {self.low} to {self.high}")

    @classmethod
    def of(cls, dtype: Sent | None, features: Tensor) -> Self:
        """The encoding of that type for features like these; None chooses uint8 for vectors and float16 for maps.

        Vectors lie between -1 and 1. Maps of at least 0 are cut off above 99.9 % of their values.

        Args:
            features: (N, C, h, w), of images for training.
        """
        vectors = is_vector(features.shape[1:])
        dtype = dtype or ("uint8" if vectors else "float16")
        if dtype != "uint8":
            return cls(dtype)
        if vectors:
            return cls(dtype, -1.0, 1.0)
        values = features.detach().float().flatten().cpu()
        most = float(values.kthvalue(max(1, math.ceil(_SHARE * len(values)))).values)
        return cls(dtype, 0.0, most if most > 0 else 1.0)

    def encode(self, features: Tensor) -> Tensor:
        """Features, floats of any shape, as they are sent.

        Raises:
            ValueError: where a value is not finite.
        """
        features = features.float()
        if not bool(torch.isfinite(features).all()):
            raise ValueError("features hold values that are not finite")
        if self.dtype == "uint8":
            low, high = self._range()
            return ((features.clamp(low, high) - low) * (_LEVELS / (high - low))).round().to(torch.uint8)
        if self.dtype == "float16":
            most = torch.finfo(torch.float16).max
            features = features.clamp(-most, most)
        return features.to(self.type)

    def decode(self, sent: Tensor) -> Tensor:
        """What `encode` returned as features again, float32.

        Raises:
            ValueError: for another type, or where a value is not finite.
        """
        if sent.dtype != self.type:
            raise ValueError(f"features are sent as {self.dtype}, not {str(sent.dtype).removeprefix('torch.')}")
        if self.dtype == "uint8":
            low, high = self._range()
            return sent.float() * ((high - low) / _LEVELS) + low
        if not bool(torch.isfinite(sent).all()):
            raise ValueError("features hold values that are not finite")
        return sent.float()

    @property
    def type(self) -> torch.dtype:
        """Type of what is sent."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def width(self) -> int:
        """Bytes of a value."""
        return self.type.itemsize

    def _range(self) -> tuple[float, float]:
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high
