"""`veil audit` of a client's features.

Nobody is judged whom the client was trained with. Its card says which faces these were and how they were split. Where
the audit is given the same ones, it splits them the same way, and half of the people of the test part, whom nobody has
seen yet, are the attackers' own; the other half are judged. Another set was seen by nobody: its training part is the
attackers', its test part is judged.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import typer
from rich.markup import escape

from veil import training
from veil.audits.features import audit as feature_audit
from veil.audits.features import page as feature_page
from veil.audits.features import pictures as feature_pictures
from veil.audits.features import scene as scenes
from veil.audits.features.scene import SCALES, FeatureSubject, Material
from veil.audits.features.verdicts import FeatureVerdict, gaps, verdicts
from veil.audits.images.page import LEVELS
from veil.cli import audit_pictures
from veil.cli.obfuscate_train import SMOKE_FACES
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data import faces, synthetic_faces
from veil.data.faces import FaceParts, Faces, Split
from veil.jobs import folders
from veil.jobs.rows import Row, RowFile
from veil.models.face_embedder import FaceEmbedder
from veil.protections.features import trainer
from veil.protections.features.card import ObfuscatorError
from veil.protections.features.file import Client, Service, load
from veil.protections.features.trainer import TrainedWith
from veil.report import page as report
from veil.report.numbers import duration
from veil.runtime.files import printable
from veil.runtime.scales import Scale

ROWS = "rows.jsonl"
OWN_SHARE = 0.5
"""Of the test part, for attackers, where the client was trained with the same set."""
_COLOURS = {"broken": "red", "leaks": "yellow", "nothing": "green"}


def client_of(name: str) -> Client | None:
    """The client in a file of that name; None where it is none, but something else that is audited.

    Raises:
        BadParameter: for a service's file: nobody is sent that.
    """
    if not Path(name).is_file():
        return None
    try:
        found = load(Path(name))
    except ObfuscatorError:
        return None
    if isinstance(found, Service):
        raise typer.BadParameter(f"{name} is a service's file; what is audited is its client, and it goes to --service")
    return found


def audit(
    client: Client, *, out: Path, data: str | None, scale: Scale, service: Path | None, embedder: Path | None,
    pictures: Path | None, drawn: int, seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Attack what a client sends; see `veil.audits.features.scene`.

    Args:
        pictures: folder for the first ``drawn`` judged faces and for what the strongest reconstructor draws of them.
    """
    if data is None and scale != "smoke":
        raise typer.BadParameter("give --data, or --scale smoke, which draws its own faces")
    if pictures is not None:
        audit_pictures.check(pictures, out)
    reader = Service.load(service) if service is not None else None
    if reader is not None and reader.client != client.fingerprint:
        raise typer.BadParameter(f"{service} is not the service of {client.name}: it reads another client's features")
    embed = FaceEmbedder(embedder) if embedder is not None else None
    with errors.status("reading faces"):
        parts, known = parts_for(client, data)
    material = material_of(parts, known=known, seed=seed)
    _check(material, client.target, client.hides)
    runner = training.fabric(device, "auto")
    subject = _subject(client, reader, runner.device)
    settings, read = SCALES[scale], trainer.adversary(client.training)
    said = {name: read[name] for name in client.hides if name in read}
    about = scenes.about(subject, material, settings, seed) | {
        "embedder": embedder.name if embedder else None, "known": known, "adversary": said,
    }  # fmt: skip
    with folders.locked(out), RowFile(out / ROWS, about) as rows, TrainingProgress(shown=True) as progress:
        options: dict[str, Any] = {
            "folder": out / "attackers", "seed": seed, "runner": runner, "embed": embed, "say": progress.say,
            "stepped": progress.stepped, "logged": lambda row: None,
        }  # fmt: skip
        found = feature_audit.audit(subject, material, rows, settings, **options)
        rows.finish((seed,))
        if pictures is not None:
            scene = feature_audit.scene_of(subject, material, rows, settings, **options)
            some = material.judged.take(torch.arange(min(drawn, len(material.judged))))
            audit_pictures.write(some, feature_pictures.drawn_again(scene, some.images), pictures)
    page = report.write_html(feature_page.page(found, about, _source(found, about)), out)
    _print(verdicts(found, subject.hides), gaps(found, said), page, pictures, as_json)


