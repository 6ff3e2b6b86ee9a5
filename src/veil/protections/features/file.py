"""An obfuscator in two files: the client's, which is on every phone, and the service's, which stays where it is.

The client holds the obfuscator and the encoding of what it sends; the service holds the classifier that reads it.
Neither holds anything of the other but its fingerprint, by which they know each other. `veil.protections.features.card`
says how they are stored.

Threat model: whoever reads features has the client file, too; it is no secret. What attackers learn from features is
for an audit to measure, on what a `Client` returns: what was sent, decoded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from veil import images
from veil.models.answers import require_finite
from veil.models.features import STRIDE, Shape
from veil.models.obfuscator import FeatureClassifier, Obfuscator
from veil.models.weights import Card
from veil.protections.features import card as cards
from veil.protections.features import framing
from veil.protections.features.card import CLIENT, INPUT, SERVICE, ObfuscatorError
from veil.protections.features.encoding import Encoding

_AT_ONCE = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Client:
    """An obfuscator, frozen, with what it takes and what it sends.

    Attributes:
        name: what reports call it.
        network: maps images in [0, 1] to features.
        size: (H, W) of the images, in pixels.
        encoding: of what is sent.
        target: names of the attributes that the service asks for.
        hides: names of the attributes that it was trained to hide.
        service: fingerprint of the service that reads its features.
        training, measured: of its card, for people; `veil.protections.features.trainer` finds what audits need of
            ``training``.

    Raises:
        ObfuscatorError: for sides that the network does not take, and for weights that float16 cannot hold.
    """

    name: str
    network: Obfuscator
    size: tuple[int, int]
    encoding: Encoding
    target: tuple[str, ...]
    hides: tuple[str, ...]
    service: str
    training: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.size) < STRIDE or any(side % STRIDE for side in self.size):
            raise ObfuscatorError(f"sides of images are multiples of {STRIDE}, unlike {_by(self.size)}")
        cards.freeze(self.network)

    def __call__(self, batch: Tensor) -> Tensor:
        """What the service gets of images, uint8 (N, 3, H, W), decoded: features (N, C, h, w), float32.

        An image's features are the same in any batch, on one machine with one number of threads.

        Raises:
            ValueError: for other images, and for images of another size.
        """
        return self.encoding.decode(self.send(batch))

    @torch.no_grad()  # not inference mode: attackers learn from what comes out
    def send(self, batch: Tensor) -> Tensor:
        """What is sent of images, uint8 (N, 3, H, W): (N, C, h, w) of the encoding's type, on their device.

        Raises:
            ValueError: as for a call.
            NoFiniteAnswer: where the network gives none for an image.
        """
        images.require_batch(batch, "a client takes")
        if tuple(batch.shape[2:]) != self.size:
            raise ValueError(f"{self.name} takes images of {_by(self.size)} pixels, not {_by(batch.shape[2:])}")
        self.network.to(batch.device)

        def send(part: Tensor) -> Tensor:
            return self.encoding.encode(require_finite(self.network(images.to_float(part)), self.name, "this image"))

        return _in_parts(send, batch)

    def features(self, batch: Tensor) -> Tensor:
        """Features of images in [0, 1], float (N, 3, H, W), before they are encoded; with gradients to the images."""
        return self.network.to(batch.device)(batch)  # type: ignore[no-any-return]

    @property
    def shape(self) -> Shape:
        """(C, h, w) of the features of an image."""
        return self.network.shape(self.size)

    @property
    def aspect(self) -> float | None:
        """Width by height of the photos that it expects (`framing`); None where its card does not say it."""
        return framing.aspect_of(self.training)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with what is sent of an image: with weights, size and encoding."""
        return cards.fingerprint(self.network, list(self.size), asdict(self.encoding))

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        own = {"kind": CLIENT, "size": list(self.size), "input": INPUT, "service": self.service}
        cards.write(file, self.network, _card(self) | own)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ObfuscatorError: in one line, for any other file.
        """
        with cards.reading(file):
            card, network = cards.read(file, CLIENT, Obfuscator)
            size = (card["size"][0], card["size"][1])
            client = cls(network=network, size=size, service=card["service"], **cards.common(card))
            cards.agree(card, client.fingerprint, client.shape)
            return client


@dataclass(frozen=True, eq=False, kw_only=True)
class Service:
    """A classifier of features, frozen, with what it knows of its client.

    Attributes:
        name: what reports call it.
        network: maps features to logits of ``target``.
        encoding: of what its client sends.
        target: names of the attributes that it tells.
        hides: names of the attributes that its client was trained to hide.
        client: fingerprint of the client whose features it reads.
        training, measured: of its card, for people.

    Raises:
        ObfuscatorError: where the network tells another number of attributes, and for weights that float16 cannot hold.
    """

    name: str
    network: FeatureClassifier
    encoding: Encoding
    target: tuple[str, ...]
    hides: tuple[str, ...]
    client: str
    training: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.network.options["labels"] != len(self.target):
            raise ObfuscatorError(f"a network for {self.network.options['labels']} labels, {len(self.target)} names")
        cards.freeze(self.network)

    def __call__(self, features: Tensor) -> Tensor:
        """Probabilities of the target attributes, (N, T), from features as decoded, float (N, C, h, w).

        Raises:
            ValueError: for features of another type or shape.
        """
        return self.logits(features).sigmoid()

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Logits of the target attributes, (N, T): 0 and more says yes. The same in any batch, as for a client.

        Raises:
            ValueError: as for a call.
        """
        if not features.is_floating_point() or tuple(features.shape[1:]) != self.shape or not len(features):
            raise ValueError(
                f"{self.name} takes features (N, {', '.join(map(str, self.shape))}), floats, not "
                f"{str(features.dtype).removeprefix('torch.')} {tuple(features.shape)}"
            )
        self.network.to(features.device)
        return _in_parts(lambda part: self.network(part.float()), features)

    @property
    def shape(self) -> Shape:
        """(C, h, w) of the features of an image."""
        channels, height, width = self.network.options["shape"]
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the weights, and with nothing else."""
        return cards.fingerprint(self.network)

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        cards.write(file, self.network, _card(self) | {"kind": SERVICE, "client": self.client})

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ObfuscatorError: in one line, for any other file.
        """
        with cards.reading(file):
            card, network = cards.read(file, SERVICE, FeatureClassifier)
            service = cls(network=network, client=card["client"], **cards.common(card))
            cards.agree(card, service.fingerprint, service.shape)
            return service


