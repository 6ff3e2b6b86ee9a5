"""Attackers that draw images from features (Li et al. 2019, DeepObfuscator, sections 3.4 and 4.4, Tables 1 and 2).

What the attacker knows: features as they are sent and decoded, of images of other people than those who are attacked,
and these images: whoever has the obfuscator, which is on every phone, gets as many as they have images. The mirror
knows the obfuscator's layers besides, but not its weights.

Deviations: the paper's loss is 1 − MS-SSIM, which leaves brightness and colour nearly free; the default adds the mean
absolute error. Features are standardised by the attacker's own, reconstructions start from the mean of the attacker's
own images (``prior``), and the epoch that is best on the attacker's validation part is kept. MS-SSIM in the loss is
`veil.metrics.structural`, that of reports is another.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from veil import images
from veil.attacks.features import training
from veil.metrics.recovery import mean_image
from veil.metrics.structural import ms_ssim
from veil.models.feature_attackers import FromMean, ResRec, Standardised, URec, channels_of
from veil.models.obfuscator import MirrorReconstructor, Shape
from veil.runtime.seeds import seed_of
from veil.training.checkpoints import Row

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Loss = Literal["both", "ms-ssim", "l1"]
_PIXELS_AT_ONCE = 1 << 18
_GREY = 0.5


def _structure(drawn: Tensor, plain: Tensor) -> Tensor:
    return 1 - ms_ssim(plain, drawn)


def _absolute(drawn: Tensor, plain: Tensor) -> Tensor:
    return (drawn - plain).abs().mean((1, 2, 3))


LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "both": lambda drawn, plain: _structure(drawn, plain) + _absolute(drawn, plain),
    "ms-ssim": _structure,
    "l1": _absolute,
}
"""Of each pair of images in [0, 1], (N, 3, H, W): (N,). ``ms-ssim`` is the paper's equation (6)."""


@dataclass(frozen=True, kw_only=True)
class ReconstructorSettings:
    """Settings of a training.

    Attributes:
        epochs: passes over the attacker's features.
        batch_size: features of a step.
        learning_rate: of Adam, at its highest.
        width: of all layers, as a share of the paper's.
        loss: a key of `LOSSES`.
        prior: whether reconstructions start from the mean of the attacker's images, or from grey as in the paper.
        patience: the training ends when so many epochs in turn have brought nothing better.
    """

    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 1e-3
    width: float = 1.0
    loss: Loss = "both"
    prior: bool = True
    patience: int = 10

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"there is no loss {self.loss!r}; there are {', '.join(LOSSES)}")


