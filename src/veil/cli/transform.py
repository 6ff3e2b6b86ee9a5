"""`veil transform`: folders of images through a transformation network, and what is known of one."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from veil.cli.examples import examples
from veil.cli.options import (
    AUTO_DEVICE,
    DECODE_SECONDS,
    DecodeTimeout,
    Device,
    LosslessFormat,
    MaxMegapixels,
    limits_of,
    packaged_transformations,
    starting,
    transformation_named,
)
from veil.cli.terminal import FolderProgress, output, places
from veil.cli.transform_train import train
from veil.jobs import folders
from veil.jobs.folders import FolderResult
from veil.protections.transformation.file import MAX_PIXELS
from veil.protections.transformation.packaged import DEFAULT
from veil.runtime.files import printable

FAILED = 1
_PACKAGED = packaged_transformations()
_NAMES = f"Packaged: {', '.join(_PACKAGED)}"
commands = typer.Typer(
    no_args_is_help=True,
    help="Transformation networks: train one, apply it, ask what it is.",
    epilog=examples("veil transform apply cifar10/ -o transformed"),
)
commands.command(
    epilog=examples(
        "veil transform train -o mine --data cifar10/ --classifier plain/model.toml",
        "veil transform train -o trial --scale smoke",
    )
)(train)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command(
    epilog=examples(
        "veil transform apply cifar10/ -o transformed",
        "veil transform apply cifar10/ -o transformed --with mine/transformation.safetensors",
    )
)
def apply(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Images, and folders of images.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the transformed images; rows go beside it.")],
    transformation: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="NAME|FILE",
            help=f"{_NAMES}; a file of `veil transform train`; or package.module:object.",
            autocompletion=starting(_PACKAGED),
        ),
    ] = DEFAULT,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Resize to this side first, for a network of that input: transformed images cannot be resized.",
            show_default="as they are",
        ),
    ] = None,
    format: LosslessFormat = "png",
    max_megapixels: MaxMegapixels = MAX_PIXELS / 1e6,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    device: Device = AUTO_DEVICE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Transform images: people do not see what they show, networks can learn from them.

    There is no key: whoever has the transformation file can train a network that undoes it, more or less well. See
    docs/transformation.md.

    The same command goes on where it was stopped. Exit status: 0 all transformed, 1 some failed, 2 wrong usage.
    """
    from veil.protections.transformation.folder import transform_folder
    from veil.runtime import devices

    row = transformation_named(transformation)
    with FolderProgress({"transformed": "green"}, files="images") as progress:
        result = transform_folder(
            inputs, out, row, format=format, size=size, limits=limits_of(max_megapixels, decode_timeout),
            device=devices.choose(device), run=progress.run,
        )  # fmt: skip
    _finish(result, row.name, folders.read_manifest(out)["transformation"], out, as_json)


@commands.command(epilog=examples("veil transform show", "veil transform show mine/transformation.safetensors"))
def show(
    transformation: Annotated[
        str,
        typer.Argument(
            metavar="[NAME|FILE]",
            help=f"{_NAMES}, or a file of `veil transform train`.",
            autocompletion=starting(_PACKAGED),
        ),
    ] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say what a transformation's card says: how it was trained, and what was measured."""
    from veil.protections.transformation import Transformation

    shown = transformation_named(transformation).build()
    if not isinstance(shown, Transformation):
        raise typer.BadParameter(f"{transformation} is no transformation network, and has no card")
    about = {
        "name": shown.name,
        "method": shown.method,
        "network": shown.network.options,
        "parameters": sum(parameter.numel() for parameter in shown.network.parameters()),
        "fingerprint": shown.fingerprint,
        "training": dict(shown.training),
        "measured": dict(shown.measured),
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


def _finish(result: FolderResult[Any], name: str, fingerprint: str, out: Path, as_json: bool) -> None:
    """Prints what became of the images, and ends with the status that says so."""
    if as_json:
        summary = {
            "images": result.total, "transformed": result.done, "failed": result.failed,
            "transformation": fingerprint, "out": printable(out),
        }  # fmt: skip
        output.print_json(json.dumps(summary))
    else:
        output.print(
            f"{result.total} images: [green]{result.done} transformed[/], [red]{result.failed} failed[/]; "
            f"{escape(printable(name))} ({escape(fingerprint)}); in {places(result)}",
            soft_wrap=True,
        )
    raise typer.Exit(FAILED if result.failed else 0)
