"""People, found by features as they are: two photos are compared by the angle between their features.

What the attacker knows: features of other people's photos, whose mean is taken away first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from veil.attacks.features.attackers import KnownPeople, PersonFinder, TrainedAttack

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CosineSettings:
    """It has none."""


def fit(own: KnownPeople, validation: KnownPeople, settings: CosineSettings) -> TrainedAttack:
    """Features without the mean of the validation part, float32 (N, C h w)."""
    mean = validation.features.flatten(1).float().mean(0)

    def embed(features: Tensor) -> Tensor:
        return features.flatten(1).float() - mean

    return TrainedAttack(embed)


COSINE = PersonFinder(
    name="cosine", title="features as they are", knows="features of other people's photos", settings=CosineSettings(),
    fit=fit,
)  # fmt: skip
