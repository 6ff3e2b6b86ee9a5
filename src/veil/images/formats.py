"""Which files are read and written, and how large photos may be. Read without any library for images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_PIXELS = 100_000_000
"""Of a photo, unless told otherwise."""
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff"} | {".bmp", ".gif", ".heic", ".heif", ".ppm", ".pgm"}
)
"""Lower-case suffixes, with their dot, of the files that a folder scan takes for photos."""


@dataclass(frozen=True)
class Format:
    """A format that photos are written in.

    Attributes:
        suffix: lower case, with its dot.
        lossless: whether pixels and alpha come back the same. (WebP knows no grey: it comes back as three
            equal channels; nor a fully opaque alpha, which comes back as none.)
        max_side: the most pixels along one side, or None.
        options: what Pillow's ``save`` is told.
    """

    name: str
    suffix: str
    lossless: bool
    max_side: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


FORMATS: dict[str, Format] = {
    "png": Format("PNG", ".png", lossless=True),
    # In lossless WebP "quality" is effort: more than 20 makes noisy photos no smaller, and takes three times
    # as long.
    "webp": Format(
        "WebP",
        ".webp",
        lossless=True,
        max_side=16383,
        options={"lossless": True, "exact": True, "quality": 20},
    ),
    "tiff": Format("TIFF", ".tiff", lossless=True, options={"compression": "tiff_adobe_deflate"}),
    # 4:4:4: with halved colour channels a part of the noise would be lost.
    "jpeg": Format("JPEG", ".jpg", lossless=False, max_side=65500, options={"subsampling": 0}),
}
