"""Pixels from the bytes of a photo by Pillow's decoders, in whatever process this runs.

The file's first bytes decide its format, not its name, and only the decoders listed here are used: Pillow has more, and
one of them (EPS) starts another program. The size in the header is checked before anything is decoded.

Deviation from the rule "more than one picture is refused": JPEG (a gain map or a stereo pair beside the
photo) and HEIC (a burst) hold photos from phones; their main picture is read and the note says that there are
others.
"""

from __future__ import annotations

import importlib.util
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

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
from veil.images.photo import ImageError
from veil.images.pillow_warnings import silent_pillow
from veil.images.structure import kind_of

_DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}


@dataclass(frozen=True, eq=False)
class Arrays:
    """A photo as `veil.images.Photo` has it, without torch.

    Attributes:
        pixels: uint8, (H, W) of a grey photo, (H, W, 3) of one in colour; upright.
        alpha: uint8 (H, W), 255 is opaque; None where the file has no transparency.
        metadata, notes: see `veil.images.Photo`.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    metadata: Metadata | None
    notes: tuple[str, ...]


Decode = Callable[[bytes, int], Arrays]
"""Takes a file's bytes and the most pixels."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turns a lack of memory into an `ImageError`."""
    try:
        yield
    except MemoryError as error:
        raise ImageError("not enough memory to read the photo") from error


def require(kind: str) -> None:
    """Refuses a format whose decoder is not installed.

    Raises:
        ImageError: for HEIC without its extra.
    """
    if kind == "HEIC" and importlib.util.find_spec("pillow_heif") is None:
        raise ImageError('reading HEIC needs an extra: pip install "veil[heif]"')


def photo(data: bytes, max_pixels: int) -> Arrays:
    """The photo as a viewer shows it: upright, in sRGB or grey.

    Raises:
        ImageError: for everything that is not one readable still picture within ``max_pixels``.
    """
    kind = kind_of(data)
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
                    lighter_photo = _decode_with(decoder, kind, lighter, max_pixels)
                except ImageError:
                    raise
                except Exception:
                    continue
                return replace(lighter_photo, notes=("damaged metadata left out", *lighter_photo.notes))
            raise ImageError(f"damaged or unsupported {kind} file{_detail(error)}") from error


def rgb(data: bytes, max_pixels: int) -> Arrays:
    """The first picture's samples as Pillow converts them to RGB: no rotation, no profile, no transparency.

    Data sets of pictures are read so; networks were trained on that.

    Raises:
        ImageError: as `photo` does, but further pictures are passed over.
    """
    kind = kind_of(data)
    decoder = _decoder(kind)
    with silent_pillow():
        try:
            image = _opened(decoder, data, max_pixels)
            if image.mode[0] in "IF":  # more than 8 bits: Pillow would cut every value off at 255
                wide = photo(data, max_pixels)
                colours = wide.pixels if wide.pixels.ndim == 3 else np.stack([wide.pixels] * 3, -1)
                return replace(wide, pixels=colours, alpha=None, metadata=None)
            if image.mode == "RGB":
                image.load()  # what `convert` would copy
                return Arrays(np.asarray(image), None, None, ())
            return Arrays(np.asarray(image.convert("RGB")), None, None, ())
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # decoders of damaged data raise anything
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


def _decoder(kind: str) -> type[ImageFile.ImageFile]:
    require(kind)
    if kind != "HEIC":
        return _DECODERS[kind]
    from pillow_heif import HeifImageFile

    heif: type[ImageFile.ImageFile] = HeifImageFile
    return heif


def _open(decoder: type[ImageFile.ImageFile], kind: str, data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The file opened, its size and number of pictures checked, nothing decoded yet."""
    image = _opened(decoder, data, max_pixels)
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


def _opened(decoder: type[ImageFile.ImageFile], data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    try:
        # Not Image.open: its own limit on pixels is global, and it would warn within ours.
        image = decoder(BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ImageError(f"more pixels than the limit of {max_pixels:,}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{width} × {height} pixels are more than the limit of {max_pixels:,}")
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
