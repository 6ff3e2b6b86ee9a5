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

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from veil import images
from veil.attacks.images.attack import ImageAttack, padded
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from veil.attacks.images.training import Reconstruction
    from veil.images.forms import Form
    from veil.training.loop import Moment
    from veil.training.run import Run


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
    from veil.models.image_attackers import BlockGenerator, PixelGenerator
    from veil.models.unet import UNet

    if form == "blocks":
        return BlockGenerator()
    return PixelGenerator() if form == "pixels" else UNet(width)


def gan_attack(
    protected: Tensor, public: Tensor, *, form: Form, settings: GanAttackSettings, run: Run
) -> Reconstruction:
    """GA, from the last checkpoint in the run's folder on.

    Args:
        protected, public: uint8 images (N, 3, H, W), of one size, as many of each as there are.

    Raises:
        AttackFailed: where protected images are smaller than public ones.
        ValueError, TrainingError: as `training.train` does.
    """

    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        network = generator_of(form, settings.width)
        return network, torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=settings.betas)

    game = _Game(protected, public, start, run, rate=settings.learning_rate, betas=settings.betas)
    return game.train(settings.epochs, settings.batch_size, {"attack": "ga", "form": form, **asdict(settings)})


def unshared_weights(
    protected: Tensor, public: Tensor, *, form: Form, settings: UnsharedWeightSettings, run: Run
) -> Reconstruction:
    """UWA: weights for every pixel, or for every block of 4×4 where that is the scheme's form. As `gan_attack` else."""
    from veil.training.schedule import steps

    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        from veil.models.locally_connected import UnsharedPixels

        height, width = protected.shape[2:]
        network = UnsharedPixels(height, width, 4 if form == "blocks" else 1)
        return network, torch.optim.SGD(
            network.parameters(), lr=settings.learning_rate, momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )  # fmt: skip

    falling = steps(settings.falls, 0.1)
    pixels = protected.shape[2] * protected.shape[3]
    game = _Game(
        protected, public, start, run, rate=settings.discriminator_rate, betas=settings.betas,
        generator_rate=lambda progress: settings.learning_rate * falling(progress), weight=pixels,
    )  # fmt: skip
    return game.train(settings.epochs, settings.batch_size, {"attack": "uwa", "form": form, **asdict(settings)})


class _Game:
    """A generator and a discriminator that learn from each other.

    Args:
        start: makes the generator and its optimiser.
        rate, betas: of the discriminator's Adam.
        generator_rate: by how much of the training is done; None leaves it as it is.
        weight: of the generator's loss. Weights of one position get one pixel's share of its gradient.

    Raises:
        AttackFailed: where protected images are smaller than public ones.
    """

    def __init__(
        self,
        protected: Tensor,
        public: Tensor,
        start: Callable[[], tuple[nn.Module, torch.optim.Optimizer]],
        run: Run,
        *,
        rate: float,
        betas: tuple[float, float],
        generator_rate: Callable[[float], float] | None = None,
        weight: float = 1,
    ) -> None:
        from veil.models.image_attackers import AttackDiscriminator
        from veil.runtime.seeds import seed_of

        self.run, self.generator_rate, self.weight = run, generator_rate, weight
        torch.manual_seed(seed_of("weights", run.seed))
        self.generator, self.optimizer = start()
        self.discriminator = AttackDiscriminator()
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judge = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=betas)
        self.generate = run.runner.setup_module(self.generator)
        self.discriminate = run.runner.setup_module(self.discriminator)
        self.protected = protected.to(run.runner.device)
        self.public = padded(public, protected).to(run.runner.device)

    def train(self, epochs: int, batch_size: int, settings: dict[str, object]) -> Reconstruction:
        """Trains the generator.

        Args:
            settings: what the result depends on.
        """
        from veil.attacks.images import training
        from veil.training.checkpoints import Trained

        networks = {"generator": self.generator, "discriminator": self.discriminator}
        trained = Trained(networks, {"generator": self.optimizer, "judge": self.judge})
        return training.train(
            trained, self.step, self.generator, len(self.protected), self.run, epochs=epochs, batch_size=batch_size,
            settings=settings,
        )  # fmt: skip

    def step(self, index: Tensor, now: Moment) -> dict[str, Tensor]:
        """An update of the discriminator, then one of the generator."""
        from veil.training.schedule import set_rate

        runner = self.run.runner
        if self.generator_rate is not None:
            set_rate(self.optimizer, self.generator_rate(now.progress))
        drawn = torch.randint(len(self.public), (len(index),), generator=now.generator)
        given, real = (
            images.to_float(part[chosen.to(runner.device)]).contiguous(memory_format=torch.channels_last)
            for part, chosen in ((self.protected, index), (self.public, drawn))
        )
        self.discriminator.requires_grad_(True)
        generated = self.generate(given)
        judged = _cross_entropy(self.discriminate(real), real=True)
        judged = judged + _cross_entropy(self.discriminate(generated.detach()), real=False)
        runner.backward(judged)
        self.judge.step()
        self.judge.zero_grad()
        self.discriminator.requires_grad_(False)
        fooled = _cross_entropy(self.discriminate(generated), real=True)
        runner.backward(self.weight * fooled)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"discriminator": judged.detach() / 2, "generator": fooled.detach()}


def _cross_entropy(answers: Tensor, *, real: bool) -> Tensor:
    """Binary cross-entropy of a discriminator's answers, (N,), in float32."""
    return F.binary_cross_entropy_with_logits(answers.float(), torch.full_like(answers.float(), float(real)))


UNSHARED_WEIGHTS = ImageAttack(
    name="uwa",
    title="unshared weight attack (UWA)",
    knows="unpaired",
    attack=unshared_weights,
    takes_form=True,
    settings=UnsharedWeightSettings,
    scales={"smoke": {"epochs": 2, "batch_size": 12}, "cpu": {"epochs": 20}, "paper": {}},
)
GAN_ATTACK = ImageAttack(
    name="ga",
    title="GAN attack (GA)",
    knows="unpaired",
    attack=gan_attack,
    takes_form=True,
    settings=GanAttackSettings,
    scales={"smoke": {"epochs": 2, "batch_size": 12, "width": 8}, "cpu": {"epochs": 20, "width": 16}, "paper": {}},
)
