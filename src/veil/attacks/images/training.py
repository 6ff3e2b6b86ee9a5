"""What attacks that are trained share: their images on the device, the epochs, and a network as a `Reconstruct`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from veil import images
from veil.attacks.errors import require_finite
from veil.metrics.curves import flat
from veil.training import loop
from veil.training.checkpoints import Row, Trained
from veil.training.order import epoch_generator, whole_batches
from veil.training.run import Run

_PIXELS_AT_ONCE = 1 << 18


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A network that was trained to bring plain images back, as a `veil.attacks.images.attack.Reconstruct`.

    Attributes:
        network: maps images in [0, 1] to images, in evaluation mode; what is out of [0, 1] is cut off.
        log: of its training.
        curve: the column of the log that falls as reconstructions get better; None where none says how good they are,
            as for networks that learn from each other.
    """

    network: nn.Module
    log: list[Row]
    curve: str | None = None

    @property
    def flat(self) -> bool | None:
        """Whether its curve had gone flat (`veil.metrics.curves`); None where there is none."""
        return None if self.curve is None else flat([-float(row[self.curve]) for row in self.log], least=0.0)

    @torch.inference_mode()
    def __call__(self, protected: Tensor) -> Tensor:
        """Plain images, uint8.

        Raises:
            AttackFailed: where the network gives values that are not finite.
        """
        device = next(self.network.parameters()).device
        at_once = max(1, _PIXELS_AT_ONCE // protected[0, 0].numel())
        drawn = (self.network(images.to_float(part.to(device))) for part in torch.split(protected, at_once))
        return torch.cat([images.quantise(require_finite(part).clamp(0, 1)).to(protected.device) for part in drawn])


def train(
    trained: Trained,
    step: Callable[[Tensor, loop.Moment], Mapping[str, Tensor]],
    network: nn.Module,
    count: int,
    run: Run,
    *,
    epochs: int,
    batch_size: int,
    settings: Mapping[str, object],
    curve: str | None = None,
) -> Reconstruction:
    """Runs ``step`` on indices of ``count`` images, in a new order every epoch; see `veil.training.loop.run`.

    Args:
        network: what comes of it.
        settings: of the attack.
        curve: as `Reconstruction` has it.

    Raises:
        ValueError: for fewer than two images, and as `loop.run` does.
        TrainingError: as `loop.run` does.
    """
    if count < 2:
        raise ValueError(f"an attack is trained with two images at least, not {count}")
    size = min(batch_size, count)

    def batches(epoch: int, _: Generator) -> Iterator[Tensor]:
        return whole_batches(count, size, epoch_generator(run.seed, epoch))

    log = loop.run(
        trained, batches, step, epochs=epochs, steps_per_epoch=count // size, settings={**settings, **run.about},
        **run.reporting,
    )  # fmt: skip
    return Reconstruction(network.eval(), log, curve)