def pair(
    obfuscator: Obfuscator, classifier: FeatureClassifier, *, size: tuple[int, int], **both: Any
) -> tuple[Client, Service]:
    """A client and its service from two networks that were trained together; each knows the other's fingerprint.

    Args:
        size: (H, W) of the images.
        both: the attributes that they have in common: name, encoding, target, hides, training, measured.

    Raises:
        ObfuscatorError: as `Client` and `Service` do.
    """
    service = Service(network=classifier, client="", **both)
    client = Client(network=obfuscator, size=size, service=service.fingerprint, **both)
    return client, replace(service, client=client.fingerprint)


def load(file: Path) -> Client | Service:
    """The client or the service that a file holds.

    Raises:
        ObfuscatorError: in one line, where it holds neither.
    """
    return Client.load(file) if cards.kind_of(file) == CLIENT else Service.load(file)


def _card(one: Client | Service) -> Card:
    return {
        "name": one.name, "network": one.network.options, "shape": list(one.shape), "encoding": asdict(one.encoding),
        "target": list(one.target), "hides": list(one.hides), "fingerprint": one.fingerprint,
        "training": dict(one.training), "measured": dict(one.measured),
    }  # fmt: skip


def _by(size: Sequence[int]) -> str:
    return "×".join(map(str, size))


def _in_parts(call: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """``call`` of a batch, always of as many at once, filled up by the last one.

    A network sums in another order where it gets another number of images. On a CPU one at a time is as fast as many.
    """
    together = 1 if batch.device.type == "cpu" else _AT_ONCE
    parts = []
    for part in torch.split(batch, together):
        missing = together - len(part)
        filled = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part
        parts.append(call(filled)[: len(part)])
    return torch.cat(parts).contiguous()
