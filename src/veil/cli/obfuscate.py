"""`veil obfuscate`: features of images instead of images, for a service's own classifier and nobody else's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.markup import escape

from veil import images
from veil.cli.examples import examples
from veil.cli.obfuscate_train import train
from veil.cli.options import AUTO_DEVICE, DECODE_SECONDS, DecodeTimeout, Device, MaxMegapixels, limits_of
from veil.cli.terminal import FolderProgress, errors, output, places
from veil.jobs.folders import FolderError, FolderResult
from veil.protections.features.framing import Crop
from veil.runtime import csv_files
from veil.runtime.files import printable, replacing

if TYPE_CHECKING:
    from veil.protections.features.feature_files import Answer, ExtractedRow
    from veil.protections.features.file import Client, Service

FAILED = 1
commands = typer.Typer(
    no_args_is_help=True,
    help="Features instead of images: train a client and a service, send, read.",
    epilog=examples("veil obfuscate train --target Smiling --hide Male --data celeba/ -o pair"),
)
commands.command(
    epilog=examples(
        "veil obfuscate train --target Smiling --hide Male --data celeba/ -o pair",
        "veil obfuscate train --target Smiling -o trial --scale smoke",
    )
)(train)


@commands.command(epilog=examples("veil obfuscate extract photos/ --client pair/client.safetensors -o features"))
def extract(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Images, and folders of images.", show_default=False)
    ],
    client: Annotated[Path, typer.Option(help="Client file of `veil obfuscate train`.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the features; rows go beside it.")],
    crop: Annotated[
        Crop,
        typer.Option(
            help="Of photos that are not framed as the client expects: none refuses them, centre takes their middle."
        ),
    ] = "none",
    max_megapixels: MaxMegapixels = images.MAX_PIXELS / 1e6,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    device: Device = AUTO_DEVICE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make the features of images, which are sent instead of them: a file for each.

    The same command goes on where it was stopped. Exit status: 0 all extracted, 1 some failed, 2 wrong usage.
    """
    from veil.protections.features import feature_files
    from veil.protections.features.file import Client
    from veil.runtime import devices

    sender = Client.load(client)
    with FolderProgress({"extracted": "green"}, files="images") as progress:
        result = feature_files.extract_folder(
            inputs, out, sender, crop=crop, limits=limits_of(max_megapixels, decode_timeout),
            device=devices.choose(device), run=progress.run,
        )  # fmt: skip
    _finish(result, sender, out, as_json)


@commands.command(
    epilog=examples("veil obfuscate classify features/ --service pair/service.safetensors -o answers.csv")
)
def classify(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="FEATURES...", help="Files of features, and folders of them.", show_default=False),
    ],
    service: Annotated[Path, typer.Option(help="Service file of `veil obfuscate train`.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the answers, *.csv or *.jsonl.")],
    device: Device = AUTO_DEVICE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Read features: how probable the service's attributes are. Neither images nor the client file are needed.

    Exit status: 0 all read, 1 some could not be, 2 wrong usage, or features of another client.
    """
    if out.suffix not in _FORMATS:
        raise typer.BadParameter(f"--out is a file *.csv or *.jsonl, not {printable(out.name)}")
    from veil.protections.features import feature_files
    from veil.protections.features.file import Service
    from veil.runtime import devices

    reader = Service.load(service)
    where = devices.choose(device)
    files = feature_files.find(inputs, out)
    answers = feature_files.classify(files, reader, where)
    failed = _write(answers, reader.target, out)
    if as_json:
        summary = {"files": len(files), "failed": failed, "service": reader.fingerprint, "out": printable(out)}
        output.print_json(json.dumps(summary))
    else:
        output.print(
            f"{len(files)} files: [green]{len(files) - failed} read[/], [red]{failed} failed[/]; "
            f"{', '.join(map(escape, reader.target))}; in {escape(printable(out))}",
            soft_wrap=True,
        )
    raise typer.Exit(FAILED if failed else 0)


@commands.command(epilog=examples("veil obfuscate show pair/client.safetensors"))
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A client or service file.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a client's or a service's card says: for what, hiding what, what is sent, what was measured."""
    from veil.protections.features.card import utility_line
    from veil.protections.features.file import load

    half = load(file)
    if as_json:
        output.print_json(json.dumps(_about(half)))
        return
    for name, text in _words(half):
        output.print(escape(f"{name:12} {text}"), soft_wrap=True)
    output.print(escape(f"measured     {printable(str(half.measured.get('on', 'nothing said')))}"), soft_wrap=True)
    for name in half.target:
        if name in half.measured:
            output.print(escape(f"  {printable(utility_line(half.measured, name))}"), soft_wrap=True)
    output.print("training")
    for entry, value in half.training.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        output.print(escape(f"  {printable(entry)}: {printable(text)}"), soft_wrap=True)


