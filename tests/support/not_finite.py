"""Rows of others whose numbers are not finite."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from veil.attacks.images.inverse_network import ATTACK as INVERSE
from veil.protections.noise.crs import SCHEME as CRS


def _no_loss(logits: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
    return logits.sum(1) * torch.nan, torch.zeros(len(logits))


def _no_score(logits: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
    return logits.sum(1), torch.full((len(logits),), torch.nan)


def _no_goals(*about: Any, **options: Any) -> Any:
    plan = CRS.plan(*about, **options)
    (job,) = next(plan)
    (outcome,) = yield [replace(job, aim=lambda logits: [goal * torch.nan for goal in job.aim(logits)])]
    return outcome


LOSSES = replace(CRS, name="losses", objective=_no_loss)
SCORES = replace(CRS, name="scores", objective=_no_score)
GOALS = replace(CRS, name="goals", plan=_no_goals)
DIVERGING = replace(
    INVERSE, name="diverging", scales={"smoke": {"epochs": 2, "batch_size": 12, "width": 8, "learning_rate": 1e35}}
)
