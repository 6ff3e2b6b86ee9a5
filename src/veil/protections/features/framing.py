"""How a client expects faces to be framed, and what does not look like that.

A client answers whatever it is shown: the features of a landscape are as good as any. No face detector comes with Veil,
so nothing is checked to be a face, and rows say so. What can be checked without one is the shape of the picture: the
card keeps how wide the training's photos were for their height (CelebA's are 178×218, the head in the middle, the eyes
on one line). A photo of quite another shape was not framed like these: it is refused, or its middle is cut out where a
person asks for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from veil.images import ImageError, Photo

Crop = Literal["none", "centre"]
CROPS: tuple[Crop, ...] = get_args(Crop)
FIELD = "photos"
"""Of ``training`` in a card: ``aspect``, width by height, and ``framed``, in words."""
TOLERANCE = 1.3
"""By which factor a photo may be wider, or higher, than those of the training."""
UNCHECKED = "not checked to be a face"


def described(name: str, aspect: float | None) -> dict[str, Any]:
    """What a card says of the photos that a client was trained with; empty where their shape is not known."""
    if aspect is None:
        return {}
    return {FIELD: {"aspect": round(aspect, 4), "framed": f"as in {name}: one face in the middle, upright"}}


def aspect_of(training: Mapping[str, Any]) -> float | None:
    """Width by height of the photos that a client expects; None where its card does not say it."""
    photos = training.get(FIELD)
    aspect = photos.get("aspect") if isinstance(photos, Mapping) else None
    return float(aspect) if isinstance(aspect, int | float) and 0.05 <= aspect <= 20 else None


def framed(photo: Photo, aspect: float | None, crop: Crop = "none") -> tuple[Photo, list[str]]:
    """A photo as a client expects it, and notes.

    Args:
        aspect: as `aspect_of` gives it; None checks nothing.
        crop: ``centre`` cuts the middle of that aspect out of photos of another.

    Raises:
        ImageError: for a photo of quite another shape, unless it is cropped.
    """
    if aspect is None:
        return photo, [UNCHECKED]
    own = photo.width / photo.height
    if max(own / aspect, aspect / own) <= TOLERANCE:
        return photo, [UNCHECKED]
    if crop == "none":
        raise ImageError(
            f"not framed like the faces that the client was trained with: {own:.2f} times as wide as high, these were "
            f"{aspect:.2f}; cut faces out of it, or say --crop centre"
        )
    width, height = min(photo.width, round(aspect * photo.height)), min(photo.height, round(photo.width / aspect))
    left, top = (photo.width - width) // 2, (photo.height - height) // 2
    place = (slice(top, top + max(1, height)), slice(left, left + max(1, width)))
    alpha = None if photo.alpha is None else photo.alpha[place].contiguous()
    middle = replace(photo, pixels=photo.pixels[(slice(None), *place)].contiguous(), alpha=alpha)
    return middle, [f"its middle cut out, {middle.width}×{middle.height}", UNCHECKED]
