"""Reads a file into a `Photo`: the one way that photos of strangers take.

1. The file is opened without waiting for a pipe or a device, and refused where its size, its header or its structure
   (`veil.images.structure`) is beyond a limit: before memory is taken and before a decoder runs.
2. **Small, simple files** are decoded in this process: JPEG and PNG, at most `SMALL` pixels, at most `WORK` pixels to
   go over, metadata of a few KiB. Their structure bounds what they cost: the worst that were tried took 0.9 seconds and
   130 MiB. Those that ask for more, in pixels, scans, texts or profiles, go the third way.
3. **All others** are decoded in another process (`veil.images.decoding_pool`), which is killed at the photo's deadline
   and has bounded memory. A decoder that crashes costs one photo.

Why not all in other processes: `benchmarks/decoding.py` measures it. Reading small photos takes more than twice the
processor time, encrypting a folder of them a third more, and four processes hold 160 MiB; commands that read one photo
would wait for a start, and data sets of small images are read by the ten thousand. The price: a fault in one of the
two decoders that are tested most, libjpeg-turbo and Pillow's PNG over zlib, still meets this process. TIFF, WebP, GIF,
BMP, PPM and HEIC never decode here.

Files are read whole, so that pixels and metadata come from the same state of the file.
"""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veil.images import decoders
from veil.images.containers import InMemory, OnDisk, Structure
from veil.images.decoders import Arrays as Arrays
from veil.images.decoding_messages import Manner, Request
from veil.images.decoding_pool import POOL
from veil.images.limits import LIMITS, Limits
from veil.images.photo import ImageError, Photo
from veil.images.structure import examine
from veil.runtime.files import open_regular, read_regular
from veil.runtime.lazy import torch

SMALL, WORK = 1 << 22, 1 << 25
"""Pixels of a photo that is decoded in this process, and those that its decoder goes over."""
_SHORTEST = 2.0  # seconds; who wants a shorter deadline gets it for every file
_LOOKED_AT_FIRST = 1 << 24  # bytes of a file that is looked through before it is read into memory
_MESSAGES = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "the file may not be read (permission denied)",
    errno.EPERM: "the file may not be read (permission denied)",
    errno.ELOOP: "the symbolic link leads back to itself",
    errno.ENAMETOOLONG: "the file's name is too long",
    errno.EISDIR: "this is a folder, not a file",
    errno.EINVAL: "this is not a regular file",
}


def load(path: Path | str, *, limits: Limits = LIMITS) -> Photo:
    """Reads a photo in PNG, JPEG, WebP, TIFF, GIF, BMP, PPM or (with pillow-heif) HEIC.

    The EXIF orientation is applied, colour profiles and CMYK are converted to sRGB, more than 8 bits are
    rounded to 8, transparent palettes and colour keys become alpha; grey stays one channel. ``notes`` lists these
    conversions.

    Raises:
        ImageError: for everything that is not one readable still picture within ``limits``; no other error.
    """
    return as_photo(load_arrays(path, limits=limits))


def load_arrays(path: Path | str, *, limits: Limits = LIMITS) -> Arrays:
    """The same photo as `load` reads, as arrays: whoever only shows it need not wait for torch."""
    with decoders.memory_errors():
        return _decoded(_read(path, limits), limits, "photo")


def decode(data: bytes, *, limits: Limits = LIMITS) -> Photo:
    """A photo from the bytes of its file, as `load` reads it, with the same errors."""
    with decoders.memory_errors():
        return as_photo(_decoded(data, limits, "photo"))


def rgb(source: Path | bytes, *, limits: Limits = LIMITS) -> NDArray[np.uint8]:
    """The samples of a file, or of its bytes, as Pillow converts them to RGB: uint8 (H, W, 3).

    Data sets are read so: neither rotation nor profile is applied, transparency is dropped, of several pictures the
    first one is taken. More than 8 bits are rounded to 8.

    Raises:
        ImageError: where it cannot be read within ``limits``.
    """
    with decoders.memory_errors():
        data = source if isinstance(source, bytes) else _read(source, limits)
        return _decoded(data, limits, "rgb").pixels


def as_photo(read: Arrays) -> Photo:
    """Arrays as tensors."""
    with decoders.memory_errors():
        pixels = torch.from_numpy(read.pixels)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()
        return Photo(pixels, None if read.alpha is None else torch.from_numpy(read.alpha), read.metadata, read.notes)


def _read(path: Path | str, limits: Limits) -> bytes:
    try:
        data = _small(path)
        if data is None:
            data = _looked_at(path, limits)
    except ImageError:
        raise
    except OSError as error:
        message = _MESSAGES.get(error.errno or 0, f"the file cannot be read ({error.strerror})")
        raise ImageError(message) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError("the file's name is not valid") from error
    if not data:
        raise ImageError("the file is empty")
    _check_size(len(data), limits, None)
    return data


def _small(path: Path | str) -> bytes | None:
    """The bytes of a file; None where they are too many to be read before they are looked at."""
    try:
        return read_regular(path, largest=_LOOKED_AT_FIRST)
    except OSError as error:
        if error.errno == errno.EFBIG:
            return None
        raise


def _looked_at(path: Path | str, limits: Limits) -> bytes:
    """The bytes of a large file whose structure is within the limits."""
    with open_regular(path) as handle:
        size = handle.seek(0, 2)
        _check_size(size, limits, None)
        _check(examine(OnDisk(handle, size)), size, limits)
        handle.seek(0)
        return handle.read(size)


def _decoded(data: bytes, limits: Limits, manner: Manner) -> Arrays:
    """Pixels from bytes, in this process or another one."""
    structure = examine(InMemory(data))
    _check(structure, len(data), limits)
    decoders.require(structure.kind)
    if _may_decode_here(structure, len(data), limits):
        decode: decoders.Decode = getattr(decoders, manner)
        return decode(data, limits.max_pixels)
    request = Request(
        size=len(data), manner=manner, max_pixels=limits.max_pixels, seconds=limits.deadline(structure.pixels),
        memory=limits.memory(structure.pixels, len(data)),
    )  # fmt: skip
    return POOL.decode(request, data)


def _may_decode_here(structure: Structure, size: int, limits: Limits) -> bool:
    cheap = structure.simple and 0 < (structure.pixels or 0) <= SMALL and structure.work <= WORK
    return cheap and size <= _LOOKED_AT_FIRST and limits.seconds >= _SHORTEST


def _check(structure: Structure, size: int, limits: Limits) -> None:
    if structure.pixels is not None:
        # HEIC tells the size as it is coded; a little more than what is shown, which its decoder checks.
        if structure.pixels > limits.max_pixels and structure.kind != "HEIC":
            raise ImageError(
                f"{structure.width} × {structure.height} pixels are more than the limit of {limits.max_pixels:,}"
            )
        _check_size(size, limits, structure.pixels)


def _check_size(size: int, limits: Limits, pixels: int | None) -> None:
    if size > limits.file_bytes(pixels):
        most = limits.max_pixels if pixels is None else pixels
        raise ImageError(f"{size:,} bytes are more than a photo of {most:,} pixels needs")
