"""A photo's pictures on a report: before, after, and the noise amplified, as data URIs.

Photos are read again from their files, one at a time. The noise is shown at native resolution, because downscaling
averages noise away.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

from markupsafe import Markup
from PIL import Image, ImageChops

from veil import images
from veil.images import Arrays, ImageError
from veil.jobs import folders
from veil.runtime import names
from veil.runtime.names import UnsafeName

THUMBNAIL = 320  # pixels along the longer side of a picture
CROP = 160  # the same of the noise's crop, which is shown at twice its size
FACTORS = (100, 50, 20, 10, 5, 2, 1)  # by which noise may be amplified


def amplification(rows: Iterable[Mapping[str, Any]]) -> int:
    """The factor at which the noise of most of ``rows`` is easy to see and stays within the grey levels."""
    largest = median([row["linf"] for row in rows] or [1.0])
    return next((factor for factor in FACTORS if factor * largest <= 100), 1)


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, with the size in pixels at which it is stored."""

    uri: Markup
    width: int
    height: int


@dataclass
class Card:
    """A photo on the page.

    ``reason`` says why it is not protected, ``problems`` which picture is missing, and why.
    """

    row: Mapping[str, Any]
    reason: str | None
    before: Picture | None = None
    after: Picture | None = None
    noise: Picture | None = None
    whole: bool = False
    problems: list[str] = field(default_factory=list)


def card(row: Mapping[str, Any], out: Path, sources: Mapping[str, Path], reason: str | None, factor: int) -> Card:
    """Reads a photo's two files again; a file that cannot be read gives a sentence instead of a picture."""
    shown = Card(row, reason)
    limits = images.Limits(max_pixels=max(images.MAX_PIXELS, row["width"] * row["height"]))
    seen: list[Image.Image] = []  # the middle of each, all that is kept of it beside its thumbnail
    source = sources.get(row["file"])
    try:
        if source is None:
            raise ImageError("this run does not contain the file")
        if _changed(source, row.get("source")):
            raise ImageError("it was changed since")
        shown.before, middle = _shown(images.load_arrays(source, limits=limits))
        seen.append(middle)
    except (ImageError, OSError, MemoryError) as error:
        shown.problems.append(f"The original cannot be shown: {_said(error)}.")
    try:
        shown.after, middle = _shown(images.load_arrays(names.below(out, row["out"]), limits=limits))
        seen.append(middle)
    except (ImageError, UnsafeName, OSError, MemoryError) as error:
        shown.problems.append(f"The protected photo cannot be shown: {_said(error)}.")
    if len(seen) == 2 and seen[0].size == seen[1].size:
        shown.noise = _picture(_amplified(seen[0], seen[1], factor), "PNG", optimize=True)
        shown.whole = seen[0].size == (row["width"], row["height"])
    elif len(seen) == 2:
        shown.problems.append("The noise cannot be shown: the two photos are not of one size.")
    return shown


def _changed(source: Path, stamp: Mapping[str, int] | None) -> bool:
    """Whether ``source`` differs from the file that was protected; a missing file counts as unchanged."""
    try:
        return bool(stamp) and folders.stamp(source) != stamp
    except (OSError, ValueError):
        return False


def _said(error: Exception) -> str:
    return "there is not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__


def _shown(photo: Arrays) -> tuple[Picture, Image.Image]:
    """A thumbnail, and the centre of the photo at its own resolution, in which noise is not averaged away."""
    image = _over_white(photo)
    thumbnail = image.resize(_within(image.size, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=3)
    # The crop has the photo's shape, so that it stands beside the thumbnail; of a panorama it is taller.
    shape = _within(image.size, CROP)
    crop = min(image.width, max(shape[0], CROP // 4)), min(image.height, max(shape[1], CROP // 4))
    left, top = (image.width - crop[0]) // 2, (image.height - crop[1]) // 2
    centre = image.crop((left, top, left + crop[0], top + crop[1])).convert("RGB")
    return _picture(thumbnail, "JPEG", quality=85), centre


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height scaled down until the longer is at most ``side``, the shorter at least one pixel."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _over_white(photo: Arrays) -> Image.Image:
    """What is seen of a photo on white paper: mode L or RGB."""
    image = Image.fromarray(photo.pixels)
    if photo.alpha is None:
        return image
    return Image.composite(image, Image.new(image.mode, image.size, "white"), Image.fromarray(photo.alpha))


def _amplified(before: Image.Image, after: Image.Image, factor: int) -> Image.Image:
    """128 + (after − before) · factor, clipped to 0 to 255."""
    # Darker and brighter places apart, because Pillow's images hold no negative numbers.
    brighter = ImageChops.subtract(after, before).point(lambda level: min(level * factor, 127))
    darker = ImageChops.subtract(before, after).point(lambda level: min(level * factor, 128))
    grey = Image.new("RGB", before.size, (128, 128, 128))
    return ImageChops.subtract(ImageChops.add(grey, brighter), darker)


def _picture(image: Image.Image, format: str, **options: Any) -> Picture:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(Markup(f"data:image/{format.lower()};base64,{data}"), image.width, image.height)
