"""Veil keeps private images private from deep networks.

>>> import veil
>>> protector = veil.Protector("things100", scheme="crs", budget=8)
>>> photo = veil.images.load("cat.jpg")            # doctest: +SKIP
>>> protected = protector.protect(photo)           # doctest: +SKIP
>>> veil.images.save(protected.photo, "cat.png")   # doctest: +SKIP

Names are imported when they are first used, so that ``import veil`` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veil import images as images
    from veil.models.catalog import load as load_classifier
    from veil.models.classifier import Classifier, Preprocessing
    from veil.protections.noise import SCHEMES
    from veil.protections.noise.protector import Protected, Protector

_WHERE = {
    "SCHEMES": "veil.protections.noise:SCHEMES",
    "Classifier": "veil.models.classifier:Classifier",
    "Preprocessing": "veil.models.classifier:Preprocessing",
    "Protected": "veil.protections.noise.protector:Protected",
    "Protector": "veil.protections.noise.protector:Protector",
    "images": "veil.images",
    "load_classifier": "veil.models.catalog:load",
}
__all__ = [
    "SCHEMES",
    "Classifier",
    "Preprocessing",
    "Protected",
    "Protector",
    "__version__",
    "images",
    "load_classifier",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("veil")
    if name not in _WHERE:
        raise AttributeError(f"module 'veil' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
