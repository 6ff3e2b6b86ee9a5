"""Which files are read and written, and how large photos may be. Read without any library for images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
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
SAME = "same"
"""In place of a format: that of the original, as its name says it."""
_BY_SUFFIX = {
    ".jpg": "jpeg", ".jpeg": "jpeg", ".jfif": "jpeg", ".png": "png", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff",
}  # fmt: skip


def format_of(name: str) -> str:
    """The format that a file of this name is written in where it is to stay the same: PNG for what is not written."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower(), "png")


def same_suffix(name: str) -> str:
    """The suffix of such a file: its own, or that of PNG."""
    suffix = PurePath(name).suffix
    return suffix if suffix.lower() in _BY_SUFFIX else FORMATS["png"].suffix
