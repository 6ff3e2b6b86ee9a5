"""A photo in memory, and the rounding between 8-bit files and floats."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from veil.images.formats import MAX_PIXELS as MAX_PIXELS
from veil.images.metadata import Metadata
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class ImageError(ValueError):
    """A photo that cannot be read or written; the message is one line for a person, without the path."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One still picture as a viewer shows it.

    Attributes:
        pixels: uint8 (C, H, W), upright; C = 1 is grey, C = 3 is sRGB.
        alpha: uint8 (H, W), 255 is opaque; None where the file has no transparency.
        metadata: what may be kept of the file's (`veil.images.metadata`); only `save` uses it, where it is asked to.
        notes: every conversion between the file and ``pixels``, in words.

    Raises:
        ValueError: where the tensors do not have these types and shapes.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    metadata: Metadata | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 3 or self.pixels.shape[0] not in (1, 3):
            raise ValueError(f"pixels must be uint8 (1 or 3, H, W), not {_described(self.pixels)}")
        if self.pixels.numel() == 0:
            raise ValueError("a photo has at least one pixel")
        if self.alpha is not None and (self.alpha.dtype != torch.uint8 or self.alpha.shape != self.pixels.shape[1:]):
            raise ValueError(f"alpha must be uint8 (H, W) like the pixels, not {_described(self.alpha)}")

    @property
    def height(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])

    def with_pixels(self, pixels: Tensor) -> Self:
        """The same photo with other pixels: uint8 (1 or 3, H, W) of the same height and width.

        Raises:
            ValueError: for another type or size. Grey may become colour and the reverse.
        """
        if pixels.shape[1:] != self.pixels.shape[1:]:
            raise ValueError(f"expected {self.height} × {self.width} pixels, not {_described(pixels)}")
        return replace(self, pixels=pixels)


def quantise(x: Tensor) -> Tensor:
    """Float values in [0, 1] to uint8, rounded to nearest; values outside are clamped.

    Truncation would darken the photo by half a level and remove part of the noise.

    Args:
        x: floating point, any shape. Half precision is converted to float32 first: bfloat16 cannot represent products
            with all 256 levels.

    Raises:
        TypeError: for integers.
        ValueError: where a value is NaN.
    """
    if not x.is_floating_point():
        raise TypeError(f"quantise needs floating point values in [0, 1], not {x.dtype}")
    if torch.isnan(x).any():
        raise ValueError("quantise: the image holds NaN")
    wide = x if x.dtype == torch.float64 else x.float()
    return (wide.clamp(0, 1) * 255).round().to(torch.uint8)


def to_float(x: Tensor) -> Tensor:
    """uint8 of any shape to float32 in [0, 1]; `quantise` brings back the same bytes.

    Raises:
        TypeError: for any other type, so that a float image is not divided by 255 again.
    """
    if x.dtype != torch.uint8:
        raise TypeError(f"to_float needs uint8, not {x.dtype}")
    return x.to(torch.float32) / 255


def require_batch(batch: Tensor, who: str) -> None:
    """Refuses everything but uint8 colour images (N, 3, height, width), of which there is at least one pixel.

    Args:
        who: subject and verb of the message: ``"ciphers take"``.

    Raises:
        ValueError: the message says what is wrong, and for grey images what to do.
    """
    shape = tuple(batch.shape)
    if batch.dtype != torch.uint8:
        raise ValueError(f"{who} uint8 images with values from 0 to 255, not {batch.dtype}")
    if batch.ndim != 4:
        raise ValueError(f"{who} a batch of the shape (N, 3, height, width), not {shape}")
    if batch.shape[1] == 1:
        raise ValueError(f"{who} three colours; convert grey images to RGB first: images.expand(-1, 3, -1, -1)")
    if batch.shape[1] != 3:
        raise ValueError(f"{who} images of three colours, (N, 3, height, width), not {shape}")
    if batch.numel() == 0:
        raise ValueError(f"there is no pixel in a batch of the shape {shape}")


def content_digest(pixels: Tensor) -> bytes:
    """SHA-256 over the shape and bytes of a uint8 tensor: 32 bytes, the root of an image's randomness.

    Raises:
        TypeError: for any other type.
    """
    if pixels.dtype != torch.uint8:
        raise TypeError(f"content_digest needs uint8, not {pixels.dtype}")
    digest = hashlib.sha256("x".join(str(size) for size in pixels.shape).encode() + b":")
    digest.update(pixels.detach().cpu().contiguous().numpy().tobytes())
    return digest.digest()


def _described(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
