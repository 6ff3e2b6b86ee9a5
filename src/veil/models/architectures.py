"""Networks by name: ``veil/<name>`` in a model card, and the values of `veil train --network`.

A row says where its network lies, which is imported when one is built, and which options a card may set
(`veil.models.options`).

`ADAPTATIONS` are networks in front of a classifier that prepare encrypted images for its convolutions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from veil.models.options import MOST_CLASSES, Option, check, row_of, whole, wholes
from veil.runtime.tables import Table

if TYPE_CHECKING:
    from torch import nn


def imported(path: str) -> Any:
    """The object at ``module:object``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """A row of `ADAPTATIONS`.

    Attributes:
        network: ``module:object`` of a callable that makes the network (images (N, 3, H, W) to (N, ``outputs``, H, W),
            with an attribute ``outputs``).
    """

    name: str
    title: str
    network: str

    def create(self) -> nn.Module:
        """A new, untrained one."""
        network: nn.Module = imported(self.network)()
        return network


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A row of `ARCHITECTURES`.

    Attributes:
        name: a card says ``veil/<name>``.
        title: what it is, in a few words.
        network: ``module:object`` of the network's class, or the class: maps normalised images (N, ``channels``, H, W)
            to logits (N, num_classes).
        options: of the constructor, those that can be set; ``num_classes`` is always one of them.
        channels: of its images, 3 or 1.
        side: of its images, in pixels; None takes any side of at least 32.
    """

    name: str
    title: str
    network: str | Callable[..., nn.Module]
    options: Mapping[str, Option]
    channels: int = 3
    side: int | None = None

    def build(self, options: Mapping[str, Any]) -> nn.Module:
        """An untrained network. An option that is None is left out.

        Raises:
            OptionRefused: for an option or a value that cannot be set.
        """
        chosen = {name: value for name, value in options.items() if value is not None}
        check(chosen, self.options)
        network = imported(self.network) if isinstance(self.network, str) else self.network
        built: nn.Module = network(**chosen)
        return built


def _adapted(typed: str, network: object) -> Architecture:
    """The row for a network's class, typed as ``module:Class``."""
    if not isinstance(network, type) or "num_classes" not in inspect.signature(network).parameters:
        raise TypeError("expected an Architecture, or a network's class that takes num_classes")
    return Architecture(name=typed, title=network.__name__, network=network, options={"num_classes": CLASSES})


ADAPTATIONS = Table(
    "veil.adaptations",
    Adaptation,
    "adaptation",
    {
        "block": "veil.models.architectures:BLOCK",
        "pixel": "veil.models.architectures:PIXEL",
        "pixel-random": "veil.models.architectures:PIXEL_RANDOM",
    },
)
ARCHITECTURES = Table(
    "veil.architectures",
    Architecture,
    "architecture",
    {
        "resnet18": "veil.models.architectures:RESNET18",
        "vgg13": "veil.models.architectures:VGG13",
        "residual": "veil.models.architectures:RESIDUAL",
        "mnist-cnn": "veil.models.architectures:MNIST_CNN",
    },
    adapt=_adapted,
)

CLASSES, WIDTH = whole(MOST_CLASSES), whole(1024)
BLOCK = Adaptation(
    name="block", title="reads each block of 4×4 pixels as a whole", network="veil.models.adaptation:BlockAdaptation"
)
PIXEL = Adaptation(
    name="pixel", title="two 1×1 convolutions, begun at what pixel-based ciphers leave as it was",
    network="veil.models.adaptation:PixelAdaptation",
)  # fmt: skip
PIXEL_RANDOM = Adaptation(
    name="pixel-random", title="two 1×1 convolutions, begun at random", network="veil.models.adaptation:random_pixel"
)
RESNET18 = Architecture(
    name="resnet18", title="ResNet-18 in its form for small images", network="veil.models.residual:ResNet18",
    options={"num_classes": CLASSES, "width": WIDTH, "adaptation": row_of(ADAPTATIONS)},
)  # fmt: skip
VGG13 = Architecture(
    name="vgg13", title="VGG-13 with batch normalisation, for small images", network="veil.models.vgg:VGG13",
    options={"num_classes": CLASSES, "width": WIDTH, "adaptation": row_of(ADAPTATIONS)},
)  # fmt: skip
RESIDUAL = Architecture(
    name="residual", title="a small ResNet-D, as the packaged things100", network="veil.models.residual:ResidualNet",
    options={"num_classes": CLASSES, "stem": WIDTH, "widths": wholes(4096, 16), "depths": wholes(64, 16)},
)  # fmt: skip
MNIST_CNN = Architecture(
    name="mnist-cnn", title="two convolutions for digits (Liu et al. 2019)", network="veil.models.mnist_cnn:MnistCnn",
    options={"num_classes": CLASSES}, channels=1, side=28,
)  # fmt: skip
