"""The folder, seed, device and callbacks of one training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil.training import loop
from veil.training.checkpoints import Row

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class Run:
    """The circumstances of one training, for functions that train.

    Attributes:
        folder: for checkpoints and logs; a training resumes from a checkpoint there.
        seed: of weights, order and all other random numbers.
        runner: device and precision, see `veil.training.fabric`.
        about: what else the result depends on; a checkpoint of another run is refused.
        stepped: called after each step with the number of finished steps and of all steps.
        logged: called with each new row of the log.
        tensorboard: write the log for TensorBoard, too (extra ``tensorboard``).
    """

    folder: Path
    seed: int
    runner: "Fabric"
    about: Mapping[str, object] = field(default_factory=dict)
    stepped: Callable[[int, int], None] = lambda done, total: None
    logged: Callable[[Row], None] = loop.report
    tensorboard: bool = False

    def at(self, *names: str, **changes: Any) -> "Run":
        """The same run in a subfolder, with changed fields."""
        return replace(self, folder=self.folder.joinpath(*names), **changes)

    @property
    def reporting(self) -> dict[str, Any]:
        """What `veil.training.loop.run` takes of it as it is."""
        return {"folder": self.folder, "seed": self.seed, "runner": self.runner, "stepped": self.stepped,
                "logged": self.logged, "tensorboard": self.tensorboard}  # fmt: skip
