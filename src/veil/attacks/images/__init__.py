"""Attacks on protected images: what each knows is in its row, and in its signature."""

from collections.abc import Iterable, Mapping
from typing import Any

from veil.attacks.images.attack import KNOWLEDGE, AttackersImages, ImageAttack, Knowledge, Reconstruct
from veil.runtime.tables import Table, UnknownName

_OWN = {
    "feature-reconstruction": "veil.attacks.images.feature_reconstruction:BASIC",
    "feature-reconstruction-advanced": "veil.attacks.images.feature_reconstruction:ADVANCED",
    "pixel-statistics": "veil.attacks.images.pixel_statistics:ATTACK",
    "block-statistics": "veil.attacks.images.block_statistics:ATTACK",
    "uwa": "veil.attacks.images.adversarial:UNSHARED_WEIGHTS",
    "ga": "veil.attacks.images.adversarial:GAN_ATTACK",
    "known-plaintext": "veil.attacks.images.known_plaintext:KNOWN",
    "chosen-plaintext": "veil.attacks.images.known_plaintext:CHOSEN",
    "affine": "veil.attacks.images.pixel_affine:ATTACK",
    "inverse": "veil.attacks.images.inverse_network:ATTACK",
}
ATTACKS: Table[ImageAttack] = Table("veil.image_attacks", ImageAttack, "attack", _OWN)
"""Attacks on protected images by name, from those that know least on."""


def resolve(typed: Iterable[str | ImageAttack]) -> list[ImageAttack]:
    """The attacks that a person means: names, ``module:object``, or rows; those of the table in its order, then others.

    Raises:
        UnknownName: where there is no such attack, or there is another one of its name.
    """
    rows: dict[str, ImageAttack] = {}
    for attack in typed:
        row = ATTACKS.resolve(attack) if isinstance(attack, str) else attack
        if (row.name in ATTACKS and ATTACKS[row.name] is not row) or rows.setdefault(row.name, row) is not row:
            raise UnknownName(f"there is another attack {row.name!r} already; give yours another name")
    listed = [name for name in ATTACKS.names() if name in rows]
    return [rows[name] for name in (*listed, *(name for name in rows if name not in listed))]


def words_of(attack: ImageAttack) -> dict[str, Any]:
    """What the rows of an audit say of an attack that does not come with Veil: whoever reads them may not have it."""
    return {} if attack.name in _OWN else {"title": attack.title, "knows": attack.knows}


def title_of(row: Mapping[str, Any]) -> str:
    """What the attack of an audit's row is called; the row's own words where it is not in the table any more."""
    name = row["attack"]
    return ATTACKS[name].title if name in ATTACKS else str(row.get("title", name))


def knowledge_of(row: Mapping[str, Any]) -> Knowledge | None:
    """What the attacker of an audit's row knows; None where nothing says it any more."""
    name = row["attack"]
    return KNOWLEDGE.get(ATTACKS[name].knows if name in ATTACKS else row.get("knows", ""))


__all__ = [
    "ATTACKS",
    "KNOWLEDGE",
    "AttackersImages",
    "ImageAttack",
    "Knowledge",
    "Reconstruct",
    "knowledge_of",
    "resolve",
    "title_of",
    "words_of",
]
