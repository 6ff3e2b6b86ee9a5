"""`veil obfuscate train`: an obfuscator for clients, and the classifier of its features for the service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from veil.cli.options import AUTO_DEVICE, Device, completion, names_in, one_of, table_help, with_options
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data.face_lists import Split
from veil.models.features import STRIDE
from veil.protections.features import CLIENT_FILE, PRESETS, SERVICE_FILE
from veil.protections.features.encoding import Sent
from veil.protections.features.settings import ObfuscatorSettings
from veil.runtime.devices import Precision
from veil.runtime.files import printable

if TYPE_CHECKING:
    from veil.data.faces import FaceParts
    from veil.protections.features.trainer import TrainedPair

SMOKE: dict[str, Any] = {
    "width": 8, "reader": 16, "pretraining": 4, "attackers": 1, "reconstructor": None, "epochs": 2, "batch_size": 16,
}  # fmt: skip
SMOKE_FACES = 600
"""How many faces of a data set the scale smoke takes at most."""
_SIDES = {"full": 64, "smoke": 32}
_SHOWN_SIDES = "; ".join(f"{scale}: {side}" for scale, side in _SIDES.items())


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for every setting that has a help text; it gets those that were set as ``given``."""
    options = {}
    for field in fields(ObfuscatorSettings):
        if "help" in field.metadata:
            option = typer.Option(
                "--" + field.name.replace("_", "-"), help=field.metadata["help"], show_default="the preset's",
                min=field.metadata["least"],
            )  # fmt: skip
            options[field.name] = Annotated[type(field.default) | None, option]
    return with_options(command, options)


@_with_settings
def train(
    target: Annotated[
        str, typer.Option(help="Attributes that the service is to know, with commas between.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help=f"Folder for {CLIENT_FILE}, {SERVICE_FILE}, checkpoints and logs.")
    ],
    given: dict[str, Any],
    hide: Annotated[str, typer.Option(help="Attributes that nobody is to know.",
                                      show_default="none")] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of faces: CelebA, or photos with attributes.csv.",
                     show_default="drawn faces, with --scale smoke"),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(help=f"How it is trained. {table_help(PRESETS)[:-1]}; or package.module:object.",
                     autocompletion=completion(PRESETS)),
    ] = next(iter(PRESETS.names())),
    scale: Annotated[
        str, one_of(_SIDES, "smoke: seconds, on some 600 faces of --data, or on drawn ones; full: the settings as they "
                    "are.")
    ] = "full",
    side: Annotated[
        int | None, typer.Option(min=STRIDE, help=f"Of the images, a multiple of {STRIDE}.",
                                 show_default=_SHOWN_SIDES)
    ] = None,
    split: Annotated[
        Split, typer.Option(help="The partition of the data, or the paper's shares, by person.")
    ] = "official",
    values: Annotated[
        int | None, typer.Option(min=0, help="How many values are sent; 0 sends Table 1's maps.",
                                 show_default="the preset's")
    ] = None,
    sent: Annotated[
        Sent | None, typer.Option(help="Type of what is sent.",
                                  show_default="uint8 for values, float16 for maps")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the client and the service.", show_default="the folder's name")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and splits.")] = 0,
    device: Device = AUTO_DEVICE,
    precision: Annotated[Precision, typer.Option(help="auto is bf16-mixed where it is fast.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:  # fmt: skip
    """Train an obfuscator: its features tell the service what it asks for, and are to tell nobody more.

    How well the service reads is measured on the test images. How much attackers read is measured by
    `veil audit OUT/client.safetensors`, and by nothing that a training says of itself.

    The same command goes on from the last finished epoch and ends with the same weights.
    """
    from veil import training
    from veil.data import faces
    from veil.jobs import folders
    from veil.protections.features import trainer
    from veil.training.run import Run

    wanted, hides = names_in(target), names_in(hide)
    if values is not None:
        given["values"] = values or None
    settings = _settings(preset, SMOKE if scale == "smoke" else {}, given)
    if data is None and scale != "smoke":
        raise typer.BadParameter("give --data, or --scale smoke, which draws faces of its own")
    side = side or _SIDES[scale]
    if side % STRIDE:
        raise typer.BadParameter(f"--side is a multiple of {STRIDE}, not {side}")
    runner = training.fabric(device, precision)
    with errors.status("reading faces"):
        parts = _faces(data, side, split, seed, SMOKE_FACES if scale == "smoke" else None)
    trainer.check(parts.train, wanted, hides)
    faces.require_auditable(parts, hides)
    with folders.locked(out):
        errors.print(escape(
            f"{parts.name}: {len(parts.train):,} training images; for {', '.join(wanted)}, "
            f"hiding {', '.join(hides) or 'no attribute'}"
        ))  # fmt: skip
        with TrainingProgress(shown=True) as progress:
            run = Run(folder=out, seed=seed, runner=runner, stepped=progress.stepped, logged=progress.logged)
            pair = trainer.train_pair(
                parts, wanted, hides, settings, run, name=name or out.resolve().name, sent=sent
            )  # fmt: skip
        pair.client.save(out / CLIENT_FILE)
        pair.service.save(out / SERVICE_FILE)
    _finish(pair, out, data, as_json)


def _settings(preset: str, of_scale: Mapping[str, Any], changes: Mapping[str, Any]) -> ObfuscatorSettings:
    """A preset's settings with changes.

    Raises:
        BadParameter: where there is no such preset, or a value is out of range.
    """
    try:
        return replace(PRESETS.resolve(preset).settings, **{**of_scale, **changes})
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _faces(data: Path | None, side: int, split: Split, seed: int, most: int | None) -> FaceParts:
    from veil.data import faces
    from veil.protections.features.trainer import drawn_faces

    return drawn_faces(side, seed) if data is None else faces.read(data, side, split=split, seed=seed, most=most)


def _finish(pair: TrainedPair, out: Path, data: Path | None, as_json: bool) -> None:
    """Says how good the service is, and where privacy is measured."""
    from veil.protections.features.card import utility_line

    client, service = printable(out / CLIENT_FILE), printable(out / SERVICE_FILE)
    measured = pair.client.measured
    if as_json:
        result = {
            "client": client, "service": service, "fingerprints": [pair.client.fingerprint, pair.service.fingerprint],
            "utility": {name: measured[name] for name in pair.client.target}, "logs": pair.trained.logs,
        }  # fmt: skip
        output.print_json(json.dumps(result))
        return
    output.print(escape(f"on {measured['on']}:"), soft_wrap=True)
    for name in pair.client.target:
        output.print(escape(f"  {utility_line(measured, name)}"), soft_wrap=True)
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
