"""Where and how something is trained: what every trainer is given beside its data and its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Generator, Tensor

    from veil.training.checkpoints import Row, Trained
    from veil.training.loop import Moment


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where and how something is trained.

    Attributes:
        folder: for checkpoints and the log; a training goes on from the last checkpoint there.
        seed: of weights, order, and whatever else is drawn.
        runner: devices and precision (`veil.training.fabric`).
        about: what else the result depends on; a checkpoint made under another is refused.
        tensorboard: write the log for TensorBoard, too.
        stepped: called after each step with how many of all steps are done.
        logged: called with each new row of the log; None prints it to standard error.
    """

    folder: Path
    seed: int
    runner: Fabric
    about: Mapping[str, object] = field(default_factory=dict)
    tensorboard: bool = False
    stepped: Callable[[int, int], None] = lambda done, total: None
    logged: Callable[[Row], None] | None = None

    def loop(
        self,
        trained: Trained,
        batches: Callable[[int, Generator], Iterable[Any]],
        step: Callable[[Any, Moment], Mapping[str, float | Tensor]],
        *,
        epochs: int,
        steps_per_epoch: int,
        settings: Mapping[str, object],
        after_epoch: Callable[[int], Mapping[str, float]] | None = None,
    ) -> list[Row]:
        """Trains; see `veil.training.loop.run`.

        Args:
            settings: what the result depends on beside ``about``.

        Raises:
            ValueError, TrainingError: as `veil.training.loop.run` does.
        """
        from veil.training import loop

        return loop.run(
            trained, batches, step, epochs=epochs, steps_per_epoch=steps_per_epoch, folder=self.folder, seed=self.seed,
            settings={**settings, **self.about}, after_epoch=after_epoch, runner=self.runner,
            tensorboard=self.tensorboard, stepped=self.stepped, logged=self.logged or loop.report,
        )  # fmt: skip
