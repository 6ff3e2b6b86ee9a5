"""The inverse of a protection, learned from pairs: a U-Net from protected images to plain ones (Ito et al. 2021, the
"inverse transformation network attack").

What the attacker knows: as many images as they like, before and after. Whoever may use the protection has these; for a
transformation network, which has no key, that is whoever has its file.

Deviations: gradient descent at 0.1, the paper's, is ``optimizer="sgd"``; Adam with a rate that rises once and falls is
further after few epochs, and an audit asks for the stronger attacker.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from veil import images
from veil.attacks.images.attack import ImageAttack, as_large
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch
from veil.training import optimizers

if TYPE_CHECKING:
    from torch import Tensor

    from veil.attacks.images.training import Reconstruction
    from veil.training.loop import Moment
    from veil.training.run import Run


@dataclass(frozen=True, kw_only=True)
class InverseSettings:
    """Settings of the training.

    Attributes:
        epochs: passes over the pairs.
        batch_size: pairs of a step.
        width: of the U-Net.
        optimizer: ``sgd`` with momentum 0.9, or ``adam``; the rate rises and falls in both.
        learning_rate: of it, at its highest.
    """

    epochs: int = 70
    batch_size: int = 128
    width: int = 64
    optimizer: optimizers.Kind = "adam"
    learning_rate: float = 2e-3


def train(plain: Tensor, protected: Tensor, *, settings: InverseSettings, run: Run) -> Reconstruction:
    """Trains the inverse from the last checkpoint in the run's folder on, by the mean squared error.

    Args:
        plain, protected: the same images before and after, uint8 (N, 3, H, W).

    Raises:
        ValueError: for fewer than two pairs; as `loop.run` does.
        TrainingError: as `loop.run` does.
    """
    from veil.attacks.images import training
    from veil.models.unet import UNet
    from veil.runtime.seeds import seed_of
    from veil.training.checkpoints import Trained
    from veil.training.schedule import one_cycle, set_rate

    wanted = as_large(plain, protected).to(run.runner.device)
    given = protected.to(run.runner.device)
    torch.manual_seed(seed_of("weights", run.seed))
    network = UNet(settings.width, norm="batch").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = optimizers.optimizer(settings.optimizer, network.parameters(), settings.learning_rate)
    model = run.runner.setup_module(network)

    def step(index: Tensor, now: Moment) -> dict[str, Tensor]:
        set_rate(optimizer, settings.learning_rate * one_cycle(now.progress))
        index = index.to(run.runner.device)
        x, y = (images.to_float(part[index]).contiguous(memory_format=torch.channels_last) for part in (given, wanted))
        error = F.mse_loss(model(x).float(), y)
        run.runner.backward(error)
        optimizer.step()
        optimizer.zero_grad()
        return {"error": error.detach()}

    return training.train(
        Trained({"network": network}, {settings.optimizer: optimizer}), step, network, len(given), run,
        epochs=settings.epochs, batch_size=settings.batch_size, settings={"attack": "inverse", **asdict(settings)},
        curve="error",
    )  # fmt: skip


ATTACK = ImageAttack(
    name="inverse",
    title="inverse network",
    knows="pairs",
    attack=train,
    settings=InverseSettings,
    scales={"smoke": {"epochs": 2, "batch_size": 12, "width": 8}, "cpu": {"epochs": 8, "width": 16}, "paper": {}},
)
