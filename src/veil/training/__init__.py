"""Training: the loop for all trainings of Veil, its checkpoints, and classifiers of plain and protected images."""

from veil.training.checkpoints import Trained
from veil.training.loop import CHECKPOINT, LOG, Moment, Precision, TrainingError, fabric, precision_of, report

__all__ = [
    "CHECKPOINT",
    "LOG",
    "Moment",
    "Precision",
    "Trained",
    "TrainingError",
    "fabric",
    "precision_of",
    "report",
]
