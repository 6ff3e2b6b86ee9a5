"""The transformation network by itself: one U-Net, no second network and no judges (Ito et al., "Image to perturbation:
An image transformation network for generating visually protected images for privacy-preserving deep neural networks",
IEEE Access 9, 2021), a later work of the laboratory of the GAN scheme.

What it minimises on a frozen classifier h_θ and features φ is

    L_c(h_θ(h_p(x)), y) − w · L_feat(φ(h_p(x)), φ(x)).

Threat model: that of `veil.protections.transformation.file`.

Deviations: preset ``paper`` is theirs (w = 0.01, stochastic gradient descent at 0.1). It has no bound; preset ``veil``
counts distances in units of different plain images, each up to a margin, crops and mirrors images as h_θ's training
did, and uses Adam, which gets further in few epochs. Its encoder starts with the weights of h_θ, so that it need not
learn anew which features h_θ reads. All its inputs are plain images, so it can use batch normalisation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from veil.protections.transformation.method import TransformationMethod
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch
from veil.training import optimizers

if TYPE_CHECKING:
    from torch import Tensor

    from veil.models.classifier import Preprocessing
    from veil.models.unet import UNet
    from veil.models.vgg import VGG13
    from veil.protections.transformation.fitting import TrainedNetworks, TrainingImages
    from veil.protections.transformation.frozen_networks import FrozenNetworks
    from veil.training.loop import Moment
    from veil.training.run import Run


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
        hiding: weight of `veil.metrics.visibility`, ours; 0 in the paper.
        skips: of the U-Net, see `veil.models.unet.UNet`; 5 in the paper.
        margin: None is the paper's form; else the largest distance that counts, and distances are in units of different
            plain images.
    """

    epochs: int = field(default=200, metadata={"help": "Passes over the images."})
    batch_size: int = field(default=128, metadata={"help": "Images of a step, over all devices."})
    width: int = field(default=64, metadata={"help": "Channels of the U-Net at the full resolution."})
    start: bool = False
    optimizer: optimizers.Kind = "sgd"
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


def train(images: TrainingImages, frozen: FrozenNetworks, settings: UNetSettings, run: Run) -> TrainedNetworks:
    """Trains h_p, from the last checkpoint in the run's folder on.

    Args:
        frozen: h_θ and φ, on the runner's device.

    Raises:
        ValueError: where the network is to start with an h_θ that is no `VGG13`; and as `fitting.train` does.
        TrainingError: as `fitting.train` does.
    """
    from veil.protections.transformation import fitting
    from veil.runtime.seeds import seed_of
    from veil.training.checkpoints import Trained

    torch.manual_seed(seed_of("weights", run.seed))
    network = _network(frozen, settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    step = _Step(network, frozen, settings, images.plain, images.labels, run)
    return fitting.train(
        Trained({"network": network}, {settings.optimizer: step.optimizer.optimizer}), step, images, frozen, run,
        network=network, epochs=settings.epochs, batch_size=settings.batch_size, settings=asdict(settings),
    )  # fmt: skip


class _Step:
    """One update of the network."""

    def __init__(
        self, network: UNet, frozen: FrozenNetworks, settings: UNetSettings, plain: Tensor, labels: Tensor, run: Run
    ) -> None:
        self.frozen, self.settings, self.runner = frozen, settings, run.runner
        optimizer = optimizers.optimizer(
            settings.optimizer, network.parameters(), settings.learning_rate, betas=(0.5, 0.999)
        )
        self.network, self.optimizer = run.runner.setup(network, optimizer)
        self.plain, self.labels = plain.to(run.runner.device), labels.to(run.runner.device)

    def __call__(self, index: Tensor, now: Moment) -> dict[str, Tensor]:
        from veil.training.schedule import constant, one_cycle, set_rate

        settings = self.settings
        schedule = one_cycle if settings.optimizer == "adam" else constant
        set_rate(self.optimizer, settings.learning_rate * schedule(now.progress))
        values = self._losses(index.to(self.runner.device), now.generator)
        self.runner.backward(
            values["classification"] - settings.weight * values["perceptual"] + settings.hiding * values["visible"]
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: value.detach() for name, value in values.items()}

    def _losses(self, index: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What is minimised, and how often h_θ is right."""
        from veil import images, metrics
        from veil.data.augmentation import crop_and_flip
        from veil.protections.transformation import losses

        settings = self.settings
        cropped = crop_and_flip(self.plain[index], generator, padding=settings.padding, flip=settings.flip)
        x, y = images.to_float(cropped), self.labels[index]
        b = self.network(x)
        with self.runner.autocast():
            with torch.no_grad():
                of_plain = self.frozen.features(x)
            features, logits = self.frozen.both(b)
        distance = losses.feature(of_plain, features)
        if settings.margin is not None:
            distance = (distance / losses.unrelated(of_plain)).clamp_max(settings.margin)
        return {
            "classification": F.cross_entropy(logits.float(), y), "perceptual": distance.mean(),
            "visible": metrics.visible(x, b).mean(), "accuracy": logits.argmax(1).eq(y).float().mean(),
        }  # fmt: skip


def _network(frozen: FrozenNetworks, settings: UNetSettings) -> UNet:
    """A fresh one."""
    from veil.models.unet import UNet
    from veil.models.vgg import VGG13

    if not settings.start:
        return UNet(settings.width, settings.skips, norm="batch")
    trained = frozen.classifier.network
    if not isinstance(trained, VGG13):
        raise ValueError(f"{frozen.classifier.name} is no vgg13, which the way down could begin with")
    network = UNet(trained.width, settings.skips, up=settings.width, norm="batch")
    begin(network, trained, frozen.classifier.preprocessing)
    return network


def begin(network: UNet, trained: VGG13, given: Preprocessing) -> None:
    """Copies the convolutions of ``trained``, and their normalisation, to the first five resolutions on the way down.

    ``network`` sees 2x - 1 where ``trained`` saw (x - mean) / std: the first convolution and its normalisation take
    that up. At the border the two differ, where zeros are other colours.
    """
    stages = [module for module in trained.layers if not isinstance(module, torch.nn.MaxPool2d)]
    layers = [module for convolutions in network.down for module in convolutions]  # type: ignore[attr-defined]
    for target, source in zip(layers, stages, strict=False):
        target.load_state_dict(source.state_dict())
    first, norm = layers[0], layers[1]
    with torch.no_grad():
        std = first.weight.new_tensor(given.std).view(1, 3, 1, 1)
        mean = first.weight.new_tensor(given.mean).view(1, 3, 1, 1)
        norm.running_mean -= (first.weight * (0.5 - mean) / std).sum((1, 2, 3))
        first.weight /= 2 * std


METHOD = TransformationMethod(
    name="unet",
    title="one U-Net against a frozen classifier (Ito et al. 2021)",
    train=train,
    settings=UNetSettings,
    presets={
        "paper": UNetSettings(),
        "veil": UNetSettings(
            batch_size=64,
            optimizer="adam",
            learning_rate=2e-3,
            weight=0.1,
            margin=2.0,
            padding=4,
            flip=True,
            hiding=1.0,
            skips=2,
            start=True,
        ),
    },
    scales={
        "smoke": {"epochs": 2, "width": 8, "batch_size": 20},
        "cpu": {"epochs": 12, "width": 16},
        "paper": {},
    },
)
