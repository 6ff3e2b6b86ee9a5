"""What is audited: something that sends features, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from veil.protections.features.file import Client, Service


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureSubject:
    """What sends features, and who reads them.

    Attributes:
        name: what reports call it.
        described: what tells it from others of that name.
        send: uint8 images (N, 3, H, W) to what an eavesdropper gets, decoded: floats (N, C, h, w).
        target, hides: names of attributes: the service's, and the private ones.
        answer: features to logits (N, T) of the service; None where it is not at hand.
        features: images in [0, 1] to features before they are encoded, with gradients, for attackers who have the
            client; None for a callable of which only answers are known.
        adversaries: of the training: features to logits (N, P) of ``hides``.
        reconstructor: of the training: features to images in [0, 1].
    """

    name: str
    send: Callable[[Tensor], Tensor]
    target: tuple[str, ...]
    hides: tuple[str, ...]
    described: str = ""
    answer: Callable[[Tensor], Tensor] | None = None
    features: Callable[[Tensor], Tensor] | None = None
    adversaries: Sequence[Callable[[Tensor], Tensor]] = ()
    reconstructor: Callable[[Tensor], Tensor] | None = None


def subject_of(client: Client, service: Service | None, device: torch.device) -> FeatureSubject:
    """A client, and its service where that is at hand, on a device."""
    reader = None if service is None else service.network.to(device)
    return FeatureSubject(
        name=client.name, described=client.fingerprint, target=client.target, hides=client.hides,
        send=lambda images: client(images.to(device)),
        answer=None if reader is None else lambda sent: reader(sent.to(device)),
        features=client.features,
    )  # fmt: skip
