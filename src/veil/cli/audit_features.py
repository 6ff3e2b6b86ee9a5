"""`veil audit` of a client's features."""

import json
from pathlib import Path
from typing import Any

import torch
import typer
from rich.markup import escape

from veil import folders, training
from veil.audit import feature_audit, feature_page, features
from veil.audit.feature_verdicts import FeatureVerdict, verdicts
from veil.audit.features import SCALES, FeatureSubject, Material
from veil.audit.page import LEVELS
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data import faces, made_faces
from veil.data.faces import FaceParts
from veil.models.face_embedder import FaceEmbedder
from veil.obfuscation.card import ObfuscatorError
from veil.obfuscation.file import Client, Service, load
from veil.recipes.recipe import Scale
from veil.report import paper as report
from veil.report.numbers import duration
from veil.rows import Row, RowFile

ROWS = "rows.jsonl"
_COLOURS = {"broken": "red", "leaks": "yellow", "nothing": "green"}
_SMOKE_FACES = 900


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
    seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Attack what a client sends; see `veil.audit.features`."""
    if data is None and scale != "smoke":
        raise typer.BadParameter("give --data, or --scale smoke, which draws its own faces")
    reader = Service.load(service) if service is not None else None
    if reader is not None and reader.client != client.fingerprint:
        raise typer.BadParameter(f"{service} is not the service of {client.name}: it reads another client's features")
    embed = FaceEmbedder(embedder) if embedder is not None else None
    with errors.status("reading faces"):
        parts = _faces(client, data)
    runner = training.fabric(device, "auto")
    subject = _subject(client, reader, runner.device)
    for name in (*subject.target, *subject.hides):
        parts.test.labels([name])  # says which attributes there are, before anything is trained
    material = Material(
        name=f"{parts.name} {parts.fingerprint}", own=parts.train, validation=parts.validation, judged=parts.test
    )
    settings = SCALES[scale]
    about = features.about(subject, material, settings, seed) | {"embedder": embedder.name if embedder else None}
    with folders.locked(out), RowFile(out / ROWS, about) as rows, TrainingProgress(shown=True) as progress:
        found = feature_audit.audit(
            subject, material, rows, settings, folder=out / "attackers", seed=seed, runner=runner, embed=embed,
            say=progress.say, stepped=progress.stepped, logged=lambda row: None,
        )  # fmt: skip
        rows.finish((seed,))
    written = report.write_html(feature_page.page(found, about, _source(found, about)), out)
    _print(verdicts(found, subject.hides), written, as_json)


def _faces(client: Client, data: str | None) -> FaceParts:
    if data is None:
        return made_faces.faces(_SMOKE_FACES, side=client.size[0])
    return faces.read(Path(data), client.size)


def _subject(client: Client, service: Service | None, device: torch.device) -> FeatureSubject:
    if service is not None:
        service.network.to(device)
    return FeatureSubject(
        name=client.name, described=client.fingerprint, target=client.target, hides=client.hides,
        send=lambda images: client(images.to(device)),
        answer=None if service is None else lambda sent: service.network(sent.to(device)),
        features=client.features,
    )  # fmt: skip


def _source(rows: list[Row], about: dict[str, Any]) -> str:
    seconds = sum(row["seconds"] for row in rows)
    return f"{about['data']} · seed {about['seed']} · {len(rows)} rows in {duration(seconds)} · `veil audit`"


def _print(found: list[FeatureVerdict], page: Path, as_json: bool) -> None:
    if as_json:
        result = {
            "verdicts": [{"about": each.about, "level": each.level, "text": each.text,
                          "attack": each.strongest.get("attack")} for each in found],
            "report": folders.printable(page),
        }  # fmt: skip
        output.print_json(json.dumps(result))
        return
    for each in found:
        output.print(f"{each.about}: [{_COLOURS[each.level]}]{LEVELS[each.level]}[/]", soft_wrap=True)
        output.print(f"  {escape(each.text)}", soft_wrap=True)
    output.print(f"report: {escape(folders.printable(page))}", soft_wrap=True)
