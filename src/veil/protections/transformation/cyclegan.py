"""The transformation network as one half of a CycleGAN (Sirichotedumrong and Kiya 2020, section III-C).

G_AB takes plain images x to protected ones and is h_p in the end; G_BA takes preliminary protected images x_p
(`veil.protections.transformation.preliminary`) to plain-looking ones; F_A and F_B judge their images. Equations (4) to
(9) are in `veil.protections.transformation.losses`.

Threat model: that of `veil.protections.transformation.file`. G_BA is trained to undo G_AB: an attacker who gets
it can restore the images, so it never leaves the training's checkpoint.

Deviations: with γ1 = -1 the perceptual loss is maximised without a bound (preset ``paper``); preset ``veil`` stops at
a margin. The paper gives no batch size. x and x_p of a step belong together, since equation (8) has one label for
both; the discriminators do not see that.

Why it is fast: each network runs once for what several losses need. φ and h_θ share their first layers and take
a and b in one batch, φ(x) needs no gradient, and the discriminators' weights get none while the generators learn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from veil.protections.transformation.method import TransformationMethod
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from veil.protections.transformation.fitting import TrainedNetworks, TrainingImages
    from veil.protections.transformation.frozen_networks import FrozenNetworks
    from veil.training.loop import Moment
    from veil.training.run import Run


@dataclass(frozen=True, kw_only=True)
class CycleGanSettings:
    """Settings of the training. The defaults are the paper's, where it gives them.

    Attributes:
        epochs: passes over the images.
        batch_size: images of a step, over all devices.
        width: of the U-Nets.
        discriminator_width: of the discriminators.
        learning_rate, betas: of Adam, for generators and discriminators.
        adversarial: λ of equation (4).
        perceptual, classification, reconstruction: γ1, γ2, γ3 of equation (5).
        margin: see `losses.perceptual`; None is the paper's.
        hiding: weight of `veil.metrics.visibility` between x and b, ours; 0 in the paper.
        skips: of G_AB, see `veil.models.unet.UNet`; 5 in the paper.
        replay: made images that are kept to be shown to the discriminators again.
    """

    epochs: int = field(default=5000, metadata={"help": "Passes over the images."})
    batch_size: int = field(default=64, metadata={"help": "Images of a step, over all devices."})
    width: int = field(default=64, metadata={"help": "Channels of the U-Net at the full resolution."})
    discriminator_width: int = 64
    learning_rate: float = field(default=2e-4, metadata={"help": "Of Adam."})
    betas: tuple[float, float] = (0.5, 0.999)
    adversarial: float = 0.4
    perceptual: float = -1.0
    classification: float = 0.4
    reconstruction: float = 0.9
    margin: float | None = None
    replay: int = 50
    hiding: float = 0.0
    skips: int = 5

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or self.replay < 0:
            raise ValueError("epochs, batch_size and replay must be at least 1, 2 and 0")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"margin must be positive, not {self.margin}")


def train(images: TrainingImages, frozen: FrozenNetworks, settings: CycleGanSettings, run: Run) -> TrainedNetworks:
    """Trains G_AB, from the last checkpoint in the run's folder on.

    Args:
        images: with x_p.
        frozen: h_θ and φ, on the runner's device.

    Raises:
        ValueError: where there are no x_p; and as `fitting.train` does.
        TrainingError: as `fitting.train` does.
    """
    from veil.protections.transformation import fitting
    from veil.training.checkpoints import Trained

    if images.protected is None:
        raise ValueError("the CycleGAN is trained with preliminary protected images")
    networks = _Networks(settings, tuple(images.plain.shape[1:]), run)
    step = _Step(networks, frozen, settings, images.plain, images.protected, images.labels, run)
    optimizers = {"generators": networks.generators, "discriminators": networks.discriminators}
    return fitting.train(
        Trained(networks.modules, optimizers), step, images, frozen, run,
        network=networks.to_protected, inverse=networks.to_plain, epochs=settings.epochs,
        batch_size=settings.batch_size, settings=asdict(settings),
    )  # fmt: skip


class _Networks:
    """The four networks, their optimisers, and the pools of made images."""

    def __init__(self, settings: CycleGanSettings, shape: tuple[int, ...], run: Run) -> None:
        from veil.models.patch_discriminator import PatchDiscriminator
        from veil.models.unet import UNet
        from veil.protections.transformation.replay_pool import ReplayPool
        from veil.runtime.seeds import seed_of

        torch.manual_seed(seed_of("weights", run.seed))
        self.to_protected, self.to_plain = UNet(settings.width, settings.skips), UNet(settings.width)
        self.judge_plain, self.judge_protected = (PatchDiscriminator(settings.discriminator_width) for _ in range(2))
        networks: dict[str, nn.Module] = {
            "g_ab": self.to_protected, "g_ba": self.to_plain, "f_a": self.judge_plain, "f_b": self.judge_protected,
        }  # fmt: skip
        for network in networks.values():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pools = {name: ReplayPool(settings.replay, shape).to(run.runner.device) for name in ("pool_a", "pool_b")}
        self.modules = networks | self.pools
        self.generators = _adam([self.to_protected, self.to_plain], settings)
        self.discriminators = _adam([self.judge_plain, self.judge_protected], settings)
        self.g_ab, self.g_ba, self.f_a, self.f_b = (run.runner.setup_module(network) for network in networks.values())

    def judges_learn(self, learn: bool) -> None:
        """Whether the discriminators' weights get gradients."""
        for judge in (self.judge_plain, self.judge_protected):
            judge.requires_grad_(learn)


