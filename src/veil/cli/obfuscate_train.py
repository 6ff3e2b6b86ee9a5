"""`veil obfuscate train`: an obfuscator for clients, and the classifier of its features for the service."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from veil import training
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data import faces, synthetic_faces
from veil.jobs import folders
from veil.models.obfuscator import STRIDE
from veil.protections.features import PRESETS, ObfuscatorSettings, trainer
from veil.protections.features.encoding import Sent
from veil.protections.features.file import CLIENT_FILE, SERVICE_FILE
from veil.runtime.files import printable
from veil.training.loop import Precision

SMOKE: dict[str, Any] = {
    "width": 8, "reader": 16, "pretraining": 4, "attackers": 1, "reconstructor": None, "epochs": 2, "batch_size": 16,
}  # fmt: skip
SMOKE_FACES, _SIDES = 600, {"smoke": 32, "full": 64}
_HELP = {each.name: each.metadata["help"] for each in fields(ObfuscatorSettings) if "help" in each.metadata}


def _setting(name: str, help: str = "", **limits: Any) -> Any:
    """An option of a field of the settings, which says what the field says."""
    return typer.Option(help=f"{help or _HELP[name]} [default: the preset's]", show_default=False, **limits)


def train(
    target: Annotated[
        str, typer.Option(help="Attributes that the service is to know, with commas between.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help=f"Folder for {CLIENT_FILE}, {SERVICE_FILE}, checkpoints and logs.")
    ],
    hide: Annotated[str, typer.Option(help="Attributes that nobody is to know. [default: none]",
                                      show_default=False)] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of faces: CelebA, or photos with attributes.csv.", show_default=False),
    ] = None,
    preset: Annotated[
        Literal["veil", "paper", "authors-code"],
        typer.Option(help="The paper's training, its authors' code's, or Veil's, which hides more."),
    ] = "veil",
    scale: Annotated[
        Literal["smoke", "full"], typer.Option(help="smoke: seconds, on drawn faces where there is no --data.")
    ] = "full",
    side: Annotated[
        int | None, typer.Option(min=STRIDE, help="Of the images, a multiple of 4. [default: 64; smoke: 32]",
                                 show_default=False)
    ] = None,
    split: Annotated[
        Literal["official", "paper"], typer.Option(help="The partition of the data, or the paper's shares, by person.")
    ] = "official",
    values: Annotated[
        int | None, typer.Option(min=0, help="How many values are sent; 0 sends Table 1's maps. "
                                 "[default: the preset's]", show_default=False)
    ] = None,
    sent: Annotated[
        Sent | None, typer.Option(help="Type of what is sent. [default: uint8 for values, float16 for maps]",
                                  show_default=False)
    ] = None,
    width: Annotated[int | None, _setting("width", "Channels of the obfuscator, a multiple of 8.")] = None,
    reader: Annotated[int | None, _setting("reader", "Channels of the service's network, for maps.")] = None,
    pretraining: Annotated[int | None, _setting("pretraining", "Epochs without any defence.", min=0)] = None,
    attackers: Annotated[int | None, _setting("attackers", "Epochs of the adversaries alone.", min=0)] = None,
    epochs: Annotated[int | None, _setting("epochs", min=0)] = None,
    batch_size: Annotated[int | None, _setting("batch_size", "Images of a batch.", min=2)] = None,
    learning_rate: Annotated[float | None, _setting("learning_rate")] = None,
    lambda1: Annotated[float | None, _setting("lambda1", min=0)] = None,
    lambda2: Annotated[float | None, _setting("lambda2", min=0)] = None,
    name: Annotated[str | None, typer.Option(help="[default: the folder's name]", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and splits.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="auto is bf16-mixed where it is fast.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:  # fmt: skip
    """Train an obfuscator: its features tell the service what it asks for, and are to tell nobody more.

    How well the service reads is measured on the test images. How much attackers read is measured by
    `veil audit OUT/client.safetensors`, and by nothing that a training says of itself.

    The same command goes on from the last finished epoch and ends with the same weights.
    """
    wanted, hidden = _names(target), _names(hide)
    given = {
        "width": width, "reader": reader, "pretraining": pretraining, "attackers": attackers, "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "lambda1": lambda1, "lambda2": lambda2,
    }  # fmt: skip
    changes = (SMOKE if scale == "smoke" else {}) | {key: value for key, value in given.items() if value is not None}
    if values is not None:
        changes["values"] = values or None
    try:
        settings = replace(PRESETS[preset], **changes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    side = side or _SIDES[scale]
    if side % STRIDE:
        raise typer.BadParameter(f"--side is a multiple of {STRIDE}, not {side}")
    if data is None and scale != "smoke":
        raise typer.BadParameter("give --data, or --scale smoke, which draws faces of its own")
    runner = training.fabric(device, precision)
    with errors.status("reading faces"):
        parts = (
            faces.read(data, side, split=split, seed=seed) if data is not None
            else replace(synthetic_faces.faces(SMOKE_FACES, seed, side), seed=seed)
        )  # fmt: skip
    trainer.check(parts.train, wanted, hidden)
    with folders.locked(out):
        errors.print(escape(
            f"{parts.name}: {len(parts.train):,} training images; for {', '.join(wanted)}, "
            f"hiding {', '.join(hidden) or 'no attribute'}"
        ))  # fmt: skip
        with TrainingProgress(shown=True) as progress:
            found = trainer.make(
                parts, wanted, hidden, settings, name=name or out.resolve().name, sent=sent, folder=out, seed=seed,
                runner=runner, stepped=progress.stepped, logged=progress.logged,
            )  # fmt: skip
        found.client.save(out / CLIENT_FILE)
        found.service.save(out / SERVICE_FILE)
    _finish(found, out, data, as_json)


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _finish(found: trainer.Made, out: Path, data: Path | None, as_json: bool) -> None:
    """Says how good the service is, and where privacy is measured."""
    client, service = printable(out / CLIENT_FILE), printable(out / SERVICE_FILE)
    measured = found.client.measured
    if as_json:
        result = {
            "client": client, "service": service, "fingerprints": [found.client.fingerprint, found.service.fingerprint],
            "utility": {name: measured[name] for name in found.client.target}, "logs": found.fitted.logs,
        }  # fmt: skip
        output.print_json(json.dumps(result))
        return
    output.print(escape(f"on {measured['on']}:"), soft_wrap=True)
    for name in found.client.target:
        output.print(escape(f"  {trainer.said(measured, name)}"), soft_wrap=True)
    output.print(escape(f"client: {client} (for every phone)"), soft_wrap=True)
    output.print(escape(f"service: {service}"), soft_wrap=True)
    faces = "--scale smoke" if data is None else f"--data {printable(data)}"
    output.print(
        escape(
            "What attackers read is not known yet. The adversaries of the training are no measure of it: "
            f"veil audit {client} {faces} -o {printable(out / 'audit')} trains others, from nothing."
        ),
        soft_wrap=True,
    )
