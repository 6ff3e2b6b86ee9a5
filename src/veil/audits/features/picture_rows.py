"""What attackers draw from features, in an audit (Li et al. 2019, section 4.4): rows of pictures.

Threat model and rows: `veil.audits.features.running`. Floors are pictures that need no features: the mean face, another
face, grey.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from veil import images
from veil.attacks.errors import AttackFailed
from veil.attacks.features import ImageSearch, Reconstructor, TrainedAttack, attackers_of
from veil.attacks.features.attackers import KnownImages, shape_of
from veil.attacks.features.in_loop import IN_LOOP
from veil.audits.features.person_rows import recognised
from veil.audits.features.running import PART, RunningAudit
from veil.runtime.lazy import torch
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor

    from veil.jobs.rows import Row

_GREY = 128


def floors(audit: RunningAudit) -> None:
    """Pictures that need no features."""
    plain = audit.pictures
    mean = _mean_face(audit)
    pictures = {
        "plain": plain, "mean": mean.expand(plain.shape), "unrelated": plain[_others(audit, len(plain))],
        "grey": torch.full_like(plain, _GREY),
    }  # fmt: skip
    for name, picture in pictures.items():
        if not audit.there(kind="picture-floor", floor=name):
            audit.add(kind="picture-floor", floor=name, **pictured(audit, picture))
    audit.show(lambda: audit.shown, floor="plain")
    audit.show(lambda: mean.expand(audit.shown.shape), floor="mean")


def _others(audit: RunningAudit, count: int) -> Tensor:
    """For each of the first judged faces the next one of another person, or the next one."""
    people = audit.faces.judged.identities
    people = torch.arange(count) if people is None else people[:count]
    others = torch.arange(1, count + 1) % count
    for _ in range(count - 1):
        alike = people[others] == people
        if not alike.any():
            break
        others = torch.where(alike, (others + 1) % count, others)
    return others


def _mean_face(audit: RunningAudit) -> Tensor:
    """Of all faces that an attacker can have: uint8 (3, H, W)."""
    from veil.metrics.recovery import mean_image

    return mean_image(audit.faces.most.images).round().to(torch.uint8)


def reconstructions(audit: RunningAudit) -> None:
    """What attackers draw who have all faces that can be had."""
    _drawn_in_loop(audit)
    for row in audit.settings.of(Reconstructor):
        for number in range(audit.settings.drawn):
            _reconstruct(audit, row, number)
    for search in audit.settings.of(ImageSearch):
        _search(audit, search)


def _drawn_in_loop(audit: RunningAudit) -> None:
    """What the training's own reconstructor draws, where it is at hand."""
    network, fields = audit.subject.reconstructor, {"attack": IN_LOOP.name}
    if network is None:
        return
    if not audit.there(kind="reconstruction", **fields):
        asked = audit.features("judged")[: audit.settings.judged]
        audit.add(kind="reconstruction", **fields, **pictured(audit, _drawn_by(network, asked)))
    audit.show(lambda: _drawn_by(network, audit.sent_of_shown()), **fields)


def _drawn_by(network: Callable[[Tensor], Tensor], sent: Tensor) -> Tensor:
    """What a network from features to images in [0, 1] draws, uint8."""
    with torch.inference_mode():
        parts = [images.quantise(network(part.float()).clamp(0, 1)).cpu() for part in torch.split(sent, PART)]
    return torch.cat(parts)


