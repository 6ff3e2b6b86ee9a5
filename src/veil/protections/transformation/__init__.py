"""Transformation networks: images without visual information, that classifiers can still learn from, and no key."""

from veil.protections.transformation.file import Transformation, TransformationError
from veil.protections.transformation.method import TransformationMethod
from veil.runtime.tables import Table

METHODS: Table[TransformationMethod] = Table(
    "veil.transformation_methods",
    TransformationMethod,
    "method",
    {
        "cyclegan": "veil.protections.transformation.cyclegan:METHOD",
        "unet": "veil.protections.transformation.unet:METHOD",
    },
)
"""Ways to train a transformation network, by name."""

__all__ = ["METHODS", "Transformation", "TransformationError", "TransformationMethod"]
