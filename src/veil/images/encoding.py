"""Writes a `Photo` to a file, and reports everything that the format changes.

Equal photos give equal bytes. A file appears whole or not at all (`veil.runtime.files`).
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from veil.images import marks
from veil.images.colour import Array
from veil.images.formats import FORMATS
from veil.images.marks import Mark
from veil.images.metadata import Metadata, into_tiff
from veil.images.photo import ImageError, Photo
from veil.images.pillow_warnings import silent_pillow
from veil.runtime.files import write_atomically
from veil.runtime.lazy import torch


def save(
    photo: Photo,
    path: Path | str,
    format: str = "png",
    *,
    keep_metadata: bool = False,
    keep_copyright: bool = False,
    quality: int = 95,
) -> tuple[str, ...]:
    """Writes ``photo`` to ``path`` and replaces an existing file as a whole; ignores the path's suffix.

    Args:
        format: a key of `FORMATS`.
        keep_metadata: write what `veil.images.metadata` lists as harmless; otherwise the file holds only pixels.
        keep_copyright: write artist and copyright.
        quality: 1 to 100, for JPEG.

    Returns:
        The changes by the format, in words: ``("alpha flattened over white",)`` or nothing.

    Raises:
        ImageError: if the photo cannot be encoded or written. An existing file stays unchanged.
    """
    data = encode(photo, format, keep_metadata=keep_metadata, keep_copyright=keep_copyright, quality=quality)
    try:
        write_atomically(Path(path), data)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name is not valid"
        raise ImageError(f"the file cannot be written ({reason})") from error
    return ("alpha flattened over white",) if _flattened(photo, format) else ()


def encode(
    photo: Photo,
    format: str = "png",
    *,
    keep_metadata: bool = False,
    keep_copyright: bool = False,
    quality: int = 95,
    mark: Mark | None = None,
) -> bytes:
    """The bytes that `save` writes, with the same arguments; the same for the same photo.

    Args:
        mark: what the file of an encrypted image says of itself, see `veil.images.marks`; it goes with no metadata.

    Raises:
        ImageError: for an unknown format, a quality outside 1 to 100, or a photo too large for the format.
    """
    if format not in FORMATS:
        raise ImageError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    if not 1 <= quality <= 100:
        raise ImageError(f"quality must be 1 to 100, not {quality}")
    chosen = FORMATS[format]
    if chosen.max_side is not None and max(photo.width, photo.height) > chosen.max_side:
        size = f"{photo.width} × {photo.height} pixels"
        raise ImageError(f"{size}: {chosen.name} holds at most {chosen.max_side} along a side")
    kept = photo.metadata.chosen(harmless=keep_metadata, credit=keep_copyright) if photo.metadata else None
    options = dict(chosen.options)
    if kept and format != "tiff":
        options |= _metadata_options(kept, format)
    if mark is not None and mark.line is not None:
        options |= marks.options(mark.line, format)
    if not chosen.lossless:
        options["quality"] = quality
    buffer = BytesIO()
    with silent_pillow():
        try:
            Image.fromarray(_samples(photo, format)).save(buffer, chosen.name, **options)
        except Exception as error:  # what encoders raise is not documented
            raise ImageError(f"the photo cannot be written as {chosen.name} ({error})") from error
    data = buffer.getvalue()
    return into_tiff(data, kept) if kept and format == "tiff" else data


def _samples(photo: Photo, format: str) -> Array:
    """(H, W) or (H, W, C) with alpha last, or flattened."""
    if _flattened(photo, format):
        photo = over_white(photo)
    samples: Array = photo.pixels.detach().cpu().permute(1, 2, 0).contiguous().numpy()
    if photo.alpha is not None:
        samples = np.concatenate([samples, photo.alpha.detach().cpu().numpy()[..., None]], -1)
    return samples[..., 0] if samples.shape[2] == 1 else samples


def over_white(photo: Photo) -> Photo:
    """The photo without alpha, as it looks on white: 255 - (255 - v) · alpha / 255, to nearest."""
    if photo.alpha is None:
        return photo
    dark = (255 - photo.pixels.int()) * photo.alpha.int()
    return replace(photo, pixels=(255 - (dark + 127) // 255).to(torch.uint8), alpha=None)


def _flattened(photo: Photo, format: str) -> bool:
    return photo.alpha is not None and format == "jpeg"


def _metadata_options(kept: Metadata, format: str) -> dict[str, Any]:
    options: dict[str, Any] = {"exif": kept.exif} if kept.exif else {}
    if kept.xmp and format == "png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", kept.xmp)
    elif kept.xmp:
        options["xmp"] = kept.xmp
    return options
