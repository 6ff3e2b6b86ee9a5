"""Photos in and out: any common format to 8-bit sRGB pixels, and back to a file with nothing private in it.

`load` reads a file into a `Photo` (uint8 pixels, upright, sRGB or grey, alpha apart) and says in ``notes``
what it had to convert; `save` writes it atomically. Metadata (EXIF, GPS, XMP, comments, the embedded
thumbnail that would show the unprotected photo) is left out unless it is asked for, and then cleaned.

The parts: `photo` holds the types and the rounding, `decoding` and `colour` the way in, `encoding` the way
out, `metadata` what may be kept, `pillow_warnings` the silence of the library below. Every problem with a
file is an `ImageError` with one line for a person. All functions may be called from several threads.
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
