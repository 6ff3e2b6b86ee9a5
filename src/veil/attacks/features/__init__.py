"""Attacks on features that a client sends: private attributes, images, people.

All of them are rows of one table, by what they read: see `veil.attacks.features.attackers`. Other packages add rows by
entry points of the group ``veil.feature_attackers``.
"""

from typing import TypeVar

from veil.attacks.features.attackers import (
    AttributeAttacker,
    FeatureAttacker,
    ImageSearch,
    PersonFinder,
    Reconstructor,
    TrainedAttack,
)
from veil.runtime.tables import Table

__all__ = [
    "FEATURE_ATTACKERS",
    "AttributeAttacker",
    "FeatureAttacker",
    "ImageSearch",
    "PersonFinder",
    "Reconstructor",
    "TrainedAttack",
    "attackers_of",
]

_HERE = "veil.attacks.features"
FEATURE_ATTACKERS: Table[FeatureAttacker] = Table(
    "veil.feature_attackers",
    FeatureAttacker,
    "feature attacker",
    {
        "in-loop": f"{_HERE}.in_loop:IN_LOOP",
        "linear": f"{_HERE}.attribute_classifiers:LINEAR",
        "mlp": f"{_HERE}.attribute_classifiers:MLP",
        "vgg": f"{_HERE}.attribute_classifiers:VGG",
        "resnet": f"{_HERE}.attribute_classifiers:RESNET",
        "neighbours": f"{_HERE}.closed_forms:NEIGHBOURS",
        "kernel": f"{_HERE}.closed_forms:KERNEL",
        "mirror": f"{_HERE}.reconstructors:MIRROR",
        "urec1": f"{_HERE}.reconstructors:UREC1",
        "urec2": f"{_HERE}.reconstructors:UREC2",
        "resrec": f"{_HERE}.reconstructors:RESREC",
        "inversion": f"{_HERE}.input_optimisation:INVERSION",
        "cosine": f"{_HERE}.cosine:COSINE",
        "matcher": f"{_HERE}.matching:MATCHER",
    },
)

A = TypeVar("A", bound=FeatureAttacker)


def attackers_of(kind: type[A]) -> dict[str, A]:
    """The table's rows of one kind: `AttributeAttacker`, `Reconstructor`, `ImageSearch` or `PersonFinder`."""
    return {name: row for name, row in FEATURE_ATTACKERS.items() if isinstance(row, kind)}
