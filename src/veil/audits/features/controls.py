"""Positive controls of an audit of features: attackers that report nothing, given plain features instead.

*Plain features* have the shape of what the client sends, and are known to give everything away that fits into it:

- maps: the photo itself, scaled down so that its pixels fill the channels;
- vectors: of each private attribute the best linear reading of the photo, then the photo's principal components.

The same attacker, with the same settings, faces and seed, is trained with these. A row of the kind ``control`` says
what it got; of an attribute also how much more that is than from what the client sends, over the same faces
(``before_minus_after``). Only what reports nothing is controlled, each attacker once; rows that stand are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from veil import images
from veil.attacks.errors import AttackFailed
from veil.attacks.features import AttributeAttacker, FeatureAttacker, ImageSearch, PersonFinder, Reconstructor
from veil.attacks.features.attackers import shape_of
from veil.audits.features import attribute_rows, person_rows, picture_rows
from veil.audits.features.evidence import PLAIN
from veil.audits.features.readings import retrained
from veil.audits.features.running import PART, RunningAudit
from veil.audits.features.subject import FeatureSubject
from veil.audits.features.verdicts import verdicts
from veil.models.features import is_vector
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.data.faces import Faces
    from veil.jobs.rows import Row
    from veil.models.features import Shape

FOLDER = "controls"
UNSURE = ("nothing", "lower", "unshown")
_SIDE = 16
_RIDGE = 1e-2


def measure(audit: RunningAudit) -> list[Row]:
    """Trains the controls that an audit lacks, once all else was measured.

    Returns:
        All rows of the audit.

    Raises:
        TrainingError: where the training of an attacker diverges.
    """
    unsure = {one.about for one in verdicts(audit.find(), audit.subject.hides) if one.level in UNSURE}
    hidden = any(name in unsure for name in audit.subject.hides)
    plain = None
    for row in audit.settings.of(FeatureAttacker):
        tried = any(retrained(line) for line in audit.find(attack=row.name) if line["kind"] != "attacker")
        about = {"attributes": hidden, "images": bool({"the image", "the person"} & unsure),
                 "people": "the person" in unsure}  # fmt: skip
        if not tried or not about.get(row.reads):
            continue
        plain = plain or _plain(audit)
        if isinstance(row, AttributeAttacker):
            _attributes(plain, audit, row)
        elif isinstance(row, Reconstructor | ImageSearch):
            _images(plain, row)
        elif isinstance(row, PersonFinder):
            _add(plain, row, partial(person_rows.looked_for, plain, row))
    return audit.find()


def _plain(audit: RunningAudit) -> RunningAudit:
    """An audit of plain features, of the same faces, whose rows go to the same file."""
    shape = shape_of(audit.features("judged"))
    subject = plain_features(shape, audit.faces.own, audit.subject.target, audit.subject.hides)
    return replace(audit, subject=subject, run=audit.run.at(FOLDER))


def _add(plain: RunningAudit, row: FeatureAttacker, made: Callable[[], Row]) -> None:
    """Adds the row of a control that is not there yet."""
    if not plain.there(kind="control", reads=row.reads, attack=row.name):
        plain.say(f"{row.title}, control: {PLAIN}")
        plain.add(kind="control", reads=row.reads, attack=row.name, **made())


def _attributes(plain: RunningAudit, audit: RunningAudit, row: AttributeAttacker) -> None:
    """A row for each private attribute; how much more was read of it than of what the client sends."""
    from veil.metrics.differences import balanced_difference

    fields: Row = {"kind": "control", "reads": row.reads, "attack": row.name}
    if plain.all_there(audit.subject.hides, **fields) or any("failed" in line for line in plain.find(**fields)):
        return
    plain.say(f"{row.title}, control: {PLAIN}")
    try:
        control, faces = attribute_rows.trained(plain, row)
        after, _ = attribute_rows.trained(audit, row)
        scores = [attribute_rows.scores_by(one, attack) for one, attack in ((plain, control), (audit, after))]
    except AttackFailed as failure:
        plain.add(**fields, failed=str(failure))
        return
    for place, name in enumerate(audit.subject.hides):
        if plain.there(**fields, attribute=name):
            continue
        before, later = (attribute_rows.reading(audit, of_one, place) for of_one in scores)
        truths, people_judged = audit.private("judged")[:, place], audit.faces.judged.identities
        difference = balanced_difference(before.positive, later.positive, truths, people_judged)
        plain.add(**fields, attribute=name, faces=faces, flat=control.flat, **before.row,
                  before_minus_after=asdict(difference))  # fmt: skip


def _images(plain: RunningAudit, row: Reconstructor | ImageSearch) -> None:
    def drawn() -> Row:
        try:
            if isinstance(row, ImageSearch):
                count = min(plain.settings.searched, len(plain.pictures))
                found = picture_rows.searched(plain, row, plain.features("judged")[:count])
                return picture_rows.pictured(plain, found)
            attack = picture_rows.trained(plain, row, 0)
            judged = attack(plain.features("judged")[: plain.settings.judged])
        except AttackFailed as failure:
            return {"failed": str(failure)}
        return {"flat": attack.flat, **picture_rows.pictured(plain, judged)}

    _add(plain, row, drawn)


def plain_features(shape: Shape, own: Faces, target: Sequence[str], hides: Sequence[str]) -> FeatureSubject:
    """What sends plain features of a shape (C, h, w); see the head of this module.

    Args:
        own: the attackers' own faces, by which vectors are fitted.
    """
    features = _vectors(shape[0], own, hides) if is_vector(shape) else _maps(shape)
    return FeatureSubject(
        name=PLAIN, described="×".join(map(str, shape)), target=tuple(target), hides=tuple(hides),
        send=lambda batch: features(images.to_float(batch)), features=features,
    )  # fmt: skip


def _maps(shape: Shape) -> Callable[[Tensor], Tensor]:
    channels, height, width = shape
    fold = max(1, int((channels / 3) ** 0.5))

    def features(photos: Tensor) -> Tensor:
        small = F.interpolate(photos, (fold * height, fold * width), mode="bilinear", antialias=True)
        pixels = F.pixel_unshuffle(small, fold)
        return pixels.repeat(1, -(-channels // pixels.shape[1]), 1, 1)[:, :channels]

    return features


def _vectors(channels: int, own: Faces, hides: Sequence[str]) -> Callable[[Tensor], Tensor]:
    def pixels(photos: Tensor) -> Tensor:
        return F.interpolate(photos, (_SIDE, _SIDE), mode="bilinear", antialias=True).flatten(1)

    with torch.no_grad():
        known = torch.cat([pixels(images.to_float(part)) for part in torch.split(own.images, PART)]).double()
    mean = known.mean(0)
    known = known - mean
    covariance = known.T @ known / len(known)
    level = covariance.diagonal().mean() + 1e-12
    ridged = covariance + _RIDGE * level * torch.eye(len(covariance), dtype=covariance.dtype)
    wanted = own.labels(hides).double()
    readings = torch.linalg.solve(ridged, known.T @ (wanted - wanted.mean(0)) / len(known))
    components = torch.linalg.eigh(covariance).eigenvectors.flip(1)
    directions = torch.cat([readings / readings.norm(dim=0).clamp_min(1e-12), components], 1)[:, :channels]
    directions = F.pad(directions, (0, channels - directions.shape[1]))
    weight, start = directions.float(), mean.float()

    def features(photos: Tensor) -> Tensor:
        values = (pixels(photos) - start.to(photos.device)) @ weight.to(photos.device)
        return values[:, :, None, None]

    return features
