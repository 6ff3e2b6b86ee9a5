"""Photos in and out: any common format to 8-bit sRGB pixels, and back to a file with nothing private in it.

`load` reads a file into a `Photo` (uint8 pixels, upright, sRGB or grey, separate alpha) and lists its conversions in
``notes``; `save` writes it atomically. Metadata (EXIF, GPS, XMP, comments, the embedded thumbnail that would show the
unprotected photo) is written only on request, and is cleaned first.

The modules: `photo` holds the types and the rounding, `decoding` and `colour` read files, `encoding` writes them,
`metadata` cleans metadata, `pillow_warnings` silences Pillow. Every problem with a file is an `ImageError` with one
line for a person. All functions are thread-safe.
"""

from veil.images.colour import LUMA
from veil.images.decoding import SUFFIXES, decode, load
from veil.images.encoding import FORMATS, Format, encode, over_white, save
from veil.images.metadata import Metadata
from veil.images.photo import MAX_PIXELS, ImageError, Photo, content_digest, quantise, require_batch, to_float

__all__ = [
    "FORMATS",
    "LUMA",
    "MAX_PIXELS",
    "SUFFIXES",
    "Format",
    "ImageError",
    "Metadata",
    "Photo",
    "content_digest",
    "decode",
    "encode",
    "load",
    "over_white",
    "quantise",
    "require_batch",
    "save",
    "to_float",
]
