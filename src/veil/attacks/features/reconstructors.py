"""Attackers that draw images from features (Li et al. 2019, DeepObfuscator, sections 3.4 and 4.4, Tables 1 and 2).

What the attacker knows: features as they are sent and decoded, of images of other people than those who are attacked,
and these images: whoever has the obfuscator, which is on every phone, gets as many as they have images. The mirror
knows the obfuscator's layers besides, but not its weights.

Deviations: the paper's loss is 1 − MS-SSIM, which leaves brightness and colour nearly free; the default adds the mean
absolute error. Features are standardised by the attacker's own, reconstructions start from the mean of the attacker's
own images (``prior``), and the epoch that is best on the attacker's validation part is kept. MS-SSIM in the loss is
`veil.metrics.structural`, that of reports is another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from veil.attacks.errors import require_finite
from veil.attacks.features.attackers import KnownImages, Reconstructor, TrainedAttack, shape_of
from veil.runtime.lazy import torch
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from veil.models.features import Shape
    from veil.training.run import Run

KNOWS = "features of other people's photos, and these photos"
_PIXELS_AT_ONCE = 1 << 18
_GREY = 0.5


def _structure(drawn: Tensor, plain: Tensor) -> Tensor:
    from veil.metrics.structural import ms_ssim

    return 1 - ms_ssim(plain, drawn)


def _absolute(drawn: Tensor, plain: Tensor) -> Tensor:
    return (drawn - plain).abs().mean((1, 2, 3))


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
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
    loss: str = "both"
    prior: bool = True
    patience: int = 10

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"there is no loss {self.loss!r}; there are {', '.join(LOSSES)}")


Build = Callable[["Shape", "tuple[int, int]", float], "nn.Module"]
"""Makes a network from the features' shape, the images' size and the width."""


def fit(
    build: Build, name: str, own: KnownImages, validation: KnownImages, settings: ReconstructorSettings, run: Run
) -> TrainedAttack:
    """Trains the network that ``build`` makes, on images with sides of at least 11, for MS-SSIM.

    Args:
        name: of the reconstructor; a checkpoint of another one is refused.
    """
    from veil import images
    from veil.attacks.features import training

    size = (own.images.shape[2], own.images.shape[3])
    torch.manual_seed(seed_of("weights", run.seed))
    network = _network(build, own, size, settings)
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
    model, device, loss_of = run.runner.setup_module(network), run.runner.device, LOSSES[settings.loss]

    def losses(features: Tensor, plain: Tensor) -> Tensor:
        given, wanted = (part.to(device) for part in (features, images.to_float(plain)))
        return loss_of(model(given.float().contiguous(memory_format=torch.channels_last)).float(), wanted)

    def update(index: Tensor) -> Tensor:
        loss = losses(own.features[index.to(own.features.device)], own.images[index.to(own.images.device)]).mean()
        run.runner.backward(loss)
        return loss

    def judge() -> float:
        parts = zip(*(torch.split(known, _at_once(size)) for known in (validation.features, validation.images)),
                    strict=True)  # fmt: skip
        with torch.inference_mode():
            return -float(torch.cat([losses(*part) for part in parts]).mean())

    described = {"attack": "reconstruction", "reconstructor": name, **asdict(settings)}
    best = training.train(training.Learner(network, optimizer, update, judge), len(own.features), settings, described,
                          run)  # fmt: skip
    return TrainedAttack(partial(_drawn, best.network, size, device), best.log, best.best_epoch)


def _drawn(network: nn.Module, size: tuple[int, int], device: torch.device, features: Tensor) -> Tensor:
    """What a network draws of features, uint8 (N, 3, H, W), a part at a time."""
    from veil.images import quantise

    with torch.inference_mode():
        drawn = (network(part.to(device).float()) for part in torch.split(features, _at_once(size)))
        return torch.cat([quantise(require_finite(part).clamp(0, 1)).to(features.device) for part in drawn])


def _network(build: Build, own: KnownImages, size: tuple[int, int], settings: ReconstructorSettings) -> nn.Module:
    from veil.attacks.features import training
    from veil.metrics.recovery import mean_image
    from veil.models.feature_attackers import FromMean, Standardised

    drawn = build(shape_of(own.features), size, settings.width)
    start = mean_image(own.images) / 255 if settings.prior else torch.full((3, *size), _GREY)
    network = Standardised(FromMean(drawn, start), *training.moments(own.features, places=False))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _at_once(size: tuple[int, int]) -> int:
    return max(1, _PIXELS_AT_ONCE // (size[0] * size[1]))


def _mirror(shape: Shape, size: tuple[int, int], width: float) -> nn.Module:
    from veil.models.feature_attackers import channels_of
    from veil.models.obfuscator import MirrorReconstructor

    return MirrorReconstructor(shape, size, channels_of(64, width), sigmoid=False)


def _urec(depth: int, shape: Shape, size: tuple[int, int], width: float) -> nn.Module:
    from veil.models.feature_attackers import URec

    return URec(shape, size, depth, width)


def _resrec(shape: Shape, size: tuple[int, int], width: float) -> nn.Module:
    from veil.models.feature_attackers import ResRec

    return ResRec(shape, size, width)


_SCALES: dict[Scale, dict[str, Any]] = {
    "smoke": {"epochs": 2, "batch_size": 16, "width": 1 / 8},
    "cpu": {"epochs": 5, "width": 0.5},
    "paper": {},
}
_WIDE: dict[Scale, dict[str, Any]] = {**_SCALES, "cpu": {"epochs": 5, "width": 0.25}}

MIRROR = Reconstructor(
    name="mirror", title="mirror (the paper's AR)", knows=f"{KNOWS}; the obfuscator's layers, not its weights",
    settings=ReconstructorSettings(), scales=_SCALES, fit=partial(fit, _mirror, "mirror"),
)  # fmt: skip
UREC1 = Reconstructor(
    name="urec1", title="URec#1", knows=KNOWS, settings=ReconstructorSettings(), scales=_WIDE,
    fit=partial(fit, partial(_urec, 3), "urec1"), default_at=("cpu", "paper"),
)  # fmt: skip
UREC2 = Reconstructor(
    name="urec2", title="URec#2", knows=KNOWS, settings=ReconstructorSettings(), scales=_WIDE,
    fit=partial(fit, partial(_urec, 2), "urec2"), default_at=("cpu", "paper"),
)  # fmt: skip
RESREC = Reconstructor(
    name="resrec", title="ResRec", knows=KNOWS, settings=ReconstructorSettings(), scales=_SCALES,
    fit=partial(fit, _resrec, "resrec"), default_at=("cpu", "paper"),
)  # fmt: skip
