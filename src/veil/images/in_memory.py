"""Converts one image or many, of several Python types, to batches, and results back.

It accepts

- one image of any type that `veil.images.conversion` accepts;
- batches: arrays, uint8 (N, H, W, 3), and tensors, uint8 (N, 3, H, W), which stay on their device;
- lists and tuples of these.

Batches have three colour channels: grey becomes three equal channels, and transparency is flattened over white, as in
folders (`veil.jobs.lossless`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from veil.images.conversion import convert
from veil.images.encoding import over_white
from veil.images.photo import Photo
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    Change = Callable[[Tensor], Tensor]
    """uint8 (N, 3, H, W) to the same type, number and channels."""
    Back = Callable[[Tensor], Any]
    """What makes such a tensor an image, or a batch, of the kind that was given."""


def changed(images: Any, change: Change) -> Any:
    """Applies ``change`` to one image or many and returns the type of the input; for a path, a Pillow image.

    Successive images of a list with the same size go through ``change`` together.

    Raises:
        ImageError: for a file that cannot be read.
        TypeError: for images of another type.
        ValueError: if ``change`` refuses them.
    """
    if isinstance(images, list | tuple):
        return type(images)(_changed_in_turn(images, change))
    pixels, back = opened(images)
    return back(change(pixels))


def opened(image: Any) -> tuple[Tensor, Back]:
    """One image, or a batch in one array or tensor, as uint8 (N, 3, H, W), and the conversion back.

    Raises:
        ImageError, TypeError: as `changed` does.
    """
    if isinstance(image, torch.Tensor) and image.dtype == torch.uint8 and image.ndim in (3, 4) and len(image) > 0:
        if image.shape[-3] == 3:
            return (image[None], lambda pixels: pixels[0]) if image.ndim == 3 else (image, lambda pixels: pixels)
    elif isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (3, 4) and image.shape[-1] == 3:
        batch = torch.from_numpy(np.array(image)).view(-1, *image.shape[-3:]).permute(0, 3, 1, 2).contiguous()
        one = image.ndim == 3
        return batch, lambda pixels: _array(pixels)[0] if one else _array(pixels)
    elif isinstance(image, Image.Image) and image.mode == "RGB" and not image.info.keys() & _COUNT:
        batch = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()[None]
        return batch, lambda pixels: Image.fromarray(_array(pixels)[0])
    held = convert(image)
    pixels = over_white(held.photo).pixels.expand(3, -1, -1)[None].contiguous()
    return pixels, lambda pixels: held.back(Photo(pixels[0]))


_COUNT = {"icc_profile", "exif", "transparency"}
"""What `convert` reads of a Pillow image beside its pixels."""


def _changed_in_turn(images: Sequence[Any], change: Change) -> list[Any]:
    results: list[Any] = []
    waiting: list[tuple[Tensor, Back]] = []

    def finish() -> None:
        if waiting:
            together = change(torch.cat([pixels for pixels, _ in waiting]))
            parts = torch.split(together, [len(pixels) for pixels, _ in waiting])
            results.extend(back(part) for part, (_, back) in zip(parts, waiting, strict=True))
            waiting.clear()

    for image in images:
        pixels, back = opened(image)
        if waiting and (waiting[0][0].shape[1:] != pixels.shape[1:] or waiting[0][0].device != pixels.device):
            finish()
        waiting.append((pixels, back))
    finish()
    return results


def _array(pixels: Tensor) -> np.ndarray[Any, Any]:
    """uint8 (N, 3, H, W) as an array (N, H, W, 3)."""
    array: np.ndarray[Any, Any] = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
    return array
