"""Training: the loop for all trainings of Veil, its checkpoints, and classifiers of plain and protected images.

Names are imported when they are first used: settings are read without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veil.training.checkpoints import Trained
    from veil.training.loop import (
        CHECKPOINT,
        LOG,
        Diverged,
        Moment,
        Precision,
        TrainingError,
        fabric,
        precision_of,
        report,
    )  # fmt: skip

__all__ = [
    "CHECKPOINT",
    "LOG",
    "Diverged",
    "Moment",
    "Precision",
    "Trained",
    "TrainingError",
    "fabric",
    "precision_of",
    "report",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'veil.training' has no attribute {name!r}")
    module = importlib.import_module(f"veil.training.{'checkpoints' if name == 'Trained' else 'loop'}")
    return getattr(module, name)
