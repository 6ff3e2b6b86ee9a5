"""What services and attackers read off features, in an audit (Li et al. 2019, section 4.5): rows of attributes.

Threat model and rows: `veil.audits.features.running`. Floors: `veil.audits.features.floors`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from veil.attacks.errors import AttackFailed
from veil.attacks.features import AttributeAttacker
from veil.attacks.features.attackers import KnownAttributes, TrainedAttack
from veil.attacks.features.in_loop import IN_LOOP
from veil.audits.features.floors import above
from veil.audits.features.running import PART, RunningAudit
from veil.audits.features.settings import ALL
from veil.runtime.lazy import torch
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor

    from veil.jobs.rows import Row

_FEWEST = 8
"""Faces that an attacker has at least."""


def service(audit: RunningAudit) -> None:
    """What the service's own classifier says."""
    from veil.metrics import attributes

    if audit.subject.answer is None or audit.all_there(audit.subject.target, kind="service"):
        return
    _, answers = _scores(audit, audit.subject.answer)
    judged = audit.faces_of("judged")
    for place, name in enumerate(audit.subject.target):
        if not audit.there(kind="service", attribute=name):
            truths = judged.labels([name])[:, 0]
            result = attributes.measure(answers[:, place], truths, 0.0, people=judged.identities)
            audit.add(kind="service", attribute=name, **asdict(result))


def sent(audit: RunningAudit) -> None:
    """How much is sent, and how many different features of the judged faces there are: the fewer, the less can leak."""
    if not audit.there(kind="sent"):
        features = audit.features("judged")
        different = {hashlib.sha256(one.contiguous().numpy()).digest() for one in features}
        audit.add(kind="sent", shape=list(features.shape[1:]), different=len(different), count=len(features))


def in_loop(audit: RunningAudit) -> None:
    """What the adversaries of the training say, by the strongest one; by the threshold that suits it, as for others."""
    fields = {"kind": "attribute", "attack": IN_LOOP.name}
    if not audit.subject.adversaries or audit.all_there(audit.subject.hides, **fields):
        return
    scores = [_scores(audit, adversary) for adversary in audit.subject.adversaries]
    for place, name in enumerate(audit.subject.hides):
        if not audit.there(**fields, attribute=name):
            results = [reading(audit, of_one, place).row for of_one in scores]
            strongest = max(results, key=lambda row: row["balanced_accuracy"])
            audit.add(**fields, attribute=name, share=None, attack_seed=None, **strongest)


def _scores(audit: RunningAudit, network: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What a network says of the features of the validation part, and of the judged ones."""
    with torch.inference_mode():
        return [
            torch.cat([network(part.float()).cpu() for part in torch.split(audit.features(name), PART)])
            for name in ("validation", "judged")
        ]


def attackers(audit: RunningAudit) -> None:
    """Attackers with some of their faces, by one seed; and with all that can be had, by several."""
    if not audit.subject.hides:
        return
    settings = audit.settings
    plans: list[tuple[float | str, int]] = [(share, 0) for share in settings.shares]
    plans += [(ALL, number) for number in range(settings.seeds)]
    for share, number in plans:
        for row in settings.of(AttributeAttacker):
            fields: Row = {"kind": "attribute", "attack": row.name, "share": share, "attack_seed": number}
            failed = any("failed" in line for line in audit.find(**fields))
            if failed or audit.all_there(audit.subject.hides, **fields):
                continue
            audit.record(row)
            audit.say(f"{row.title}, {_known(share)}, seed {number}")
            try:
                _attack(audit, row, share, number, fields)
            except AttackFailed as failure:
                audit.add(**fields, failed=str(failure))


def _known(share: float | str) -> str:
    return "all faces" if share == ALL else f"{share:.0%} of own faces"


def _attack(audit: RunningAudit, row: AttributeAttacker, share: float | str, number: int, fields: Row) -> None:
    """Trains an attacker, and adds a row for each attribute that has none."""
    attack, faces = trained(audit, row, share, number)
    scores = scores_by(audit, attack)
    for place, name in enumerate(audit.subject.hides):
        if not audit.there(**fields, attribute=name):
            read = reading(audit, scores, place)
            audit.add(
                **fields, attribute=name, faces=faces, best_epoch=attack.best_epoch, epochs=len(attack.log),
                flat=attack.flat, **read.row, **above(audit, name, read.positive),
            )  # fmt: skip


def trained(
    audit: RunningAudit, row: AttributeAttacker, share: float | str = ALL, number: int = 0
) -> tuple[TrainedAttack, int]:
    """An attacker, trained or taken from its checkpoint, and how many faces it has learnt from."""
    own, faces = _own(audit, share)
    attack = row.train(
        own, KnownAttributes(audit.features("validation"), audit.private("validation")),
        audit.settings.settings_of(row),
        audit.training(row.name, f"{share}-{number}", seed=seed_of("attack", audit.run.seed, number), share=share),
    )  # fmt: skip
    return attack, faces


def scores_by(audit: RunningAudit, attack: TrainedAttack) -> list[Tensor]:
    """What an attacker says of the validation part, and of the judged faces, (N, A) each."""
    return [attack(audit.features(name)).cpu() for name in ("validation", "judged")]


def _own(audit: RunningAudit, share: float | str) -> tuple[KnownAttributes, int]:
    """What an attacker has who has such a share of faces, and how many faces these are."""
    part = "most" if share == ALL else "own"
    features, labels = audit.features(part), audit.private(part)
    faces = len(getattr(audit.faces, part))
    if isinstance(share, float) and share < 1:
        order = torch.randperm(faces, generator=torch.Generator().manual_seed(seed_of("share", audit.run.seed)))
        some = order[: max(_FEWEST, round(share * faces))]
        faces = len(some)
        some = torch.cat([some + start for start in range(0, len(features), len(order))])
        features, labels = features[some], labels[some]
    return KnownAttributes(features, labels), faces


@dataclass(frozen=True, eq=False)
class Reading:
    """How well an attribute was read, as a row has it, and who was said to have it: bool (N,)."""

    row: Row
    positive: Tensor


def reading(audit: RunningAudit, scores: Sequence[Tensor], place: int) -> Reading:
    """An attribute, by the thresholds that are best on the validation part.

    Args:
        scores: of the faces for validation, and of those that are judged, (N, A).
        place: of the attribute among the private ones.
    """
    from veil.metrics import attributes

    own, judged = (part[:, place].clone() for part in scores)
    known, truths = (audit.private(name)[:, place] for name in ("validation", "judged"))
    threshold = attributes.best_threshold(own, known)
    result = attributes.measure(
        judged, truths, threshold, accuracy_threshold=attributes.best_threshold(own, known, balanced=False),
        people=audit.faces.judged.identities,
    )  # fmt: skip
    return Reading(asdict(result), judged.double() >= threshold)
