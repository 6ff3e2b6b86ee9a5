"""The inverse of a protection, learned from pairs: a U-Net from protected images to plain ones (Ito et al. 2021, the
"inverse transformation network attack").

What the attacker knows: as many images as they like, before and after. Whoever may use the protection has these; for a
transformation network, which has no key, that is whoever has its file.

Deviations: gradient descent at 0.1, the paper's, is ``optimizer="sgd"``; Adam with a rate that rises once and falls is
further after few epochs, and an audit asks for the stronger attacker.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from veil import images
from veil.attacks.images import training
from veil.attacks.images.attack import as_large
from veil.attacks.images.training import Reconstruction
from veil.models.unet import UNet
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Trained
from veil.training.classification import one_cycle

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
    optimizer: Literal["sgd", "adam"] = "adam"
    learning_rate: float = 2e-3


def train(
    plain: Tensor,
    protected: Tensor,
    settings: InverseSettings,
    *,
    folder: Path,
    seed: int,
    runner: "Fabric",
    **reporting: Any,
) -> Reconstruction:
    """Trains the inverse from the last checkpoint in ``folder`` on, by the mean squared error.

    Args:
        plain, protected: the same images before and after, uint8 (N, 3, H, W).

    Raises:
        ValueError: for fewer than two pairs; as `loop.run` does.
        TrainingError: as `loop.run` does.
    """
    wanted = as_large(plain, protected).to(runner.device)
    given = protected.to(runner.device)
    torch.manual_seed(seed_of("weights", seed))
    network = UNet(settings.width, norm="batch").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rate = settings.learning_rate
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
        if settings.optimizer == "sgd"
        else torch.optim.Adam(network.parameters(), lr=rate)
    )
    model = runner.setup_module(network)

    def step(index: Tensor, now: loop.Moment) -> dict[str, Tensor]:
        for group in optimizer.param_groups:
            group["lr"] = rate * one_cycle(now.progress)
        index = index.to(runner.device)
        x, y = (images.to_float(each[index]).contiguous(memory_format=torch.channels_last) for each in (given, wanted))
        error = F.mse_loss(model(x).float(), y)
        runner.backward(error)
        optimizer.step()
        optimizer.zero_grad()
        return {"error": error.detach()}

    return training.run(
        Trained({"network": network}, {settings.optimizer: optimizer}), step, network, len(given),
        epochs=settings.epochs, batch_size=settings.batch_size, folder=folder, seed=seed, runner=runner,
        settings={"attack": "inverse", **asdict(settings)}, **reporting,
    )  # fmt: skip
