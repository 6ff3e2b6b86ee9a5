"""Nearest pair: whoever has images before and after protection answers with the plain image of the nearest protected
one. It recovers no detail, but tells what an image shows where protection keeps likeness.

What the attacker knows: any number of pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from veil.attacks.images import ImageAttack
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.attacks.images import Reconstruct

_AT_ONCE = 256


def attack(plain: Tensor, protected: Tensor) -> Reconstruct:
    """Keeps the pairs, uint8 (N, 3, H, W) each; protected images may be larger than plain ones."""
    known = protected.flatten(1).float()
    room = torch.zeros_like(protected)
    room[:, :, : plain.shape[2], : plain.shape[3]] = plain

    def reconstruct(images: Tensor) -> Tensor:
        parts = torch.split(images.flatten(1).float(), _AT_ONCE)
        nearest = torch.cat([torch.cdist(part, known).argmin(1) for part in parts])
        return room[nearest]

    return reconstruct


ATTACK = ImageAttack(name="nearest-pair", title="plain image of the nearest pair", knows="pairs", attack=attack)
