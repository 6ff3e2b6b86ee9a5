"""Many image files as one tensor of bytes: small labelled images, and faces."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from veil import images as pictures
from veil.images.pillow_warnings import silent_pillow
from veil.images.resizing import resize

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # Pillow knows more, one of which starts a program
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
    side = size if size is not None else _rgb(sources[0], names[0]).width

    def image(index: int) -> Image.Image:
        rgb = _rgb(sources[index], names[index])
        if rgb.size != (side, side) and not resizes:
            raise OtherSize(f"{names[index]}: {rgb.width}×{rgb.height} pixels where {side}×{side} are expected")
        return resize(rgb, side)

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

    def image(index: int) -> Image.Image:
        photo = open_photo(files[index])
        if not resizes and photo.size != (width, height):
            raise OtherSize(
                f"{files[index]}: {photo.width}×{photo.height} pixels where {width}×{height} are expected: "
                "say which side the images are to have"
            )
        return resized(photo, size)

    return _stacked(image, len(files), size, _PHOTO_THREADS, _PHOTO_CHUNK)


def _stacked(image: Callable[[int], Image.Image], count: int, size: tuple[int, int], threads: int,
             chunk: int) -> Tensor:  # fmt: skip
    images = np.empty((count, 3, *size), np.uint8)

    def fill(start: int) -> None:
        for index in range(start, min(start + chunk, count)):
            images[index] = np.asarray(image(index)).transpose(2, 0, 1)

    with silent_pillow(), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fill, range(0, count, chunk)):
            pass  # raises what a thread raised
    return torch.from_numpy(images)


def _rgb(source: Path | bytes, name: str) -> Image.Image:
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as opened:
            if opened.mode[0] not in "IF":
                return opened.convert("RGB")
        # More than 8 bits: Pillow would cut every value off at 255.
        pixels = pictures.decode(source if isinstance(source, bytes) else source.read_bytes()).pixels
        return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).numpy())
    except UnidentifiedImageError:
        raise ValueError(f"{name}: not an image of a format that is read ({', '.join(_FORMATS)})") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged data raise anything
        raise ValueError(f"{name}: cannot be read ({' '.join(str(error).split())[:120]})") from error


def open_photo(file: Path) -> Image.Image:
    """A photo in RGB, upright, with the pixels that `veil.images.load` gives.

    JPEGs without a colour profile or rotation are read by a path that is four times as fast.
    """
    try:
        with Image.open(file, formats=("JPEG",)) as opened:
            plain = opened.mode in ("RGB", "L") and not {"icc_profile", "exif", "mp"} & opened.info.keys()
            if plain and opened.width * opened.height <= pictures.MAX_PIXELS:
                return opened.convert("RGB")
    except MemoryError:
        raise
    except Exception:  # another format, or damaged: whatever it is, the careful way will say
        pass
    try:
        pixels = pictures.over_white(pictures.load(file)).pixels
    except pictures.ImageError as error:
        raise ValueError(f"{file}: {error}") from error
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture of (height, width) ``size``: bicubic, not cropped.

    Photos for a network that was trained on faces must be resized by this function, from all of their pixels: a JPEG
    that is decoded at a fraction of its size has different values.
    """
    height, width = size
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.BICUBIC)
