"""Nothing is done to images: what every audit has to notice, and every table stands beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veil.images import require_batch
from veil.protections.image_protection import ImageProtection, Protect

if TYPE_CHECKING:
    from torch import Generator, Tensor


def unchanged(images: Tensor, generator: Generator | None = None, /) -> Tensor:
    """A copy of the images.

    Raises:
        ValueError: where they are no batch.
    """
    require_batch(images, "an audit takes")
    return images.clone()


def _create(key: object, settings: object) -> Protect:
    return unchanged


PROTECTION = ImageProtection(
    name="plain",
    title="nothing: images stay as they are",
    threat="nobody; it is the control of an audit",
    broken_by="looking at it",
    create=_create,
    hides=False,
)