def parts_for(client: Client, data: str | None) -> tuple[FaceParts, bool]:
    """The faces of an audit, and whether the client was trained with them; then they are in its parts.

    Args:
        data: a folder; None draws faces.

    Raises:
        BadParameter: for a folder that is called as the client's own faces, and holds others: some of those that would
            be judged may be among them.
    """
    trained = trainer.trained_with(client.training)
    for parts in _read(client, data, trained):
        if trained is not None and parts.fingerprint == trained.fingerprint:
            return parts, True
    if trained is None:
        errors.print(
            f"[yellow]{escape(printable(client.name))} does not say which faces it was trained with[/]: the "
            f"numbers hold if none of {escape(parts.name)}'s test part are among them", soft_wrap=True
        )  # fmt: skip
    elif data is not None and parts.name == trained.name:
        raise typer.BadParameter(
            f"{data} is a set called {parts.name}, as the one that {printable(client.name)} was trained with, "
            f"but not the same ({parts.fingerprint}, not {printable(trained.fingerprint)}): faces that would "
            "be judged may have been trained with; give that very set, or faces of other people under another name"
        )
    return parts, False


def _read(client: Client, data: str | None, trained: TrainedWith | None) -> Iterator[FaceParts]:
    """The faces, in the split of the training; then as anybody reads them."""
    if data is None:
        yield synthetic_faces.faces(SMOKE_FACES, 0 if trained is None else trained.seed, client.size[0])
        return
    ways: list[tuple[Split, int]] = []
    if trained is not None:
        ways.append((trained.split, trained.seed))
    for split, seed in dict.fromkeys([*ways, ("official", 0)]):
        yield faces.read(Path(data), client.size, split=split, seed=seed)


def material_of(parts: FaceParts, *, known: bool, seed: int) -> Material:
    """Who has which faces; see the head of this module.

    Args:
        known: whether the client was trained with them.
        seed: of the two halves of the test part.

    Raises:
        ValueError: where too few people are in it for two halves.
    """
    name = f"{parts.name} {parts.fingerprint}"
    if not known:
        return Material(name=name, own=parts.train, validation=parts.validation, judged=parts.test)
    judged, own = faces.for_attackers(parts.test, OWN_SHARE, seed)
    return Material(name=name, own=own, validation=parts.validation, judged=judged, service=parts.train)


def _check(material: Material, target: Sequence[str], hides: Sequence[str]) -> None:
    """Says what cannot be audited before anything is trained.

    Raises:
        ValueError: for attributes that are not known, and for hidden ones that all faces of a part have, or none.
    """
    material.judged.labels(target)
    for part in ("own", "validation", "judged"):
        found: Faces = getattr(material, part)
        for name, column in zip(hides, found.labels(hides).T, strict=True):
            if bool((column == column[0]).all()):
                raise ValueError(
                    f"{name} is {'true' if column[0] else 'false'} of all {len(column):,} faces that are "
                    f"{_PARTS[part]}: nothing can be said of it"
                )


_PARTS = {"own": "the attackers' own", "validation": "for validation", "judged": "judged"}


def _subject(client: Client, service: Service | None, device: torch.device) -> FeatureSubject:
    if service is not None:
        service.network.to(device)
    return FeatureSubject(
        name=client.name, described=client.fingerprint, target=client.target, hides=client.hides,
        send=lambda images: client(images.to(device)),
        answer=None if service is None else lambda sent: service.network(sent.to(device)),
        features=client.features,
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _source(rows: list[Row], about: dict[str, Any]) -> str:
    seconds, data = sum(row["seconds"] for row in rows), about["data"]
    if about["known"]:
        data += " (which the client was trained with; of its test part, half of the people are the attackers’)"
    return f"{data} · seed {about['seed']} · {len(rows)} rows in {duration(seconds)} · `veil audit`"


def _print(
    found: list[FeatureVerdict], unknown: Sequence[Row], page: Path, pictures: Path | None, as_json: bool
) -> None:  # fmt: skip
    if as_json:
        result = {
            "verdicts": [{"about": each.about, "level": each.level, "text": each.text,
                          "attack": each.strongest.get("attack")} for each in found],
            "gaps": unknown, "report": printable(page),
            "reconstructions": None if pictures is None else printable(pictures),
        }  # fmt: skip
        output.print_json(json.dumps(result))
        return
    for each in found:
        output.print(f"{each.about}: [{_COLOURS[each.level]}]{LEVELS[each.level]}[/]", soft_wrap=True)
        output.print(f"  {escape(each.text)}", soft_wrap=True)
        for gap in unknown:
            if gap["attribute"] == each.about:
                output.print(
                    f"  the training's own adversary read {_percent(gap['training'])} (validation faces), the "
                    f"strongest retrained attacker {_percent(gap['retrained'])}: "
                    f"a gap of {100 * gap['gap']:+.1f} points",
                    soft_wrap=True,
                )
    output.print(f"report: {escape(printable(page))}", soft_wrap=True)
    if pictures is not None:
        output.print(f"next: {escape(audit_pictures.command(pictures))}", soft_wrap=True)
