"""Converts images of several Python types to a `Photo`, and results back to the same type.

Types: a path; a Pillow image; an array, uint8 (H, W) or (H, W, 1, 3 or 4); a tensor, uint8 (1 or 3, H, W).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from veil.images.decoding import decode, load
from veil.images.photo import Photo
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    ImageLike = Photo | Path | str | Image.Image | NDArray[np.uint8] | Tensor


@dataclass(frozen=True, eq=False)
class Converted:
    """A photo, and the conversion back to the type of the input.

    Attributes:
        photo: the input as a photo.
        back: converts a photo of any size to the input's type; for a path, to a Pillow image.
    """

    photo: Photo
    back: Callable[[Photo], Any]


def convert(image: ImageLike) -> Converted:
    """Converts an image of any type that the head of this module lists.

    Raises:
        ImageError: for a file that cannot be read.
        TypeError: for anything else, and for values that are not uint8.
    """
    if isinstance(image, Photo):
        return Converted(image, lambda photo: photo)
    if isinstance(image, str | Path):
        return Converted(load(image), to_pillow)
    if isinstance(image, Image.Image):
        return Converted(_of_pillow(image), to_pillow)
    if isinstance(image, np.ndarray):
        return Converted(_of_array(image), _back_to_array(image))
    if isinstance(image, torch.Tensor):
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3):
            raise TypeError(f"a tensor of an image is uint8 (1 or 3, H, W), not {image.dtype} {tuple(image.shape)}")
        device = image.device
        return Converted(Photo(image.cpu()), lambda photo: photo.pixels.to(device))
    raise TypeError(f"an image is a path, a Pillow image, a uint8 array or tensor, not {type(image).__name__}")


def to_pillow(photo: Photo) -> Image.Image:
    """A Pillow image, L, LA, RGB or RGBA."""
    channels = [*photo.pixels, *([] if photo.alpha is None else [photo.alpha])]
    bands = [Image.fromarray(np.ascontiguousarray(channel.numpy())) for channel in channels]
    return bands[0] if len(bands) == 1 else Image.merge(("LA", "RGB", "RGBA")[len(bands) - 2], bands)


def to_array(photo: Photo) -> NDArray[np.uint8]:
    """uint8 (H, W, C), with alpha as the last channel if there is alpha."""
    channels = photo.pixels if photo.alpha is None else torch.cat([photo.pixels, photo.alpha[None]])
    array: NDArray[np.uint8] = channels.permute(1, 2, 0).contiguous().numpy()
    return array


def _of_pillow(image: Image.Image) -> Photo:
    """Reads it like a file: orientation, colour profile and bit depth of the image apply."""
    buffer = io.BytesIO()
    known = {key: image.info[key] for key in ("icc_profile", "exif", "transparency") if image.info.get(key)}
    image.save(buffer, "TIFF" if image.mode in ("CMYK", "YCbCr", "LAB", "F") else "PNG", **known)
    return decode(buffer.getvalue())


def _of_array(array: NDArray[Any]) -> Photo:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise TypeError(f"an array of an image is uint8 (H, W) or (H, W, 1, 3 or 4), not {array.dtype} {array.shape}")
    channels = torch.from_numpy(np.array(array if array.ndim == 3 else array[:, :, None])).permute(2, 0, 1)
    if len(channels) == 4:
        return Photo(channels[:3].contiguous(), channels[3].contiguous())
    return Photo(channels.contiguous())


def _back_to_array(original: NDArray[Any]) -> Callable[[Photo], NDArray[np.uint8]]:
    def back(photo: Photo) -> NDArray[np.uint8]:
        array = to_array(photo)
        return array[:, :, 0] if original.ndim == 2 and array.shape[2] == 1 else array

    return back
