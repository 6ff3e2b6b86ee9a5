"""Nearest mean: an attribute is there where features lie nearer to the mean of those that have it.

What the attacker knows: features of other people's photos, with the attributes of these photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from veil.attacks.features import AttributeAttacker, TrainedAttack
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.attacks.features.attackers import KnownAttributes
    from veil.training.run import Run


@dataclass(frozen=True, kw_only=True)
class NearestMeanSettings:
    """Settings.

    Attributes:
        shrink: share of the means' distance from their common middle that is taken away.
    """

    shrink: float = 0.0


def fit(own: KnownAttributes, validation: KnownAttributes, settings: NearestMeanSettings, run: Run) -> TrainedAttack:
    """Takes the means; nothing is chosen on the validation part."""
    vectors, labels = own.features.flatten(1).float(), own.labels.float()
    middle = vectors.mean(0)
    means = [
        middle + (1 - settings.shrink) * ((weights.T @ vectors) / weights.sum(0).clamp_min(1)[:, None] - middle)
        for weights in (labels, 1 - labels)
    ]

    def answer(features: Tensor) -> Tensor:
        yes, no = (torch.cdist(features.flatten(1).float(), mean.to(features.device)) for mean in means)
        return no - yes

    return TrainedAttack(answer)


ATTACKER = AttributeAttacker(
    name="nearest-mean", title="the nearest mean", knows="features of other people's photos, with their attributes",
    settings=NearestMeanSettings(), fit=fit,
)  # fmt: skip
