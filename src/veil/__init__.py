"""Veil keeps private images private from deep networks.

>>> import veil
>>> protector = veil.Protector("things100", scheme="crs", budget=8)
>>> photo = veil.images.load("cat.jpg")            # doctest: +SKIP
>>> protected = protector.protect(photo)           # doctest: +SKIP
>>> veil.images.save(protected.photo, "cat.png")   # doctest: +SKIP
"""

from importlib.metadata import version

from veil import images
from veil.models.catalog import load as load_classifier
from veil.models.classifier import Classifier, Preprocessing
from veil.protections.noise import SCHEMES
from veil.protections.noise.protector import Protected, Protector

__version__ = version("veil")
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
