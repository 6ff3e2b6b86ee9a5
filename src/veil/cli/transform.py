"""`veil transform`: folders of images through a transformation network, and what is known of one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from veil.cli.options import MaxMegapixels
from veil.cli.terminal import FolderProgress, output
from veil.cli.transform_train import train
from veil.jobs.folders import Row
from veil.protections.transformation.file import DEFAULT, MAX_PIXELS, Transformation, find, packaged
from veil.protections.transformation.folder import LOSSLESS, transform_folder
from veil.runtime import devices
from veil.runtime.files import printable

FAILED = 1
_NAMES = f"Packaged: {', '.join(packaged())}"
commands = typer.Typer(no_args_is_help=True, help="Transformation networks: train one, apply it, ask what it is.")
commands.command()(train)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command()
def apply(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Images, and folders of images.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the transformed images, rows.jsonl and run.json.")
    ],
    transformation: Annotated[
        str, typer.Option("--with", metavar="NAME|FILE", help=f"{_NAMES}, or a file of `veil transform train`.")
    ] = DEFAULT,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Resize to this side first, for a network of that input: transformed images cannot be resized. "
            "[default: as they are]",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help=f"Of the files that are written: {', '.join(LOSSLESS)}; none with loss.")
    ] = "png",
    max_megapixels: MaxMegapixels = MAX_PIXELS / 1e6,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Transform images: people do not see what they show, networks can learn from them.

    There is no key: whoever has the transformation file can train a network that undoes it, more or less well. See
    docs/transformation.md.

    The same command goes on where it was stopped. Exit status: 0 all transformed, 1 some failed, 2 wrong usage.
    """
    found = find(transformation)
    with FolderProgress({"transformed": "green"}, files="images") as progress:
        rows = transform_folder(
            inputs, out, found, format=format, size=size, max_pixels=int(max_megapixels * 1e6),
            device=devices.choose(device), started=progress.started, finished=progress.finished,
        )  # fmt: skip
    _finish(rows, found, out, as_json)


@commands.command()
def show(
    transformation: Annotated[
        str, typer.Argument(metavar="[NAME|FILE]", help=f"{_NAMES}, or a file of `veil transform train`.")
    ] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say what a transformation's card says: how it was trained, and what was measured."""
    found = find(transformation)
    about = {
        "name": found.name,
        "method": found.method,
        "network": found.network.options,
        "parameters": sum(parameter.numel() for parameter in found.network.parameters()),
        "fingerprint": found.fingerprint,
        "training": dict(found.training),
        "measured": dict(found.measured),
    }
    if as_json:
        output.print_json(json.dumps(about))
        return
    for name, value in about.items():
        if isinstance(value, dict):
            output.print(f"{name:12} {'' if value else 'nothing said'}".rstrip())
            for entry, said in value.items():
                output.print(escape(f"  {printable(entry)}: {_shown(said)}"), soft_wrap=True)
        else:
            output.print(escape(f"{name:12} {_shown(value)}"), soft_wrap=True)


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _finish(rows: Sequence[Row], transformation: Transformation, out: Path, as_json: bool) -> None:
    """Prints what became of the images, and ends with the status that says so."""
    failed = sum(row["error"] is not None for row in rows)
    if as_json:
        summary = {
            "images": len(rows), "transformed": len(rows) - failed, "failed": failed,
            "transformation": transformation.fingerprint, "out": printable(out),
        }  # fmt: skip
        output.print_json(json.dumps(summary))
    else:
        output.print(
            f"{len(rows)} images: [green]{len(rows) - failed} transformed[/], [red]{failed} failed[/]; "
            f"{escape(printable(transformation.name))} ({transformation.fingerprint}); in {escape(printable(out))}",
            soft_wrap=True,
        )
    raise typer.Exit(FAILED if failed else 0)