class _Step:
    """One update of the generators, then one of the discriminators."""

    def __init__(
        self, networks: _Networks, frozen: FrozenNetworks, settings: CycleGanSettings, plain: Tensor, protected: Tensor,
        labels: Tensor, run: Run,
    ) -> None:  # fmt: skip
        self.networks, self.frozen, self.settings, self.runner = networks, frozen, settings, run.runner
        self.plain, self.protected, self.labels = (part.to(run.runner.device) for part in (plain, protected, labels))

    def __call__(self, index: Tensor, now: Moment) -> dict[str, Tensor]:
        from veil.images import to_float

        index = index.to(self.runner.device)
        x, x_p = (
            to_float(part[index]).contiguous(memory_format=torch.channels_last) for part in (self.plain, self.protected)
        )
        a, b, values, accuracy = self._generate(x, x_p, self.labels[index])
        discriminator = self._discriminate(x, x_p, a.detach(), b.detach(), now.generator)
        return {**values, "discriminator": discriminator, "accuracy": accuracy}

    def _generate(self, x: Tensor, x_p: Tensor, y: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor]:
        """Updates the generators; a, b, the losses, and how often h_θ is right about b."""
        from veil import metrics
        from veil.protections.transformation import losses

        networks, settings = self.networks, self.settings
        networks.judges_learn(False)
        b, a = networks.g_ab(x), networks.g_ba(x_p)
        x_again, x_p_again = networks.g_ba(b), networks.g_ab(a)
        with self.runner.autocast():
            with torch.no_grad():
                of_plain = self.frozen.features(x)
            features, logits = self.frozen.both(torch.cat([b, a]))
        of_b, of_a = features.chunk(2)
        logits_b, logits_a = logits.chunk(2)
        terms = {
            "adversarial_a": losses.adversarial(networks.f_a(a), real=True),
            "adversarial_b": losses.adversarial(networks.f_b(b), real=True),
            "perceptual": losses.perceptual(of_plain, of_b, of_a, settings.margin),
            "classification": losses.classification(logits_b, logits_a, y),
            "reconstruction": losses.reconstruction(x, x_again, x_p, x_p_again),
            "visible": metrics.visible(x, b).mean(),
        }
        weights = settings.perceptual, settings.classification, settings.reconstruction
        cycle = losses.cycle(terms["perceptual"], terms["classification"], terms["reconstruction"], weights)
        objective = losses.gan(terms["adversarial_a"], terms["adversarial_b"], cycle, settings.adversarial)
        self.runner.backward(objective + settings.hiding * terms["visible"])
        networks.generators.step()
        networks.generators.zero_grad()
        accuracy = logits_b.argmax(1).eq(y).float().mean()
        return a, b, {name: value.detach() for name, value in terms.items()}, accuracy

    def _discriminate(self, x: Tensor, x_p: Tensor, a: Tensor, b: Tensor, generator: Generator) -> Tensor:
        """Updates the discriminators; their mean loss."""
        from veil.protections.transformation import losses

        networks = self.networks
        networks.judges_learn(True)
        made_a = networks.pools["pool_a"].exchange(a, generator)
        made_b = networks.pools["pool_b"].exchange(b, generator)
        judged_a = losses.discriminator(networks.f_a(x), networks.f_a(made_a))
        judged_b = losses.discriminator(networks.f_b(x_p), networks.f_b(made_b))
        self.runner.backward(judged_a + judged_b)
        networks.discriminators.step()
        networks.discriminators.zero_grad()
        return (judged_a + judged_b).detach() / 2


def _adam(networks: list[nn.Module], settings: CycleGanSettings) -> torch.optim.Adam:
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=settings.learning_rate, betas=settings.betas)


METHOD = TransformationMethod(
    name="cyclegan",
    title="two U-Nets and two judges, towards preliminary protected images (Sirichotedumrong and Kiya 2020)",
    train=train,
    settings=CycleGanSettings,
    presets={
        "paper": CycleGanSettings(),
        "veil": CycleGanSettings(
            learning_rate=1e-3, perceptual=-0.25, classification=1.0, margin=2.0, hiding=1.0, skips=2
        ),
    },
    scales={
        "smoke": {"epochs": 2, "width": 8, "discriminator_width": 8, "batch_size": 20},
        "cpu": {"epochs": 6, "width": 16, "discriminator_width": 32},
        "paper": {},
    },
    preliminary=True,
)
