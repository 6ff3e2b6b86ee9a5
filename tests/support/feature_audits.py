"""Audits of features of senders that are made up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from veil import training
from veil.audits.features.api import about
from veil.audits.features.running import RunningAudit
from veil.audits.features.settings import FeatureAuditSettings, named
from veil.audits.features.subject import FeatureSubject
from veil.audits.protocol import AuditFaces
from veil.data.faces import FaceParts
from veil.jobs.rows import Row, RowFile
from veil.training.run import Run

TARGET, HIDES = ("Smiling",), ("Male",)


def asked(*attackers: str, **changes: Any) -> FeatureAuditSettings:
    """One seed of each attacker, with all faces, at smoke scale."""
    given = {"scale": "smoke", "seeds": 1, "shares": ()} | changes
    return FeatureAuditSettings(attackers=named(*attackers), **given)


def tells(parts: FaceParts, *names: str) -> Any:
    """A sender of the named attributes and nothing else, which it knows by heart, of mirrored images, too."""
    known = {
        view.contiguous().numpy().tobytes(): labels
        for part in (parts.train, parts.validation, parts.test)
        for image, labels in zip(part.images, part.labels(names), strict=True)
        for view in (image, image.flip(2))
    }

    def send(images: Tensor) -> Tensor:
        return torch.stack([known[image.contiguous().numpy().tobytes()] for image in images]).float()[:, :, None, None]

    return send


def subject(send: Any, **other: Any) -> FeatureSubject:
    return FeatureSubject(name="made up", send=send, target=TARGET, hides=HIDES, **other)


def running_audit(
    one: FeatureSubject, faces: AuditFaces, folder: Path, rows: RowFile, settings: FeatureAuditSettings, **other: Any
) -> RunningAudit:
    runner = training.fabric("cpu", "auto")
    run = Run(folder=folder / "attackers", seed=0, runner=runner, logged=lambda row: None)
    return RunningAudit(subject=one, faces=faces, settings=settings, rows=rows, run=run, **other)


def rows_file(
    one: FeatureSubject, faces: AuditFaces, folder: Path, settings: FeatureAuditSettings,
    added: Callable[[Row], None] = lambda row: None,
) -> RowFile:  # fmt: skip
    return RowFile(folder / "rows.jsonl", about(one, faces, settings, 0), added=added)