def _reconstruct(audit: RunningAudit, row: Reconstructor, number: int) -> None:
    """What a reconstructor draws, by one seed; pictures are kept of the first."""
    fields: Row = {"kind": "reconstruction", "attack": row.name, "attack_seed": number}
    measured = audit.find(**fields)
    failed = any("failed" in line for line in measured)
    shown = bool(number) or not len(audit.shown) or audit.there(kind="shown", attack=row.name)
    if measured and (shown or failed):
        return
    audit.record(row)
    audit.say(f"{row.title}, seed {number}")
    try:
        attack = trained(audit, row, number)
        if not measured:
            drawn = attack(audit.features("judged")[: audit.settings.judged])
            audit.add(**fields, best_epoch=attack.best_epoch, flat=attack.flat, **pictured(audit, drawn))
            measured = audit.find(**fields)
        if not number:
            audit.show(lambda: attack(audit.sent_of_shown()), attack=row.name)
    except AttackFailed as failure:
        if not measured:
            audit.add(**fields, failed=str(failure))


def trained(audit: RunningAudit, row: Reconstructor, number: int) -> TrainedAttack:
    """Trained with all faces that can be had, or taken from its checkpoint."""
    return row.train(
        KnownImages(audit.features("most"), audit.faces_of("most").images),
        KnownImages(audit.features("validation"), audit.faces.validation.images), audit.settings.settings_of(row),
        audit.training(row.name, str(number), seed=seed_of("attack", audit.run.seed, number)),
    )  # fmt: skip


def drawn_again(audit: RunningAudit, faces: Tensor) -> Tensor:
    """What the strongest retrained reconstructor draws of what is sent of faces, uint8 (N, 3, H, W) as these are.

    Raises:
        ValueError: where an audit measured none.
    """
    rows = attackers_of(Reconstructor) | {row.name: row for row in audit.settings.of(Reconstructor)}
    lines = [line for line in audit.find(kind="reconstruction") if line["attack"] in rows and "failed" not in line]
    if not lines:
        raise ValueError("no reconstructor was trained in this audit")
    best = max(lines, key=lambda line: float(line["ms_ssim"]))
    attack = trained(audit, rows[best["attack"]], best["attack_seed"])
    sent = [audit.subject.send(part).cpu().float() for part in torch.split(faces, PART)]
    return torch.cat([attack(part) for part in sent])


def _search(audit: RunningAudit, row: ImageSearch) -> None:
    """Images that send the same, sought with the client at hand; some of them, for it takes long."""
    features, count = audit.subject.features, min(audit.settings.searched, len(audit.pictures))
    if features is None or not count:
        return
    fields: Row = {"attack": row.name}
    measured = audit.find(kind="reconstruction", **fields)
    failed = any("failed" in line for line in measured)
    if measured and (failed or not len(audit.shown) or audit.there(kind="shown", **fields)):
        return
    audit.record(row)
    if (reason := row.cannot(shape_of(audit.features("judged")))) is not None:
        audit.add(kind="reconstruction", **fields, failed=f"{row.title} {reason}")
        return
    try:
        if not measured:
            drawn = searched(audit, row, audit.features("judged")[:count])
            audit.add(kind="reconstruction", **fields, **pictured(audit, drawn))
            measured = audit.find(kind="reconstruction", **fields)
        audit.show(lambda: searched(audit, row, audit.sent_of_shown()), **fields)
    except AttackFailed as failure:
        if not measured:
            audit.add(kind="reconstruction", **fields, failed=str(failure))


def searched(audit: RunningAudit, row: ImageSearch, sent: Tensor) -> Tensor:
    """Images whose features are those that were sent, uint8."""
    assert audit.subject.features is not None
    mean = images.to_float(_mean_face(audit)[None])[0]
    size, settings = tuple(audit.pictures.shape[2:]), audit.settings.settings_of(row)
    audit.say(row.title)
    return row.search(sent.float(), audit.subject.features, size, settings, seed=audit.run.seed, mean=mean).cpu()


def pictured(audit: RunningAudit, drawn: Tensor) -> Row:
    """All metrics of pictures of the first judged faces."""
    from veil.metrics.recovery import recovery

    metrics = asdict(recovery(audit.pictures[: len(drawn)], drawn))
    del metrics["accuracy"]
    return {"count": len(drawn), **metrics, **recognised(audit, drawn)}
