"""What Veil releases in place of an image: noise, ciphers, transformations, features.

`PROTECTIONS` lists the protections whose images networks can read and people cannot. Each is a row in the file of what
it describes. Noise schemes, whose images look unchanged, are in `veil.protections.noise`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil.protections.image_protection import ImageProtection, Protect
from veil.runtime.tables import Table

if TYPE_CHECKING:
    from torch import Generator, Tensor

TRANSFORMATION_FILE = ".safetensors"
"""How the name of a transformation file ends."""


def of_callable(name: str, protect: object) -> ImageProtection:
    """A row for a callable on uint8 images (N, 3, H, W), of which an attacker knows nothing.

    Args:
        protect: takes the images; and the generator that draws for it, where it has a parameter ``generator``.

    Raises:
        TypeError: where it cannot be called.
    """
    if isinstance(protect, type) or not callable(protect):
        kind = "a class, not an object of it" if isinstance(protect, type) else f"a {type(protect).__name__}"
        raise TypeError(f"it is {kind}, which cannot be called on images")
    return ImageProtection(
        name=name,
        title="a callable of your own",
        threat="whoever sees protected images",
        broken_by="nothing; an audit tells",
        create=lambda key, settings: _with_generator(protect),
    )


def of_transformation(transformation: Any) -> ImageProtection:
    """A row for a transformation network (`veil.protections.transformation.file.Transformation`)."""
    return ImageProtection(
        name=transformation.name,
        title="a transformation network",
        threat="people, and the staff of a cloud; they lack the network's file",
        broken_by="whoever has its file, or may have images transformed, trains an inverse",
        create=lambda key, settings: transformation,
    )


PROTECTIONS: Table[ImageProtection] = Table(
    "veil.protections",
    ImageProtection,
    "protection",
    {
        "plain": "veil.protections.plain:PROTECTION",
        "tanaka": "veil.protections.ciphers.tanaka:PROTECTION",
        "pixel-same": "veil.protections.ciphers.pixel:SAME",
        "pixel-different": "veil.protections.ciphers.pixel:DIFFERENT",
        "transformation-cifar10": "veil.protections.transformation.packaged:CIFAR10",
    },
    adapt=of_callable,
)
"""Protections of images by name."""


def find(what: str | Path | ImageProtection | Callable[..., Tensor]) -> ImageProtection:
    """The protection that a person means: a name, a transformation file, ``module:object``, a row, or a callable.

    Raises:
        UnknownName: where there is none of that name, or the object cannot be used.
        TransformationError: where a transformation file cannot be used.
        TypeError: where it is something else.
    """
    if isinstance(what, ImageProtection):
        return what
    if not isinstance(what, str | Path):
        return of_callable(_called(what), what)
    if str(what) not in PROTECTIONS and (str(what).endswith(TRANSFORMATION_FILE) or Path(what).is_file()):
        from veil.protections.transformation.file import Transformation

        return of_transformation(Transformation.load(Path(what)))
    return PROTECTIONS.resolve(str(what))


def _called(what: object) -> str:
    """What reports call an object: its own name, or its class's."""
    return str(getattr(what, "name", None) or getattr(what, "__qualname__", None) or type(what).__name__)


def _with_generator(protect: Callable[..., Tensor]) -> Protect:
    """The callable as a `Protect`."""
    try:
        taken = inspect.signature(protect).parameters.get("generator")
    except (TypeError, ValueError):  # functions of torch have no signature
        taken = None
    if taken is not None and taken.kind is not taken.KEYWORD_ONLY:
        return protect

    def called(images: Tensor, generator: Generator | None = None, /) -> Tensor:
        return protect(images) if taken is None else protect(images, generator=generator)

    return called
