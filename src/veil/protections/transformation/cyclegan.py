"""The transformation network as one half of a CycleGAN (Sirichotedumrong and Kiya 2020, section III-C).

G_AB takes plain images x to protected ones and is h_p in the end; G_BA takes preliminary protected images x_p
(`veil.protections.transformation.preliminary`) to plain-looking ones; F_A and F_B judge their images. Equations (4) to
(9) are in `veil.protections.transformation.losses`.

Threat model: that of `veil.protections.transformation.file`. G_BA is trained to undo G_AB: whoever gets it has the
images back, so it never leaves the training's checkpoint.

Deviations: with γ1 = -1 the perceptual loss is maximised without a bound (preset ``paper``); preset ``veil`` stops at
a margin. The paper gives no size of a batch. x and x_p of a step belong together, since equation (8) has one label for
both; the discriminators do not see that.

How it is fast: each network is asked once for what several losses need. φ and h_θ share their first layers and take
a and b in one batch, φ(x) needs no gradient, and the discriminators' weights get none while the generators learn.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from veil import images, metrics
from veil.models.patch_discriminator import PatchDiscriminator
from veil.models.unet import UNet
from veil.protections.transformation import fitting, losses
from veil.protections.transformation.fitting import Fitted, Material
from veil.protections.transformation.frozen_networks import Guide
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Trained

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
        hiding: weight of `veil.metrics.visible` between x and b, ours; 0 in the paper.
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


class ReplayPool(nn.Module):
    """Images that a generator made earlier (Shrivastava et al. 2017), as CycleGAN keeps them; in the checkpoint, too.

    Args:
        size: how many; 0 keeps none.
        shape: of an image.
    """

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.kept: Tensor
        self.filled: Tensor

    def exchange(self, made: Tensor, generator: Generator) -> Tensor:
        """Keeps the first images that come; then half of the new ones take the place of kept ones, which are shown.

        Args:
            made: (N, C, H, W); not changed.
        """
        size, filled = len(self.kept), int(self.filled)
        if not size:
            return made
        shown = made.clone()
        fill = min(size - filled, len(made))
        self.kept[filled : filled + fill] = made[:fill].float()
        self.filled += fill
        rest = torch.arange(fill, len(made))
        rest = rest[torch.rand(len(rest), generator=generator) < 0.5][:size]
        places = torch.randperm(size, generator=generator)[: len(rest)]
        shown[rest] = self.kept[places].to(made.dtype)
        self.kept[places] = made[rest].float()
        return shown


def train(
    material: Material,
    guide: Guide,
    settings: CycleGanSettings,
    *,
    folder: Path,
    seed: int,
    runner: "Fabric",
    about: dict[str, object] | None = None,
    **reporting: Any,
) -> Fitted:
    """Trains G_AB, from the last checkpoint in ``folder`` on; see `veil.protections.transformation.fitting.run`.

    Args:
        material: with x_p.
        guide: h_θ and φ, on the runner's device.
        about: what else the result depends on.

    Raises:
        ValueError: where there are no x_p; and as `fitting.run` does.
        TrainingError: as `fitting.run` does.
    """
    if material.protected is None:
        raise ValueError("the CycleGAN is trained with preliminary protected images")
    torch.manual_seed(seed_of("weights", seed))
    to_protected, to_plain = UNet(settings.width, settings.skips), UNet(settings.width)
    judge_plain, judge_protected = (PatchDiscriminator(settings.discriminator_width) for _ in range(2))
    modules: dict[str, nn.Module] = {
        "g_ab": to_protected, "g_ba": to_plain, "f_a": judge_plain, "f_b": judge_protected,
    }  # fmt: skip
    for each in modules.values():
        each.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = tuple(material.plain.shape[1:])
    pools = {name: ReplayPool(settings.replay, shape).to(runner.device) for name in ("pool_a", "pool_b")}
    generators = _adam([to_protected, to_plain], settings)
    discriminators = _adam([judge_plain, judge_protected], settings)
    g_ab, g_ba, f_a, f_b = (runner.setup_module(each) for each in modules.values())
    plain, protected = material.plain.to(runner.device), material.protected.to(runner.device)
    labels = material.labels.to(runner.device)

    def step(index: Tensor, now: loop.Moment) -> dict[str, Tensor]:
        index = index.to(runner.device)
        x, x_p = (
            images.to_float(each[index]).contiguous(memory_format=torch.channels_last) for each in (plain, protected)
        )
        y = labels[index]
        for each in (judge_plain, judge_protected):
            each.requires_grad_(False)
        b, a = g_ab(x), g_ba(x_p)
        x_again, x_p_again = g_ba(b), g_ab(a)
        with runner.autocast():
            with torch.no_grad():
                shown = guide.features(x)
            features, logits = guide.both(torch.cat([b, a]))
        of_b, of_a = features.chunk(2)
        logits_b, logits_a = logits.chunk(2)
        terms = {
            "adversarial_a": losses.adversarial(f_a(a), real=True),
            "adversarial_b": losses.adversarial(f_b(b), real=True),
            "perceptual": losses.perceptual(shown, of_b, of_a, settings.margin),
            "classification": losses.classification(logits_b, logits_a, y),
            "reconstruction": losses.reconstruction(x, x_again, x_p, x_p_again),
            "visible": metrics.visible(x, b).mean(),
        }
        weights = settings.perceptual, settings.classification, settings.reconstruction
        cycle = losses.cycle(terms["perceptual"], terms["classification"], terms["reconstruction"], weights)
        objective = losses.gan(terms["adversarial_a"], terms["adversarial_b"], cycle, settings.adversarial)
        runner.backward(objective + settings.hiding * terms["visible"])
        generators.step()
        generators.zero_grad()

        for each in (judge_plain, judge_protected):
            each.requires_grad_(True)
        made_a = pools["pool_a"].exchange(a.detach(), now.generator)
        made_b = pools["pool_b"].exchange(b.detach(), now.generator)
        judged_a = losses.discriminator(f_a(x), f_a(made_a))
        judged_b = losses.discriminator(f_b(x_p), f_b(made_b))
        runner.backward(judged_a + judged_b)
        discriminators.step()
        discriminators.zero_grad()
        return {name: value.detach() for name, value in terms.items()} | {
            "discriminator": (judged_a + judged_b).detach() / 2,
            "accuracy": logits_b.argmax(1).eq(y).float().mean(),
        }

    return fitting.run(
        Trained(modules | pools, {"generators": generators, "discriminators": discriminators}), step, material, guide,
        network=to_protected, inverse=to_plain, epochs=settings.epochs, batch_size=settings.batch_size, folder=folder,
        seed=seed, runner=runner, settings=asdict(settings) | (about or {}), **reporting,
    )  # fmt: skip


def _adam(networks: list[nn.Module], settings: CycleGanSettings) -> torch.optim.Adam:
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=settings.learning_rate, betas=settings.betas)
