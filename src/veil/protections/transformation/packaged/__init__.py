"""The transformations that come with Veil; README.md beside this file is their model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from veil.protections.image_protection import ImageProtection, Protect

if TYPE_CHECKING:
    from veil.protections.transformation.file import Transformation

FOLDER = Path(__file__).parent
DEFAULT = "transformation-cifar10"


def load(name: str = DEFAULT) -> Transformation:
    """A packaged transformation.

    Raises:
        TransformationError: where there is none of that name.
    """
    from veil.protections.transformation.file import Transformation

    return Transformation.load(FOLDER / f"{name}.safetensors")


def _create(key: object, settings: object) -> Protect:
    return load(DEFAULT)


CIFAR10 = ImageProtection(
    name=DEFAULT,
    title="a transformation network, trained on CIFAR-10",
    threat="people, and the staff of a cloud that trains a network on transformed images; they lack the network's file",
    broken_by=(
        "whoever has the file, and everybody has this one, or may have images transformed, trains an inverse; networks "
        "learn little from what it makes of other data than CIFAR-10"
    ),
    create=_create,
)
