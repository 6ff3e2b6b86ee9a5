"""Many image files as one tensor of bytes: small labelled images, and faces."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from veil import images as pictures
from veil.images.resizing import resize

Pixels = NDArray[np.uint8]
"""Of one image in RGB, (H, W, 3)."""

_THREADS = 8  # small files are waited for more than they are decoded
_CHUNK = 256  # images that a thread reads in one go
_PHOTO_THREADS, _PHOTO_CHUNK = 4, 128


class OtherSize(ValueError):
    """An image has the wrong size; the message names the image and both sizes."""


def decode(
    sources: Sequence[Path | bytes], names: Sequence[str], size: int | None = None, *, resizes: bool = True
) -> Tensor:
    """Images as one uint8 tensor (N, 3, size, size), RGB.

    Args:
        sources: at least one file, or the bytes of one.
        names: the name of each source, for messages.
        size: None takes the width of the first image.
        resizes: True resizes images of another size (bicubic, not cropped); False refuses them.

    Raises:
        OtherSize: if an image is refused because of its size.
        ValueError: if a source cannot be read as an image.
    """
    side = size if size is not None else _rgb(sources[0], names[0]).shape[1]

    def image(index: int) -> Pixels:
        rgb = _rgb(sources[index], names[index])
        height, width, _ = rgb.shape
        if (height, width) == (side, side):
            return rgb
        if not resizes:
            raise OtherSize(f"{names[index]}: {width}×{height} pixels where {side}×{side} are expected")
        return np.asarray(resize(Image.fromarray(rgb), side))

    return _stacked(image, len(sources), (side, side), _THREADS, _CHUNK)


def decode_photos(files: Sequence[Path], size: tuple[int, int], *, resizes: bool) -> Tensor:
    """Photos, upright and in colours as they are shown, as one uint8 tensor (N, 3, *size).

    Args:
        size: height and width.
        resizes: as for `decode`.

    Raises:
        OtherSize, ValueError: as `decode` does.
    """
    height, width = size

    def image(index: int) -> Pixels:
        photo = open_photo(files[index])
        if photo.shape[:2] == size:
            return photo
        if not resizes:
            raise OtherSize(
                f"{files[index]}: {photo.shape[1]}×{photo.shape[0]} pixels where {width}×{height} are expected: "
                "say which side the images are to have"
            )
        return np.asarray(resized(Image.fromarray(photo), size))

    return _stacked(image, len(files), size, _PHOTO_THREADS, _PHOTO_CHUNK)


def _stacked(image: Callable[[int], Pixels], count: int, size: tuple[int, int], threads: int,
             chunk: int) -> Tensor:  # fmt: skip
    images = np.empty((count, 3, *size), np.uint8)

    def fill(start: int) -> None:
        for index in range(start, min(start + chunk, count)):
            images[index] = image(index).transpose(2, 0, 1)

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fill, range(0, count, chunk)):
            pass  # raises what a thread raised
    return torch.from_numpy(images)


def _rgb(source: Path | bytes, name: str) -> Pixels:
    try:
        return pictures.rgb(source)
    except pictures.ImageError as error:
        raise ValueError(f"{name}: cannot be read ({error})") from error


def open_photo(file: Path) -> Pixels:
    """A photo in RGB, upright, with the pixels that `veil.images.load` gives, over white where it is transparent."""
    try:
        photo = pictures.load_arrays(file)
        if photo.alpha is not None:
            pixels = pictures.over_white(pictures.as_photo(photo)).pixels.expand(3, -1, -1)
            return pixels.permute(1, 2, 0).contiguous().numpy()
    except pictures.ImageError as error:
        raise ValueError(f"{file}: {error}") from error
    return photo.pixels if photo.pixels.ndim == 3 else np.stack([photo.pixels] * 3, -1)


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture of (height, width) ``size``: bicubic, not cropped.

    Photos for a network that was trained on faces must be resized by this function, from all of their pixels: a JPEG
    that is decoded at a fraction of its size has different values.
    """
    height, width = size
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.BICUBIC)
