"""Positive controls of an audit of images: attacks that report nothing, made against what is known to be broken.

The same attack, with the same settings, as many images and as many pairs, is made against a protection that its row
names (``control``), on the same images. A row of the kind ``control`` says what it gave back there. Only attacks of a
"nothing" are controlled, each once in an audit; rows that stand are read, and missing ones measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from veil.attacks.errors import AttackFailed
from veil.attacks.images import ATTACKS, ImageAttack
from veil.audits.images.audit import ImageAudit, Scene, attacked, described
from veil.audits.images.subjects import subject
from veil.audits.images.verdicts import ATTACKERS, attempts, control_of, floor, most_lift, reconstructions
from veil.audits.levels import level_of
from veil.jobs.rows import Row, RowFile
from veil.training.run import Run

FOLDER = "controls"


def measure(
    audited: ImageAudit, rows: RowFile, run: Run, attacks: Iterable[ImageAttack] = (), *,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:  # fmt: skip
    """Makes the controls that an audit lacks.

    Args:
        rows: of the audit of ``audited``, and of no other.
        run: of the audit; controls have a folder of their own in it.
        attacks: those that were asked for: they may stand in no table.

    Returns:
        All rows of the audit.

    Raises:
        TrainingError: where the training of an attack diverges.
    """
    known = {attack.name: attack for attack in (*ATTACKS.values(), *attacks)}
    for row in lacking(rows.find()):
        if row["attack"] in known:
            attack = known[row["attack"]]
            say(f"{attack.title}, control: {attack.control}")
            rows.add({"kind": "control", **_made(attack, row["pairs"], audited, run)})
    return rows.find()


def lacking(rows: Sequence[Row]) -> list[Row]:
    """Rows of attacks that report nothing and have no control: one for each, of the most pairs that were tried."""
    ranks = [rank for rank in set(ATTACKERS.values()) if _nothing(rows, rank)]
    last: Mapping[str, Row] = {row["attack"]: row for row in attempts(rows, max(ranks, default=-1))}
    return [row for row in last.values() if control_of(rows, row) is None]


def _nothing(rows: Sequence[Row], rank: int) -> bool:
    """Whether all that an attacker can do gives nothing."""
    worked = [*reconstructions(attempts(rows, rank)), floor(rows, "protected")]
    return all(level_of(most_lift(rows, row)) == "nothing" for row in worked)


def _made(attack: ImageAttack, pairs: int | None, audited: ImageAudit, run: Run) -> Row:
    """The row of a control. The attacker knows as much of the scheme as of the audited one."""
    known = replace(subject(attack.control, seed=run.seed), form=audited.subject.form)
    controlled = replace(audited, subject=known)
    row = {**described(attack, pairs, audited), "protection": known.name}
    scene = Scene.of(controlled, run.seed, audited.parts.test.images[:0])
    try:
        return row | scene.judged_as(attacked(scene, attack, pairs, controlled, run.at(FOLDER)))
    except AttackFailed as failure:
        return row | {"failed": str(failure)}
