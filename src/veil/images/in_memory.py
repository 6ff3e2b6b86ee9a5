"""Images as Python programs hold them, and back: what goes in as a Pillow image comes out as one.

Taken are, always 8 bits a value and three colours:

- Pillow images; grey ones (``L``, ``1``) become RGB;
- NumPy arrays, uint8 (H, W, 3), or a batch of them (N, H, W, 3);
- tensors, uint8 (3, H, W), or a batch of them (N, 3, H, W), on any device;
- `veil.images.Photo`, without transparency;
- lists and tuples of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from veil.images.photo import Photo
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    Change = Callable[[Tensor], Tensor]
    """uint8 (N, 3, H, W) to the same type, number and channels."""

_GREY = ("1", "L")


def changed(images: Any, change: Change) -> Any:
    """What ``change`` makes of one image or of many, as the kind that they were given as.

    Images of a list that are alike in size, one after another, go through ``change`` together.

    Raises:
        ValueError: for images of another kind, and where ``change`` refuses them.
    """
    if isinstance(images, list | tuple):
        return type(images)(_changed_list(images, change))
    pixels, back = opened(images)
    return back(change(pixels))


def opened(image: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """One image, or a batch in one array, as uint8 (N, 3, H, W); and what makes the same kind of such a tensor again.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(image, Image.Image):
        return _pixels(image), lambda pixels: Image.fromarray(_array(pixels)[0])
    if isinstance(image, Photo):
        if image.alpha is not None:
            raise ValueError("the photo has transparency: flatten it first (veil.images.over_white)")
        return image.pixels.expand(3, -1, -1)[None], lambda pixels: Photo(pixels[0])
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (3, 4) or image.shape[-1] != 3:
            raise ValueError(f"an array of images is uint8 (H, W, 3) or (N, H, W, 3), not {image.dtype} {image.shape}")
        batch = torch.from_numpy(np.ascontiguousarray(image)).view(-1, *image.shape[-3:]).permute(0, 3, 1, 2)
        one = image.ndim == 3
        return batch.contiguous(), lambda pixels: _array(pixels)[0] if one else _array(pixels)
    if isinstance(image, torch.Tensor):
        if image.dtype != torch.uint8 or image.ndim not in (3, 4) or image.shape[-3] != 3:
            kind = f"{str(image.dtype).removeprefix('torch.')} {tuple(image.shape)}"
            raise ValueError(f"a tensor of images is uint8 (3, H, W) or (N, 3, H, W), not {kind}")
        return (image[None], lambda pixels: pixels[0]) if image.ndim == 3 else (image, lambda pixels: pixels)
    raise ValueError(f"images are Pillow images, arrays or tensors of bytes, not {type(image).__name__}")


def _changed_list(images: Sequence[Any], change: Change) -> list[Any]:
    results: list[Any] = []
    waiting: list[tuple[Tensor, Callable[[Tensor], Any]]] = []

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


def _pixels(image: Image.Image) -> Tensor:
    """A Pillow image as uint8 (1, 3, H, W)."""
    if image.mode not in ("RGB", *_GREY):
        raise ValueError(f"the image has the mode {image.mode}: convert it first, image.convert('RGB')")
    array = np.array(image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()[None]


def _array(pixels: Tensor) -> np.ndarray[Any, Any]:
    """uint8 (N, 3, H, W) as an array (N, H, W, 3)."""
    array: np.ndarray[Any, Any] = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
    return array
