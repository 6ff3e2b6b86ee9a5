"""The transformation network by itself: one U-Net, no second network and no judges (Ito et al., "Image to perturbation:
An image transformation network for generating visually protected images for privacy-preserving deep neural networks",
IEEE Access 9, 2021), a later work of the laboratory of the GAN scheme.

What it minimises on a frozen classifier h_θ and features φ is

    L_c(h_θ(h_p(x)), y) − w · L_feat(φ(h_p(x)), φ(x)).

Threat model: that of `veil.protections.transformation.file`.

Deviations: preset ``paper`` is theirs (w = 0.01, stochastic gradient descent at 0.1). It has no bound; preset ``veil``
counts distances in units of different plain images, each up to a margin, crops and mirrors images as h_θ's training
did, and takes Adam, which is further after few epochs. There the way down begins as h_θ: what a network has to know to
be read by h_θ it need not learn anew. All images that go through it are plain, so that it has batch normalisation.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil import images, metrics
from veil.data.augmentation import crop_and_flip
from veil.models.classifier import Preprocessing
from veil.models.unet import UNet
from veil.models.vgg import VGG13
from veil.protections.transformation import fitting, losses
from veil.protections.transformation.fitting import Fitted, Material
from veil.protections.transformation.frozen_networks import Guide
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Trained
from veil.training.classification import one_cycle

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class UNetSettings:
    """Settings of the training. The defaults are the paper's, where it gives them.

    Attributes:
        epochs: passes over the images.
        batch_size: images of a step, over all devices.
        width: of the U-Net; with ``start``, of its way up alone.
        start: let the way down begin with h_θ's convolutions, which has to be a `VGG13`, and have its width.
        optimizer: ``sgd`` with momentum 0.9, or ``adam`` with (0.5, 0.999), whose rate rises and falls.
        learning_rate: of it, at its highest.
        weight: w, of the distance in features.
        padding: pixels by which images are shifted at most; 0 for none.
        flip: whether half of the images are mirrored.
        hiding: weight of `veil.metrics.visible`, ours; 0 in the paper.
        skips: of the U-Net, see `veil.models.unet.UNet`; 5 in the paper.
        margin: None is the paper's form; else the largest distance that counts, and distances are in units of different
            plain images.
    """

    epochs: int = field(default=200, metadata={"help": "Passes over the images."})
    batch_size: int = field(default=128, metadata={"help": "Images of a step, over all devices."})
    width: int = field(default=64, metadata={"help": "Channels of the U-Net at the full resolution."})
    start: bool = False
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = field(default=0.1, metadata={"help": "At its highest."})
    weight: float = 0.01
    margin: float | None = None
    padding: int = 0
    flip: bool = False
    hiding: float = 0.0
    skips: int = 5

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise ValueError("epochs and batch_size must be at least 1 and 2")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
        if self.padding < 0:
            raise ValueError(f"padding must not be negative, not {self.padding}")
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"margin must be positive, not {self.margin}")


def train(
    material: Material,
    guide: Guide,
    settings: UNetSettings,
    *,
    folder: Path,
    seed: int,
    runner: "Fabric",
    about: dict[str, object] | None = None,
    **reporting: Any,
) -> Fitted:
    """Trains h_p, from the last checkpoint in ``folder`` on; see `veil.protections.transformation.fitting.run`.

    Args:
        guide: h_θ and φ, on the runner's device.
        about: what else the result depends on.

    Raises:
        ValueError: where the network is to start with an h_θ that is no `VGG13`; and as `fitting.run` does.
        TrainingError: as `fitting.run` does.
    """
    torch.manual_seed(seed_of("weights", seed))
    network = _network(guide, settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rate = settings.learning_rate
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
        if settings.optimizer == "sgd"
        else torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999))
    )
    model, prepared = runner.setup(network, optimizer)
    plain, labels = material.plain.to(runner.device), material.labels.to(runner.device)

    def step(index: Tensor, now: loop.Moment) -> dict[str, Tensor]:
        for group in prepared.param_groups:
            group["lr"] = rate * (one_cycle(now.progress) if settings.optimizer == "adam" else 1)
        index = index.to(runner.device)
        seen = crop_and_flip(plain[index], now.generator, padding=settings.padding, flip=settings.flip)
        x, y = images.to_float(seen), labels[index]
        b = model(x)
        with runner.autocast():
            with torch.no_grad():
                shown = guide.features(x)
            features, logits = guide.both(b)
        distance = losses.feature(shown, features)
        if settings.margin is not None:
            distance = (distance / losses.unrelated(shown)).clamp_max(settings.margin)
        classification = F.cross_entropy(logits.float(), y)
        shows = metrics.visible(x, b).mean()
        runner.backward(classification - settings.weight * distance.mean() + settings.hiding * shows)
        prepared.step()
        prepared.zero_grad()
        return {
            "classification": classification.detach(), "perceptual": distance.mean().detach(),
            "visible": shows.detach(), "accuracy": logits.argmax(1).eq(y).float().mean(),
        }  # fmt: skip

    return fitting.run(
        Trained({"network": network}, {settings.optimizer: prepared.optimizer}), step, material, guide,
        network=network, epochs=settings.epochs, batch_size=settings.batch_size, folder=folder, seed=seed,
        runner=runner, settings=asdict(settings) | (about or {}), **reporting,
    )  # fmt: skip


def _network(guide: Guide, settings: UNetSettings) -> UNet:
    """A fresh one."""
    if not settings.start:
        return UNet(settings.width, settings.skips, norm="batch")
    trained = guide.classifier.network
    if not isinstance(trained, VGG13):
        raise ValueError(f"{guide.classifier.name} is no vgg13, which the way down could begin with")
    network = UNet(trained.width, settings.skips, up=settings.width, norm="batch")
    begin(network, trained, guide.classifier.preprocessing)
    return network


@torch.no_grad()
def begin(network: UNet, trained: VGG13, given: Preprocessing) -> None:
    """Copies the convolutions of ``trained``, and their normalisation, to the first five resolutions on the way down.

    ``network`` sees 2x - 1 where ``trained`` saw (x - mean) / std: the first convolution and its normalisation take
    that up. At the border the two differ, where zeros are other colours.
    """
    stages = [module for module in trained.layers if not isinstance(module, nn.MaxPool2d)]
    layers = [module for convolutions in network.down for module in convolutions]  # type: ignore[attr-defined]
    for target, source in zip(layers, stages, strict=False):
        target.load_state_dict(source.state_dict())
    first, norm = layers[0], layers[1]
    std = first.weight.new_tensor(given.std).view(1, 3, 1, 1)
    mean = first.weight.new_tensor(given.mean).view(1, 3, 1, 1)
    norm.running_mean -= (first.weight * (0.5 - mean) / std).sum((1, 2, 3))
    first.weight /= 2 * std
