"""Reads a file into a `Photo`.

The file's first bytes decide its format, not its name, and only the decoders listed here are used: Pillow has more, and
one of them (EPS) starts another program. The size in the header is checked before anything is decoded. Files are read
whole, so that pixels and metadata come from the same state of the file.

Deviation from the rule "more than one picture is refused": JPEG (a gain map or a stereo pair beside the
photo) and HEIC (a burst) hold photos from phones; their main picture is read and the note says that there are
others.
"""

from __future__ import annotations

import errno
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from veil.images import colour, metadata
from veil.images.metadata import Metadata
from veil.images.photo import MAX_PIXELS, ImageError, Photo
from veil.images.pillow_warnings import silent_pillow
from veil.runtime.lazy import torch

_DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}
_SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "PPM": rb"P[1-6]\s",
    "HEIC": rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
}
_MESSAGES = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "the file may not be read (permission denied)",
    errno.EPERM: "the file may not be read (permission denied)",
    errno.ELOOP: "the symbolic link leads back to itself",
    errno.ENAMETOOLONG: "the file's name is too long",
}
# Beyond any uncompressed photo within the limit: four samples of 32 bits per pixel, and metadata.
_BYTES_PER_PIXEL, _BYTES_BESIDE = 16, 2**26


def load(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Reads a photo in PNG, JPEG, WebP, TIFF, GIF, BMP, PPM or (with pillow-heif) HEIC.

    The EXIF orientation is applied, colour profiles and CMYK are converted to sRGB, more than 8 bits are
    rounded to 8, transparent palettes and colour keys become alpha; grey stays one channel. ``notes`` lists these
    conversions.

    Args:
        max_pixels: the most pixels that are decoded; 4 to 16 bytes of memory are needed for each.

    Raises:
        ImageError: for everything that is not one readable still picture within ``max_pixels``; no other error.
    """
    return decode(_read(Path(path), max_pixels), max_pixels=max_pixels)


def load_arrays(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Arrays:
    """The same photo as `load` reads, as arrays: whoever only shows it need not wait for torch."""
    data = _read(Path(path), max_pixels)
    with _memory_errors():
        return _decode(data, max_pixels)


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """A photo from the bytes of its file, as `load` reads it, with the same errors."""
    with _memory_errors():
        read = _decode(data, max_pixels)
        pixels = torch.from_numpy(read.pixels)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()
        return Photo(pixels, None if read.alpha is None else torch.from_numpy(read.alpha), read.metadata, read.notes)


@dataclass(frozen=True, eq=False)
class Arrays:
    """A photo as `Photo` has it, without torch.

    Attributes:
        pixels: uint8, (H, W) of a grey photo, (H, W, 3) of one in colour; upright.
        alpha: uint8 (H, W), 255 is opaque; None where the file has no transparency.
        metadata, notes: see `Photo`.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    metadata: Metadata | None
    notes: tuple[str, ...]


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise ImageError("not enough memory to read the photo") from error


def _read(path: Path, max_pixels: int) -> bytes:
    try:
        state = path.stat()
        if stat.S_ISDIR(state.st_mode):
            raise ImageError("this is a folder, not a file")
        if not stat.S_ISREG(state.st_mode):  # reading a pipe would wait for ever
            raise ImageError("this is not a regular file")
        if state.st_size == 0:
            raise ImageError("the file is empty")
        if state.st_size > _BYTES_PER_PIXEL * max_pixels + _BYTES_BESIDE:
            raise ImageError(f"{state.st_size:,} bytes are more than a photo of {max_pixels:,} pixels needs")
        return path.read_bytes()
    except ImageError:
        raise
    except OSError as error:
        message = _MESSAGES.get(error.errno or 0, f"the file cannot be read ({error.strerror})")
        raise ImageError(message) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError("the file's name is not valid") from error


def _decode(data: bytes, max_pixels: int) -> Arrays:
    kind = _kind(data)
    decoder = _decoder(kind)
    # Pillow does not look, and gives a photo whose lower part is missing.
    if kind == "PNG" and not all(sound for name, _, sound in _png_chunks(data) if name == b"IDAT"):
        raise ImageError("damaged or truncated PNG file (the checksum of its pixels is wrong)")
    with silent_pillow():
        try:
            return _decode_with(decoder, kind, data, max_pixels)
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # decoders of damaged data raise anything
            for lighter in _without_metadata(kind, data):
                try:
                    photo = _decode_with(decoder, kind, lighter, max_pixels)
                except ImageError:
                    raise
                except Exception:
                    continue
                return replace(photo, notes=("damaged metadata left out", *photo.notes))
            raise ImageError(f"damaged or unsupported {kind} file{_detail(error)}") from error


def _decode_with(decoder: type[ImageFile.ImageFile], kind: str, data: bytes, max_pixels: int) -> Arrays:
    image = _open(decoder, kind, data, max_pixels)
    icc = image.info.get("icc_profile")
    picture, alpha, notes = colour.eight_bit(image, partial(_open, decoder, kind, data, max_pixels))
    # PNG may hold its profile and EXIF behind the pixels, so look again.
    icc, exif = image.info.get("icc_profile", icc), data if kind == "TIFF" else image.info.get("exif")
    picture, colour_notes = colour.to_srgb(picture, icc)
    notes += colour_notes
    pixels, transparency = np.array(picture), None if alpha is None else np.array(alpha)
    turn = 1 if kind == "HEIC" else metadata.orientation(exif)
    if turn != 1:
        notes.append(f"turned upright (EXIF orientation {turn})")
    if kind != "TIFF":  # Pillow turns TIFFs while it decodes, libheif HEICs
        pixels = _upright(pixels, turn)
        transparency = None if transparency is None else _upright(transparency, turn)
    if "mp" in image.info or (kind == "HEIC" and getattr(image, "n_frames", 1) > 1):
        notes.append("only the main picture of the file read")
    kept = metadata.cleaned(exif, image.info.get("xmp"))
    return Arrays(pixels, transparency, kept, tuple(notes))


def _kind(data: bytes) -> str:
    for kind, signature in _SIGNATURES.items():
        if re.match(signature, data, re.DOTALL):
            return kind
    raise ImageError(f"not a photo in a format that Veil reads ({', '.join(_SIGNATURES)})")


def _decoder(kind: str) -> type[ImageFile.ImageFile]:
    if kind != "HEIC":
        return _DECODERS[kind]
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ImageError('reading HEIC needs an extra: pip install "veil[heif]"') from error
    heif: type[ImageFile.ImageFile] = HeifImageFile
    return heif


def _open(decoder: type[ImageFile.ImageFile], kind: str, data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The file opened, its size and number of pictures checked, nothing decoded yet."""
    try:
        # Not Image.open: its own limit on pixels is global, and it would warn within ours.
        image = decoder(BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ImageError(f"more pixels than the limit of {max_pixels:,}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{width} × {height} pixels are more than the limit of {max_pixels:,}")
    if kind == "HEIC":
        return image
    try:
        pictures = getattr(image, "n_frames", 1)
    except Exception:  # a damaged further picture: the first may be sound, but its reader is in disorder
        return decoder(BytesIO(data))
    if pictures > 1:
        unit = "pages" if kind == "TIFF" else "frames"
        raise ImageError(f"{pictures} {unit}: only still pictures are supported")
    return image


def _upright(x: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """(H, W, ...) as EXIF orientation ``turn``, 1 to 8, wants it to be seen."""
    if turn >= 5:
        x = x.swapaxes(0, 1)
    # 2: mirrored; 3: both; 4: upside down; after transposing 6: mirrored; 7: both; 8: upside down.
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(turn, ())
    return np.ascontiguousarray(np.flip(x, flips))


def _without_metadata(kind: str, data: bytes) -> Iterator[bytes]:
    """Versions of the file with less and less metadata: Pillow refuses a photo because of one damaged text chunk."""
    if kind == "PNG":
        yield from (_png_of_chunks(data, kept) for kept in ({b"eXIf", b"iCCP", b"tRNS"}, {b"tRNS"}, set()))
    elif kind == "JPEG":
        yield from (_jpeg_of_segments(data, kept) for kept in ({0xE1, 0xE2, 0xEE}, {0xEE}))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Name, whole chunk, and whether it passes its checksum."""
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunk = data[place : place + 12 + length]
        yield chunk[4:8], chunk, chunk[-4:] == struct.pack(">I", zlib.crc32(chunk[4:-4]))
        place += 12 + length


def _png_of_chunks(data: bytes, ancillary: set[bytes]) -> bytes:
    """The PNG's critical chunks, and the named ones with a valid checksum."""
    critical = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    kept = (chunk for name, chunk, sound in _png_chunks(data) if name in critical or (name in ancillary and sound))
    return data[:8] + b"".join(kept)


def _jpeg_of_segments(data: bytes, application: set[int]) -> bytes:
    """The JPEG without comments and with the named application segments only.

    E1 is EXIF, E2 the colour profile; EE is Adobe's and says how colours are stored.
    """
    kept, place = [data[:2]], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, place + 2)
        marker, segment = data[place + 1], data[place : place + 2 + length]
        # Adobe's and the profile's have at least 12 bytes; shorter ones are what Pillow fails on.
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or (marker in application and length >= 14):
            kept.append(segment)
        place += 2 + length
    return b"".join([*kept, data[place:]])


def _detail(error: Exception) -> str:
    """Pillow's own message in brackets, on one line, if it was written for people."""
    if error.__cause__ is not None or not isinstance(error, (OSError, SyntaxError, ValueError)):
        return ""  # such as "unpack requires a buffer of 4 bytes"
    text = "".join(letter for letter in " ".join(str(error).split()) if letter.isprintable())
    return f" ({text[:100]})" if text else ""
