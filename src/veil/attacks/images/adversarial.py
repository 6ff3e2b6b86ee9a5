"""Attacks that learn without pairs: a generator whose images a discriminator cannot tell from plain ones (Madono et al.
2019, "An adversarial attack to learnable encrypted images"; Sirichotedumrong and Kiya 2020, section II-B, Figure 2).

What the attacker knows: protected images of others, and plain images of their own, which are others. The generator
takes a protected image to one of the same size; the discriminator is shown these and the attacker's own. Nothing says
which plain image belongs to which protected one.

`gan_attack` is GA: generators by the form of the scheme. `unshared_weights` is UWA (Sirichotedumrong, Kinoshita and
Kiya, GCCE 2019): a generator with weights of its own for every pixel.

Deviations: the papers' code is not public. The sizes of GA's networks are those of the laboratory's Figures 3 and 4 as
`veil.models.image_attackers` reads them. Of UWA it is said that weights are not shared, and how it is trained, but not
on what: with pairs it would be a least-squares problem (`veil.attacks.images.pixel_affine`), and the low SSIM that the
paper has for it speaks against that; so here the same discriminator teaches it. The discriminator learns by Adam in
both.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil import images
from veil.attacks.images import training
from veil.attacks.images.attack import Form, padded
from veil.attacks.images.training import Reconstruction
from veil.models.image_attackers import AttackDiscriminator, BlockGenerator, PixelGenerator
from veil.models.locally_connected import UnsharedPixels
from veil.models.unet import UNet
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Trained

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class GanAttackSettings:
    """Settings of GA. The defaults are the paper's.

    Attributes:
        epochs: passes over the protected images.
        batch_size: images of a step.
        learning_rate, betas: of Adam, for both networks.
        width: of the U-Net, which is the generator where nothing is known of the scheme.
    """

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    width: int = 64


@dataclass(frozen=True, kw_only=True)
class UnsharedWeightSettings:
    """Settings of UWA. The defaults are the paper's.

    Attributes:
        epochs: passes over the protected images.
        batch_size: images of a step.
        learning_rate, momentum, weight_decay: of the generator's gradient descent.
        falls: after which shares of the training its rate is divided by ten: 40 and 60 of 70 epochs.
        discriminator_rate, betas: of the discriminator's Adam.
    """

    epochs: int = 70
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    falls: tuple[float, ...] = (40 / 70, 60 / 70)
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


def generator_of(form: Form, width: int) -> nn.Module:
    """GA's generator for a form of scheme: Figure 4 (a), 4 (b), or a U-Net of that width."""
    if form == "blocks":
        return BlockGenerator()
    return PixelGenerator() if form == "pixels" else UNet(width)


def gan_attack(
    protected: Tensor, public: Tensor, settings: GanAttackSettings, *, form: Form, **training_of: Any
) -> Reconstruction:
    """GA. Takes uint8 images (N, 3, H, W), of one size, as many of each as there are; see `_train` for the rest."""

    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        network = generator_of(form, settings.width)
        return network, torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=settings.betas)

    return _train(
        protected, public, start, settings.learning_rate, settings.betas, settings.epochs, settings.batch_size,
        {"attack": "ga", "form": form, **asdict(settings)}, **training_of,
    )  # fmt: skip


def unshared_weights(
    protected: Tensor, public: Tensor, settings: UnsharedWeightSettings, *, form: Form, **training_of: Any
) -> Reconstruction:
    """UWA: weights for every pixel, or for every block of 4×4 where that is the scheme's form. As `gan_attack` else."""

    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        height, width = protected.shape[2:]
        network = UnsharedPixels(height, width, 4 if form == "blocks" else 1)
        return network, torch.optim.SGD(
            network.parameters(), lr=settings.learning_rate, momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )  # fmt: skip

    def rate(progress: float) -> float:
        return settings.learning_rate * 0.1 ** sum(progress >= fall for fall in settings.falls)

    return _train(
        protected, public, start, settings.discriminator_rate, settings.betas, settings.epochs, settings.batch_size,
        {"attack": "uwa", "form": form, **asdict(settings)}, rate=rate, weight=protected.shape[2] * protected.shape[3],
        **training_of,
    )  # fmt: skip


def _train(
    protected: Tensor,
    public: Tensor,
    start: Callable[[], tuple[nn.Module, torch.optim.Optimizer]],
    discriminator_rate: float,
    betas: tuple[float, float],
    epochs: int,
    batch_size: int,
    described: dict[str, object],
    *,
    folder: Path,
    seed: int,
    runner: "Fabric",
    rate: Callable[[float], float] | None = None,
    weight: float = 1,
    **reporting: Any,
) -> Reconstruction:
    """Trains a generator from the last checkpoint in ``folder`` on.

    Args:
        start: makes the generator and its optimiser.
        described: what the result depends on.
        rate: of the generator, by how much of the training is done; None leaves it as it is.
        weight: of the generator's loss. Weights of one position get one pixel's share of its gradient.

    Raises:
        AttackFailed: where protected images are smaller than public ones.
        ValueError, TrainingError: as `training.run` does.
    """
    torch.manual_seed(seed_of("weights", seed))
    generator, optimizer = start()
    discriminator = AttackDiscriminator()
    for each in (generator, discriminator):
        each.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    judge = torch.optim.Adam(discriminator.parameters(), lr=discriminator_rate, betas=betas)
    made_by, judged_by = runner.setup_module(generator), runner.setup_module(discriminator)
    hidden, own = (each.to(runner.device) for each in (protected, padded(public, protected)))

    def step(index: Tensor, now: loop.Moment) -> dict[str, Tensor]:
        if rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = rate(now.progress)
        drawn = torch.randint(len(own), (len(index),), generator=now.generator)
        given, real = (
            images.to_float(each[chosen.to(runner.device)]).contiguous(memory_format=torch.channels_last)
            for each, chosen in ((hidden, index), (own, drawn))
        )
        discriminator.requires_grad_(True)
        made = made_by(given)
        told = _told(judged_by(real), real=True) + _told(judged_by(made.detach()), real=False)
        runner.backward(told)
        judge.step()
        judge.zero_grad()
        discriminator.requires_grad_(False)
        fooled = _told(judged_by(made), real=True)
        runner.backward(weight * fooled)
        optimizer.step()
        optimizer.zero_grad()
        return {"discriminator": told.detach() / 2, "generator": fooled.detach()}

    return training.run(
        Trained({"generator": generator, "discriminator": discriminator}, {"generator": optimizer, "judge": judge}),
        step, generator, len(protected), epochs=epochs, batch_size=batch_size, folder=folder, seed=seed, runner=runner,
        settings=described, **reporting,
    )  # fmt: skip


def _told(answers: Tensor, *, real: bool) -> Tensor:
    """Binary cross-entropy of a discriminator's answers, (N,), in float32."""
    return F.binary_cross_entropy_with_logits(answers.float(), torch.full_like(answers.float(), float(real)))
