"""A transformation: the network h_p, and a file of it.

Threat model: people, and the staff of a cloud that trains a network on transformed images or answers them. There is no
key. Whoever has this file, or may have images of their own transformed, gets as many pairs of plain and transformed
images as they like and can train the inverse (docs/transformation.md has measurements). So the file belongs to clients
alone.

The file is safetensors: the weights as float16, and in the header a card, as JSON: name, method, width, what it was
trained on and how, and what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from veil import images
from veil.models import weights
from veil.models.answers import require_finite
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from veil.models.unet import UNet

KIND = "veil transformation 1"
_FIELDS: dict[str, type] = {
    "name": str, "method": str, "network": dict, "fingerprint": str, "training": dict, "measured": dict,
}  # fmt: skip
_SIZES, _WIDEST = ("width", "skips", "up"), 256
MAX_PIXELS = 12_000_000
"""Of one image: a U-Net of width 16 takes some 5 GB for it."""
_AT_ONCE, _AT_ONCE_ON_CPU = 1 << 17, 1 << 16
"""Pixels that go through the network together, unless one image has more: with more a CPU becomes no faster."""


class TransformationError(ValueError):
    """There is no such transformation, or its file cannot be used; the message is one line."""


@dataclass(frozen=True, eq=False)
class Transformation:
    """A network h_p, frozen, with its card. A protection for `veil.training.classification` as it is.

    Attributes:
        name: what reports call it.
        network: maps images in [0, 1] to images in (0, 1).
        method: how it was trained, the name of a row of `veil.protections.transformation.METHODS`.
        training, measured: of its card, for people.

    Raises:
        TransformationError: for weights that float16 cannot hold.
    """

    name: str
    network: UNet
    method: str
    training: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights.freeze(self.network, weights.half, TransformationError)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        return f"Transformation({self.name!r}, {self.fingerprint})"

    def __call__(self, batch: Tensor, generator: Generator | None = None) -> Tensor:
        """Transforms images, uint8 (N, 3, H, W) of any size, on their device; the same shape and type.

        An image becomes the same in any batch, on one machine with one number of threads; elsewhere about one value of
        twenty thousand may be rounded to the other side.

        Args:
            generator: not used; protections of a training are called with one.

        Raises:
            ValueError: for anything else, and for images of more than `MAX_PIXELS`.
            NoFiniteAnswer: where the network gives none for an image.
        """
        images.require_batch(batch, "a transformation takes")
        pixels = batch.shape[2] * batch.shape[3]
        if pixels > MAX_PIXELS:
            raise ValueError(
                f"images of {pixels / 1e6:.1f} megapixels are too large to transform: at most {MAX_PIXELS / 1e6:g}"
            )
        self.network.to(batch.device)
        with torch.inference_mode():
            parts = [self._transformed(part) for part in torch.split(batch, _together(batch))]
        return torch.cat(parts)  # out here: whoever trains on them may change them

    def _transformed(self, part: Tensor) -> Tensor:
        """Some images, always as many for the network, filled up by the last one: see `_together`."""
        missing = _together(part) - len(part)
        filled = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part
        transformed = self.network(images.to_float(filled).contiguous(memory_format=torch.channels_last))
        return images.quantise(require_finite(transformed[: len(part)], self.name, "this image")).contiguous()

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the weights, as they are stored, and with nothing else."""
        return weights.fingerprint(sorted(weights.stored(self.network, weights.half).items()))

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        card = {
            "kind": KIND, "name": self.name, "method": self.method,
            "network": self.network.options, "fingerprint": self.fingerprint,
            "training": dict(self.training), "measured": dict(self.measured),
        }  # fmt: skip
        weights.write(file, weights.stored(self.network, weights.half), card)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            TransformationError: in one line, for any other file.
        """
        from veil.models.unet import UNet

        with weights.reading(file, "a transformation", TransformationError):
            with weights.opened(file) as content:
                card = _checked(weights.card_of(content))
                network = weights.network_of(content, UNet, card["network"], weights.half)
            fields = {name: card[name] for name in ("name", "method", "training", "measured")}
            transformation = cls(network=network, **fields)
            if transformation.fingerprint != card["fingerprint"]:
                raise TransformationError("the weights are not those that its card speaks of")
            return transformation


def _together(batch: Tensor) -> int:
    """How many images of that size go through the network together, on that device.

    Always as many, because a network sums in another order where it gets another number of images, and then rounds
    some values to the other side. And as many for each thread, because group normalisation cuts a batch into as many
    pieces as there are threads: one that ends within an image would make its sums depend on its place in the batch.
    """
    from veil.models.unet import STRIDE

    height, width = batch.shape[2:]
    padded: int = -(-height // STRIDE) * -(-width // STRIDE) * STRIDE**2
    if batch.device.type != "cpu":
        return max(1, _AT_ONCE // padded)
    count = max(1, _AT_ONCE_ON_CPU // padded)
    threads: int = torch.get_num_threads()
    return -(-count // threads) * threads if count > 1 else 1


def _checked(card: weights.Card) -> weights.Card:
    """The card, where it is a transformation's.

    Raises:
        ValueError: where it is not.
    """
    if card["kind"] != KIND:
        raise ValueError("its header does not say so")
    weights.require_fields(card, _FIELDS)
    network = card["network"]
    if set(network) != {*_SIZES, "norm"} or not all(type(network[size]) is int for size in _SIZES):
        raise ValueError("its card is damaged")
    if max(network["width"], network["up"]) > _WIDEST:
        raise ValueError(f"its card speaks of a U-Net of width {max(network['width'], network['up'])}")
    return card
