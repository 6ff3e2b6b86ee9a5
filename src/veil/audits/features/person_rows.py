"""Who is found again, in what attackers draw and by features alone (Li et al. 2019, section 4.4): rows of people.

Threat model and rows: `veil.audits.features.running`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from veil.attacks.errors import AttackFailed, failing
from veil.attacks.features import PersonFinder
from veil.attacks.features.attackers import KnownPeople
from veil.audits.features.running import RunningAudit

if TYPE_CHECKING:
    from torch import Tensor

    from veil.jobs.rows import Row


def recognised(audit: RunningAudit, drawn: Tensor) -> Row:
    """How often people are found again in pictures, among the photos themselves and among others of theirs; nothing
    without a face recogniser, and where nobody knows who is on the judged faces."""
    people = audit.faces.judged.identities
    if audit.embed is None or people is None:
        return {}
    return _identified(audit.embed(drawn), audit.gallery(), people)


def _identified(probes: Tensor, gallery: Tensor, people: Tensor, *, same: bool = True) -> Row:
    """All that is asked of embeddings; of the same photo only where ``same``."""
    from veil.metrics import identity

    results = {
        "one_of_4": identity.one_of(probes, gallery, people) if same else None,
        "one_of_4_another": identity.one_of(probes, gallery, people, photo="another"),
        "rank_one": identity.rank_one(probes, gallery, people, photo="another"),
        "true_accepts": identity.tar_at_far(probes, gallery, people, photo="another"),
    }
    return {name: None if result is None else asdict(result) for name, result in results.items()}


def identities(audit: RunningAudit) -> None:
    """People, found by what is sent of another photo of theirs, by every attacker who looks for people.

    Finding the very same photo again would prove nothing: it always sends the same. Attackers do not learn from mirror
    images here, because these would teach them to find the photo instead of the person.
    """
    for row in audit.settings.of(PersonFinder):
        fields: Row = {"kind": "identity", "attack": row.name}
        if audit.there(**fields) or not _can_look(audit, row):
            continue
        audit.record(row)
        audit.say(row.title)
        audit.add(**fields, **looked_for(audit, row))


def _can_look(audit: RunningAudit, row: PersonFinder) -> bool:
    """Whether it is known who is on the judged faces, and on the attacker's own where that is needed."""
    if audit.faces.judged.identities is None:
        return False
    return audit.faces.most.identities is not None or not row.needs_people


def looked_for(audit: RunningAudit, row: PersonFinder) -> Row:
    """How people are found by an attacker, or why it cannot look for them."""
    people = audit.faces.judged.identities
    assert people is not None
    settings = audit.settings.settings_of(row)
    validation = KnownPeople(audit.features("validation"), audit.faces.validation.identities)
    try:
        row.require(validation.features, settings)
        own = KnownPeople(audit.features("most")[: len(audit.faces.most)], audit.faces.most.identities)
        with failing():
            attack = row.fit(own, validation, settings)
        embeddings = attack(audit.features("judged"))
    except AttackFailed as failure:
        return {"failed": str(failure)}
    return {"flat": attack.flat, **_identified(embeddings, embeddings, people, same=False)}
