"""The processing of published photos by platforms: compressing again and scaling.

Pillow's defaults: JPEG with halved colour channels.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

Processing = Callable[[Image.Image], Image.Image]
"""A function of an image, grey or RGB, that keeps mode and size."""


def jpeg(quality: int) -> Processing:
    """Saves and opens as JPEG of a quality from 1 to 100."""

    def process(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    return process


def half_size_and_back(image: Image.Image) -> Image.Image:
    """Scales to half the width and height, and up again (Lanczos)."""
    half = (max(1, image.width // 2), max(1, image.height // 2))
    return image.resize(half, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.LANCZOS)


PLATFORMS: dict[str, Processing] = {
    "jpeg90": jpeg(90),
    "jpeg75": jpeg(75),
    "half size and back": half_size_and_back,
}
"""Processing of uploaded photos by platforms, by the names that rows keep."""


def processed(pixels: Tensor, processing: Processing) -> Tensor:
    """Applies it to uint8 pixels (C, H, W), C = 1 or 3; the shape stays the same."""
    grey = pixels.shape[0] == 1
    array = pixels[0].numpy() if grey else pixels.permute(1, 2, 0).contiguous().numpy()
    result = np.array(processing(Image.fromarray(array)))
    return torch.from_numpy(result[None] if grey else result.transpose(2, 0, 1).copy())