@dataclass(frozen=True, eq=False)
class FeatureReconstruction:
    """Maps features (N, C, h, w) to the images that the attacker draws, uint8 (N, 3, H, W).

    Attributes:
        network: maps features to images in [0, 1], in evaluation mode.
        size: (H, W).
        log: of its training; ``validation`` is the loss on the attacker's validation part, below zero.
        best_epoch: the one that was kept.
    """

    network: nn.Module
    size: tuple[int, int]
    log: list[Row]
    best_epoch: int

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        parts = torch.split(features, _at_once(self.size))
        return torch.cat([
            images.quantise(self.network(part.to(device).float()).clamp(0, 1)).to(features.device) for part in parts
        ])  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReconstructorRow:
    """A reconstructor, for the audit.

    Attributes:
        title: as tables name it.
        build: makes the network from the features' shape, the images' size and the width.
        settings: at the scale ``paper``.
        scales: changes to the settings by scale: ``smoke``, ``cpu``, ``paper``.
    """

    title: str
    build: Callable[[Shape, tuple[int, int], float], nn.Module]
    settings: ReconstructorSettings = field(default_factory=ReconstructorSettings)
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def train(
    features: Tensor,
    plain: Tensor,
    validation: tuple[Tensor, Tensor],
    reconstructor: str,
    settings: ReconstructorSettings,
    *,
    folder: Path,
    seed: int,
    runner: "Fabric",
    **training_of: Any,
) -> FeatureReconstruction:
    """Trains a reconstructor from the last checkpoint in ``folder`` on.

    Args:
        features: floats (N, C, h, w), of any precision.
        plain: the images that they are of, uint8 (N, 3, H, W), with sides of at least 11 for MS-SSIM.
        validation: both of other people, for the choice of the epoch.
        reconstructor: a key of `RECONSTRUCTORS`.
        training_of: ``about`` (what the features are), and what `loop.run` reports to.

    Raises:
        ValueError: for another reconstructor, features or images; as `loop.run` does.
        TrainingError: as `loop.run` does.
    """
    if reconstructor not in RECONSTRUCTORS:
        raise ValueError(f"there is no reconstructor {reconstructor!r}; there are {', '.join(RECONSTRUCTORS)}")
    _check(features, plain, validation)
    size = (plain.shape[2], plain.shape[3])
    torch.manual_seed(seed_of("weights", seed))
    network = _network(features, plain, size, RECONSTRUCTORS[reconstructor], settings)
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
    model, loss_of = runner.setup_module(network), LOSSES[settings.loss]

    def losses(part: Tensor, shown: Tensor) -> Tensor:
        given, wanted = (each.to(runner.device) for each in (part, images.to_float(shown)))
        return loss_of(model(given.float().contiguous(memory_format=torch.channels_last)).float(), wanted)

    def update(index: Tensor) -> Tensor:
        loss = losses(features[index.to(features.device)], plain[index.to(plain.device)]).mean()
        runner.backward(loss)
        return loss

    @torch.inference_mode()
    def judge() -> float:
        parts = zip(*(torch.split(each, _at_once(size)) for each in validation), strict=True)
        return -float(torch.cat([losses(*part) for part in parts]).mean())

    kept = training.run(
        network, optimizer, update, judge, len(features), epochs=settings.epochs, batch_size=settings.batch_size,
        learning_rate=settings.learning_rate, patience=settings.patience, folder=folder, seed=seed, runner=runner,
        settings={"attack": "reconstruction", "reconstructor": reconstructor, **asdict(settings)}, **training_of,
    )  # fmt: skip
    return FeatureReconstruction(kept.network, size, kept.log, kept.best_epoch)


def _network(
    features: Tensor, plain: Tensor, size: tuple[int, int], row: ReconstructorRow, settings: ReconstructorSettings
) -> nn.Module:
    drawn = row.build(training.shape_of(features), size, settings.width)
    start = mean_image(plain) / 255 if settings.prior else torch.full((3, *size), _GREY)
    moments = training.moments(features, places=False)
    network = Standardised(FromMean(drawn, start), *moments)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _check(features: Tensor, plain: Tensor, validation: tuple[Tensor, Tensor]) -> None:
    training.require_alike(features, validation[0])
    for each, shown in ((features, plain), validation):
        images.require_batch(shown, "reconstructors are trained with")
        if len(each) != len(shown):
            raise ValueError(f"{len(each)} features and {len(shown)} images are not pairs")
    if plain.shape[1:] != validation[1].shape[1:]:
        raise ValueError(f"images of validation are {tuple(validation[1].shape[1:])}, unlike {tuple(plain.shape[1:])}")


def _at_once(size: tuple[int, int]) -> int:
    return max(1, _PIXELS_AT_ONCE // (size[0] * size[1]))


def _mirror(shape: Shape, size: tuple[int, int], width: float) -> nn.Module:
    return MirrorReconstructor(shape, size, channels_of(64, width), sigmoid=False)


_SCALES: dict[str, dict[str, Any]] = {
    "smoke": {"epochs": 2, "batch_size": 16, "width": 1 / 8},
    "cpu": {"epochs": 5, "width": 0.5},
    "paper": {},
}
_WIDE: dict[str, dict[str, Any]] = {**_SCALES, "cpu": {"epochs": 5, "width": 0.25}}

RECONSTRUCTORS: dict[str, ReconstructorRow] = {
    "mirror": ReconstructorRow(title="mirror (the paper's AR)", build=_mirror, scales=_SCALES),
    "urec1": ReconstructorRow(
        title="URec#1", build=lambda shape, size, width: URec(shape, size, 3, width), scales=_WIDE
    ),
    "urec2": ReconstructorRow(
        title="URec#2", build=lambda shape, size, width: URec(shape, size, 2, width), scales=_WIDE
    ),
    "resrec": ReconstructorRow(title="ResRec", build=ResRec, scales=_SCALES),
}
