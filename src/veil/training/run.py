"""Where a training is done, from which seed, and to whom it reports."""

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
    """One training among others, as functions that train something take it.

    Attributes:
        folder: for checkpoints and logs; a training goes on from what lies there.
        seed: of weights, order and whatever else is drawn.
        runner: device and precision, see `veil.training.fabric`.
        about: what the result depends on beside seed and settings: a checkpoint of something else is refused.
        stepped: called after each step with how many of all steps are done.
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
        """The same in a folder below, with other fields where they are given."""
        return replace(self, folder=self.folder.joinpath(*names), **changes)

    @property
    def reporting(self) -> dict[str, Any]:
        """What `veil.training.loop.run` takes of it as it is."""
        return {"folder": self.folder, "seed": self.seed, "runner": self.runner, "stepped": self.stepped,
                "logged": self.logged, "tensorboard": self.tensorboard}  # fmt: skip
