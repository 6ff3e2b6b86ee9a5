"""`veil audit`: what attackers recover from protected images."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from veil.attacks.features import FEATURE_ATTACKERS
from veil.attacks.images import ATTACKS
from veil.cli import key as keys
from veil.cli.options import ALL, AUTO_DEVICE, Device, attacks_of, completion_of_names, starting
from veil.cli.terminal import LEVEL_COLOURS, TrainingProgress, output
from veil.protections import PROTECTIONS
from veil.runtime.files import printable
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from veil.audits.images.result import ImageAuditResult


Protection = Annotated[
    str,
    typer.Argument(
        help=f"{', '.join(PROTECTIONS)}; a transformation file, the client's file of an obfuscator, or "
        "package.module:callable on uint8 images (N, 3, H, W). With plain nothing is done to images.",
        autocompletion=starting(PROTECTIONS.names()),
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for rows.jsonl, report.html and checkpoints.")]
Data = Annotated[
    str | None,
    typer.Option(
        help="Folder of a data set, as for `veil train`, or hub:NAME.", show_default="drawn images, with --scale smoke"
    ),
]
Attacks = Annotated[
    str,
    typer.Option(
        help=f"all, or some of {', '.join(ATTACKS)} (of a client: {', '.join(FEATURE_ATTACKERS)}), or "
        "package.module:attack, with commas between.",
        autocompletion=completion_of_names(lambda: [ALL, *ATTACKS.names(), *FEATURE_ATTACKERS.names()]),
    ),
]
AtScale = Annotated[
    Scale, typer.Option(help="smoke: seconds, on made images; cpu: an hour on two cores; paper: a GPU.")
]
Side = Annotated[int | None, typer.Option(min=1, help="Resize images to this.", show_default="as they are")]
Reader = Annotated[
    str | None,
    typer.Option(
        help="Reads what came back: a model of these classes, see `veil models`.",
        show_default="none",
    ),
]
KeyFile = Annotated[Path | None, typer.Option(help="Key file of the cipher.", show_default="one that is drawn")]
ServiceFile = Annotated[
    Path | None, typer.Option(help="Of a client: its service's file, to say what it reads.", show_default="none")
]
Embedder = Annotated[
    Path | None,
    typer.Option(help="Of a client: a face recogniser, ONNX, to say who is found again.", show_default="none"),
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        help="Of a client: new folder for faces and what the strongest reconstructor draws of them, as "
        "`veil study new` takes them.",
        show_default="none",
    ),
]
HowMany = Annotated[
    int, typer.Option(min=1, help="With --save-reconstructions: of how many faces, the first of those judged.")
]
Seed = Annotated[int, typer.Option(help="Of images, keys and attackers.")]
Control = Annotated[
    bool,
    typer.Option(
        "--control/--no-control",
        help="Make attacks that report nothing against what is known to be broken, too. Without, no verdict says "
        "that nothing was found.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")]


def audit(
    protection: Protection,
    out: Out,
    data: Data = None,
    attacks: Attacks = ALL,
    scale: AtScale = "cpu",
    side: Side = None,
    classifier: Reader = None,
    key: KeyFile = None,
    service: ServiceFile = None,
    embedder: Embedder = None,
    save_reconstructions: Pictures = None,
    reconstructions: HowMany = 100,
    seed: Seed = 0,
    device: Device = AUTO_DEVICE,
    control: Control = True,
    as_json: AsJson = False,
) -> None:
    """Attack a protection in every way that Veil knows, and say what each kind of attacker gets.

    Attackers are trained from nothing, on images of their own, and judged on others. Rows are appended as they are
    measured; the same command goes on where it was stopped.
    """
    from veil.audits import client_of
    from veil.audits.images.api import audit_images
    from veil.cli import audit_features

    client = client_of(protection)
    if client is not None:
        _refuse("images", side=side is not None, classifier=classifier is not None, key=key is not None)
        audit_features.audit(
            client, out=out, data=data, scale=scale, service=service, embedder=embedder, pictures=save_reconstructions,
            drawn=reconstructions, seed=seed, device=device, as_json=as_json, attacks=attacks, control=control,
        )  # fmt: skip
        return
    _refuse("clients", service=service is not None, embedder=embedder is not None,
            save_reconstructions=save_reconstructions is not None)  # fmt: skip
    if data is None and scale != "smoke":
        raise typer.BadParameter("give --data, or --scale smoke, which makes its own")
    secret = keys.load(key) if key is not None else None
    with TrainingProgress(shown=True) as progress:
        result = audit_images(
            protection, data, scale=scale, attacks=attacks_of(attacks), side=side, classifier=classifier, key=secret,
            out=out, seed=seed, device=device, control=control, progress=progress,
        )  # fmt: skip
    _print(result, as_json)


def _refuse(belongs_to: str, **given: bool) -> None:
    """Options that say nothing here.

    Raises:
        BadParameter: where one was given.
    """
    for name, there in given.items():
        if there:
            raise typer.BadParameter(f"--{name.replace('_', '-')} belongs to audits of {belongs_to}")


def _print(result: "ImageAuditResult", as_json: bool) -> None:
    if as_json:
        output.print_json(json.dumps({
            "scale": result.scale,
            "verdicts": [
                {"attacker": verdict.attacker, "level": verdict.level, "verdict": verdict.words, "text": verdict.text,
                 "attack": None if verdict.strongest is None else verdict.strongest.get("attack"),
                 "attacks": verdict.attacks, "images": verdict.count, "scale": verdict.scale,
                 "alarm": verdict.alarm or None}
                for verdict in result.verdicts
            ],
            "report": printable(result.report),
        }))  # fmt: skip
        return
    for verdict in result.verdicts:
        words = f"[{LEVEL_COLOURS[verdict.level]}]{escape(verdict.words)}[/]"
        output.print(f"an attacker who {verdict.attacker}: {words} ({escape(verdict.over)})", soft_wrap=True)
        output.print(f"  {escape(verdict.text)}", soft_wrap=True)
        if verdict.alarm:
            output.print(f"  [red]{escape(verdict.alarm)}[/]", soft_wrap=True)
    output.print(f"report: {escape(printable(result.report))}", soft_wrap=True)