def _about(half: Client | Service) -> dict[str, Any]:
    """What the card of a client or a service says, as JSON."""
    from veil.protections.features.feature_files import size_of
    from veil.protections.features.file import Client

    if isinstance(half, Client):
        kind, other = "client", {"size": list(half.size), "service": half.service}
    else:
        kind, other = "service", {"client": half.client}
    return {
        "kind": kind, "name": half.name,
        "fingerprint": half.fingerprint, **other, "target": list(half.target), "hides": list(half.hides),
        "network": half.network.options, "parameters": sum(layer.numel() for layer in half.network.parameters()),
        "shape": list(half.shape), "encoding": half.encoding.dtype, "bytes": size_of(half.shape, half.encoding),
        "training": dict(half.training), "measured": dict(half.measured),
    }  # fmt: skip


def _words(half: Client | Service) -> list[tuple[str, str]]:
    """The same for people."""
    from veil.protections.features.file import Client

    about = _about(half)
    is_client = "service" in about
    words = [
        (about["kind"], printable(half.name)),
        ("fingerprint", half.fingerprint),
        ("for", printable(", ".join(half.target))),
        ("hides", printable(", ".join(half.hides) or "no attribute")),
        ("network", f"{about['parameters']:,} parameters; {printable(json.dumps(about['network']))}"),
        ("sends" if is_client else "reads",
         f"{'×'.join(map(str, half.shape))} values as {half.encoding.dtype}: {about['bytes']:,} bytes an image"),
    ]  # fmt: skip
    if isinstance(half, Client):
        height, width = about["size"]
        expected = "" if half.aspect is None else f", of photos {half.aspect:.2f} times as wide as high"
        return [*words, ("takes", f"images resized to {width}×{height} pixels{expected}"),
                ("its service", printable(about["service"]))]  # fmt: skip
    return [*words, ("its client", printable(about["client"]))]


def _finish(result: FolderResult[ExtractedRow], client: Client, out: Path, as_json: bool) -> None:
    """Prints what became of the images, and ends with the status that says so."""
    sent, sources = None, 0
    for row in result:
        if row["error"] is None:
            sent = row["bytes"]  # the same of every image
            sources += row["source"]["bytes"]
    image_bytes = round(sources / result.done) if result.done else None
    if as_json:
        summary = {
            "images": result.total, "extracted": result.done, "failed": result.failed, "client": client.fingerprint,
            "bytes": sent, "image_bytes": image_bytes, "out": printable(out),
        }  # fmt: skip
        output.print_json(json.dumps(summary))
    else:
        sizes = f"{sent:,} bytes are sent of an image, its file has {image_bytes:,}; " if result.done else ""
        output.print(
            f"{result.total} images: [green]{result.done} extracted[/], [red]{result.failed} failed[/]; {sizes}"
            f"{escape(printable(client.name))} ({client.fingerprint}); in {places(result)}",
            soft_wrap=True,
        )
    raise typer.Exit(FAILED if result.failed else 0)


def _csv(handle: TextIO, names: Sequence[str]) -> Callable[[Answer], None]:
    write = csv_files.writer(handle)
    write(["file", *names, "error"])
    return lambda one: write([printable(one.file), *_rounded(one, names), one.error])


def _jsonl(handle: TextIO, names: Sequence[str]) -> Callable[[Answer], None]:
    def write(one: Answer) -> None:
        shares = dict(zip(names, _rounded(one, names), strict=True))
        handle.write(json.dumps({"file": one.file, **shares, "error": one.error}) + "\n")

    return write


_FORMATS = {".csv": _csv, ".jsonl": _jsonl}


def _rounded(one: Answer, names: Sequence[str]) -> list[float | None]:
    return [None] * len(names) if one.probabilities is None else [round(share, 6) for share in one.probabilities]


def _write(answers: Iterable[Answer], names: Sequence[str], out: Path) -> int:
    """Writes answers as they come to a file that appears when it is whole, and returns how many files failed.

    Raises:
        FolderError: where it cannot be written.
    """
    failed = 0
    try:
        with replacing(out) as file:
            handle = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
            add = _FORMATS[out.suffix](handle, names)
            for one in answers:
                add(one)
                if one.error is not None:
                    failed += 1
                    errors.print(f"[red]failed[/] {escape(printable(one.file))}: {escape(one.error)}")
            handle.detach()
    except OSError as error:
        raise FolderError(f"cannot write to {printable(out)}: {error.strerror or error}") from None
    return failed
