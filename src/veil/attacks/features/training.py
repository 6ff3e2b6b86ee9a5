"""What the trainings of attackers on features share: statistics of features, and the choice of the epoch that is kept.

An attacker has features, as sent and decoded, and their labels. A part of them, of other people, is set aside for
validation. The epoch with the best validation score is kept. It lies in the checkpoint with that score, so that a
training that was stopped and resumed ends with the same epoch.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from veil.jobs import rows
from veil.training import loop
from veil.training.checkpoints import Row, Trained
from veil.training.order import epoch_generator, whole_batches
from veil.training.run import Run
from veil.training.schedule import one_cycle, set_rate

_AT_ONCE = 1 << 22
_CONSTANT = 1e-6
_FEWEST_STEPS = 16


class Schedule(Protocol):
    """What all settings of trainings of attackers have.

    Attributes:
        epochs: passes over the attacker's features. One over few features is several passes, of 16 batches together at
            least.
        batch_size: features of a step. The last ones of a pass that fill no batch are left out.
        learning_rate: at its highest: it rises once and falls.
        patience: the training ends when so many epochs in turn have brought nothing better.
    """

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def patience(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Learner:
    """What learns.

    Attributes:
        network: what is kept of it.
        update: takes indices of a batch, calls backward, and returns the loss.
        judge: how well the network does on the attacker's validation part; more is better.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    update: Callable[[Tensor], Tensor]
    judge: Callable[[], float]


@dataclass(frozen=True, eq=False)
class BestEpoch:
    """What comes of a training.

    Attributes:
        network: as it was after the epoch that is kept, in evaluation mode.
        log: a row for every epoch; ``validation`` is how well it did.
        best_epoch: the one that is kept, from 0.
    """

    network: nn.Module
    log: list[Row]
    best_epoch: int


class Best(nn.Module):
    """A copy of a network as it was when it did best, with how well it did and when."""

    score: Tensor
    epoch: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.register_buffer("score", torch.tensor(-torch.inf))
        self.register_buffer("epoch", torch.tensor(-1))

    def offer(self, network: nn.Module, score: float, epoch: int) -> None:
        """Takes the network over where it did better than ever before."""
        offered = torch.full_like(self.score, score)
        if offered > self.score:
            self.network.load_state_dict(network.state_dict())
            self.score.copy_(offered)
            self.epoch.fill_(epoch)


class _NothingBetter(Exception):
    """Ends a training before its last epoch."""


def train(learner: Learner, count: int, schedule: Schedule, described: Mapping[str, object], run: Run) -> BestEpoch:
    """Trains from the last checkpoint in the run's folder on.

    Args:
        count: of the attacker's features.
        described: what the result depends on, of the attack.

    Raises:
        ValueError: for fewer than two features, and as `loop.run` does.
        TrainingError: as `loop.run` does.
    """
    if count < 2:
        raise ValueError(f"an attack is trained with features of two images at least, not {count}")
    size = min(schedule.batch_size, count)
    full = count // size
    passes = math.ceil(_FEWEST_STEPS / full)
    network, best = learner.network, Best(learner.network)

    def batches(epoch: int, given: Generator) -> Iterator[Tensor]:
        if epoch - int(best.epoch) > schedule.patience:
            raise _NothingBetter
        generator = epoch_generator(run.seed, epoch)
        for _ in range(passes):
            yield from whole_batches(count, size, generator)

    def step(index: Tensor, now: loop.Moment) -> dict[str, Tensor]:
        set_rate(learner.optimizer, schedule.learning_rate * one_cycle(now.progress))
        loss = learner.update(index)
        learner.optimizer.step()
        learner.optimizer.zero_grad()
        return {"loss": loss.detach()}

    def after_epoch(epoch: int) -> dict[str, float]:
        network.eval()  # the next epoch trains it again
        score = learner.judge()
        best.offer(network, score, epoch)
        return {"validation": score}

    try:
        log = loop.run(
            Trained({"network": network, "best": best}, {"optimizer": learner.optimizer}), batches, step,
            epochs=schedule.epochs, steps_per_epoch=full * passes, settings={**described, **run.about},
            after_epoch=after_epoch, **run.reporting,
        )  # fmt: skip
    except _NothingBetter:
        log = rows.read(run.folder / loop.LOG)
    return BestEpoch(best.network.eval(), log, int(best.epoch))


def moments(features: Tensor, *, places: bool) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of features (N, C, h, w), in float64 and a part at a time.

    Deviations are (C, 1, 1), of each channel: a place of a map may be empty in nearly all images. What is the same
    everywhere has 1.

    Args:
        places: whether means are (C, h, w), or those of channels, (C, 1, 1), too.
    """
    sums, squares = (torch.zeros(features.shape[1:], dtype=torch.float64) for _ in range(2))
    for part in torch.split(features, max(1, _AT_ONCE // features[0].numel())):
        values = part.double()
        sums += values.sum(0).cpu()
        squares += values.square().sum(0).cpu()
    mean, square = sums / len(features), (squares / len(features)).mean((1, 2), keepdim=True)
    if not places:
        mean = mean.mean((1, 2), keepdim=True)
    deviation = (square - mean.square().mean((1, 2), keepdim=True)).clamp_min(0).sqrt()
    constant = deviation <= _CONSTANT * square.sqrt()
    return mean.float(), torch.where(constant, 1.0, deviation).float()
