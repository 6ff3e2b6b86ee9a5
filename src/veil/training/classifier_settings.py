"""Settings of a classifier's training, and the presets of them. Read without torch.

Source: Sirichotedumrong and Kiya 2020, section IV-D.
"""

from dataclasses import dataclass, field
from functools import partial

from veil.training.schedule import Schedule, one_cycle, steps

MILESTONES, FACTOR = (0.3, 0.6, 0.8), 0.2


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings:
    """How a classifier is trained. The defaults are the paper's.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per update, over all devices.
        learning_rate: of stochastic gradient descent, at its highest.
        schedule: ``steps`` divides the rate by five after 30, 60 and 80 % of the run (epochs 60, 120 and 160 of 200);
            ``one-cycle`` lets it rise for a fifth of the run and then fall to zero.
        momentum: Nesterov's with ``nesterov``.
        weight_decay: of convolutions and matrices; of all parameters with ``decay_all``.
        label_smoothing: share of the target that is spread evenly over all classes.
        padding: the largest shift in pixels; 0 does not shift.
        flip: whether half of the images are mirrored.
        accumulate: parts of a batch that go through the network one after another, to save memory; batch
            normalisation sees a part at a time.
    """

    epochs: int = field(default=200, metadata={"help": "Passes over the training images."})
    batch_size: int = field(default=128, metadata={"help": "Images of an update, over all devices."})
    learning_rate: float = field(default=0.1, metadata={"help": "Of SGD, at its highest."})
    schedule: str = "steps"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = field(default=5e-4, metadata={"help": "Of SGD."})
    decay_all: bool = True
    label_smoothing: float = field(default=0.0, metadata={"help": "Share of the target that goes to all classes."})
    padding: int = 4
    flip: bool = True
    accumulate: int = field(default=1, metadata={"help": "Parts of a batch that are computed one after another."})

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
        if not (0 <= self.momentum < 1 and 0 <= self.label_smoothing < 1):
            raise ValueError("momentum and label_smoothing must lie in [0, 1)")
        if self.weight_decay < 0 or self.padding < 0:
            raise ValueError("weight_decay and padding must not be negative")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"there is no schedule {self.schedule!r}; there are {', '.join(SCHEDULES)}")

    def rate(self, progress: float) -> float:
        """The learning rate at a point of the run, 0 to 1."""
        return self.learning_rate * SCHEDULES[self.schedule](progress)


SCHEDULES: dict[str, Schedule] = {"steps": steps(MILESTONES, FACTOR), "one-cycle": partial(one_cycle, warmup=0.2)}

PRESETS: dict[str, ClassifierSettings] = {
    "paper": ClassifierSettings(),
    "fast": ClassifierSettings(
        epochs=30, learning_rate=0.2, schedule="one-cycle", nesterov=True, decay_all=False, label_smoothing=0.1
    ),
}
"""``fast`` is for sweeps: a sixth of the epochs. Its loss of accuracy compared with ``paper`` was not measured."""
