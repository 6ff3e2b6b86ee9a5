"""Photos in and out: any common format to 8-bit sRGB pixels, and back to a file with nothing private in it.

`load` reads a file into a `Photo` (uint8 pixels, upright, sRGB or grey, separate alpha) and lists its conversions in
``notes``; `save` writes it atomically. Metadata (EXIF, GPS, XMP, comments, the embedded thumbnail that would show the
unprotected photo) is written only on request, and then only a list of harmless fields, built anew.

The parts: `photo` holds the types and the rounding; `decoding` is the way in, with `limits`, `structure`, `decoders`,
`colour`, and `decoding_pool` for files that a process of their own decodes; `encoding` is the way out, `metadata` what
may be kept, `pillow_warnings` the silence of the library below. Every problem with a file is an `ImageError` with one
line for a person. All functions may be called from several threads.

Names are imported when they are first used: a command that only names formats does not wait for Pillow and NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

from veil.images.formats import FORMATS, MAX_PIXELS, SAME, SUFFIXES, Format, format_of, same_suffix

if TYPE_CHECKING:
    from veil.images.colour import LUMA
    from veil.images.decoding import Arrays, as_photo, decode, load, load_arrays, rgb
    from veil.images.encoding import encode, over_white, save
    from veil.images.limits import LIMITS, Limits
    from veil.images.metadata import Metadata
    from veil.images.photo import ImageError, Photo, content_digest, quantise, require_batch, to_float

_WHERE = {
    "LUMA": "colour",
    "Arrays": "decoding",
    "as_photo": "decoding",
    "decode": "decoding",
    "load": "decoding",
    "load_arrays": "decoding",
    "rgb": "decoding",
    "LIMITS": "limits",
    "Limits": "limits",
    "encode": "encoding",
    "over_white": "encoding",
    "save": "encoding",
    "Metadata": "metadata",
    "ImageError": "photo",
    "Photo": "photo",
    "content_digest": "photo",
    "quantise": "photo",
    "require_batch": "photo",
    "to_float": "photo",
}

__all__ = [
    "FORMATS",
    "LIMITS",
    "LUMA",
    "MAX_PIXELS",
    "SAME",
    "SUFFIXES",
    "Arrays",
    "Format",
    "ImageError",
    "Limits",
    "Metadata",
    "Photo",
    "as_photo",
    "content_digest",
    "decode",
    "encode",
    "format_of",
    "load",
    "load_arrays",
    "over_white",
    "quantise",
    "require_batch",
    "rgb",
    "same_suffix",
    "save",
    "to_float",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'veil.images' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"veil.images.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
