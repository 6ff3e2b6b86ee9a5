"""`veil protect`: photos that look the same and that classifiers misread."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from veil import images
from veil.attacks.noise import NOISE_ATTACKS
from veil.cli.options import (
    AUTO_DEVICE,
    DECODE_SECONDS,
    DecodeTimeout,
    Device,
    KeepDates,
    MaxMegapixels,
    checked,
    chosen,
    completion,
    limits_of,
    one_of,
    read_labels,
    table_help,
    with_settings,
)
from veil.cli.terminal import FolderProgress, errors, output
from veil.jobs import folders
from veil.models import names
from veil.protections.noise import SCHEMES
from veil.runtime.files import printable

if TYPE_CHECKING:
    from veil.protections.noise.protector import Protector
    from veil.protections.noise.universal import UniversalNoise

_AFTER = ", ".join(NOISE_ATTACKS.names())
_UNIVERSAL = ", ".join(name for name, row in SCHEMES.items() if row.universal)
NOT_PROTECTED, FAILED = 3, 1


@with_settings({name: scheme.settings for name, scheme in SCHEMES.items()}, choose="scheme")
def protect(
    photos: Annotated[list[Path], typer.Argument(help="Photos, and folders of photos.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the protected photos; rows and report go beside it.")
    ],
    given: dict[str, Any],
    scheme: Annotated[str, typer.Option(help=table_help(SCHEMES), autocompletion=completion(SCHEMES))] = "crs",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Network to mislead: see `veil models`. Several form an ensemble.",
            show_default=names.DEFAULT,
            autocompletion=names.packaged,
        ),
    ] = None,
    verify_with: Annotated[
        list[str] | None,
        typer.Option(
            help="Network that the noise does not see, to judge the result. Repeatable.",
            show_default="none",
            autocompletion=names.packaged,
        ),
    ] = None,
    survival: Annotated[
        bool, typer.Option("--survival", help=f"Measure what is left after what platforms do: {_AFTER}.")
    ] = False,
    universal: Annotated[
        Path | None,
        typer.Option(
            help="Add the noise of this file, made by `veil fit-noise`, instead of a descent for each photo. "
            f"Only with --scheme {_UNIVERSAL}. Never publish the file: whoever has it can take the noise off again.",
            show_default="none",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV of file and class index: the true classes.", show_default="what the first network sees"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random target classes.")] = 0,
    format: Annotated[
        str,
        one_of(
            [*images.FORMATS, images.SAME],
            "Of the protected photos. same: a JPEG for a JPEG and so on, by their names; PNG for what is not written. "
            "JPEG takes part of the noise away.",
        ),
    ] = "png",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG.")] = 95,
    keep_metadata: Annotated[
        bool,
        typer.Option(
            "--keep-metadata",
            help="Keep camera, lens, exposure, dates and resolution; persons, places, serial numbers and texts go.",
        ),
    ] = False,
    keep_copyright: Annotated[bool, typer.Option("--keep-copyright", help="Keep artist and copyright.")] = False,
    keep_dates: KeepDates = False,
    max_megapixels: MaxMegapixels = images.MAX_PIXELS / 1e6,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Photos in work at once.", show_default="8 on a CPU, else 64")
    ] = None,
    device: Device = AUTO_DEVICE,
    precision: Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of the descent.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Add noise to photos so that classifiers misread them.

    The same command goes on where it was stopped. Exit status: 0 all protected, 3 some not, 1 some failed, 2 wrong
    usage.
    """
    row = chosen(SCHEMES, "scheme", scheme)
    checked(row.settings, row.name, given)
    if universal is not None and not row.universal:
        raise typer.BadParameter(f"--universal does not go with --scheme {row.name}, only with {_UNIVERSAL}")
    if universal is not None and given:
        raise typer.BadParameter(f"--{next(iter(given)).replace('_', '-')} does not go with --universal")
    from veil import report
    from veil.protections.noise.advice import advice
    from veil.protections.noise.protector import Protector
    from veil.protections.noise.universal import UniversalNoise

    processings = {name: attack.process for name, attack in NOISE_ATTACKS.items()} if survival else {}
    noise = UniversalNoise.load(universal) if universal is not None else None
    truths = read_labels(labels) if labels else None
    with errors.status("loading networks"):
        protector = Protector(
            model or [names.DEFAULT], row, verify_with=verify_with or [], survival=processings, seed=seed, batch=batch,
            device=device, precision=precision, universal=noise, **given,
        )  # fmt: skip
    for warning in protector.warnings():
        errors.print(f"[yellow]{escape(warning)}[/]")
    if noise is not None:
        _name_strangers(protector, noise)
    with FolderProgress(
        {"protected": "green", "not": "yellow"}, lambda row: "protected" if row["protected"] else "not"
    ) as progress:
        result = protector.protect_folder(
            photos, out, format=format, quality=quality, keep_metadata=keep_metadata, keep_copyright=keep_copyright,
            truths=truths, limits=limits_of(max_megapixels, decode_timeout),
            run=replace(progress.run, keep_dates=keep_dates),
        )  # fmt: skip
    digest = report.digest(result)
    sources = folders.locate(photos, images.SUFFIXES, out, [row["file"] for row in digest.shown])
    page = report.write_protection_report(
        out, digest, settings=folders.read_manifest(out), sources=sources, scheme=row,
        class_counts={name: len(classes) for name, classes in protector.classes.items()},
    )  # fmt: skip
    summary = digest.summary
    tips = advice(folders.read_manifest(out)) if summary["not_protected"] else []
    if as_json:
        output.print_json(json.dumps({**summary, "advice": tips, "out": printable(out), "report": printable(page)}))
    else:
        _print_summary(summary)
        for sentence in report.reservations(summary):
            output.print(f"• {escape(sentence)}", soft_wrap=True)
        _print_advice(tips)
        output.print(f"photos: {escape(printable(out))}", soft_wrap=True)
        output.print(
            f"report (holds small pictures of the originals; do not share): {escape(printable(page))}", soft_wrap=True
        )
    raise typer.Exit(FAILED if summary["failed"] else NOT_PROTECTED if summary["not_protected"] else 0)


def _name_strangers(protector: "Protector", noise: "UniversalNoise") -> None:
    known = set(noise.models.values())
    if others := [network.name for network in protector.engine.classifiers if network.fingerprint() not in known]:
        errors.print(escape(f"the noise was not fitted to {', '.join(others)}, but to {', '.join(noise.models)}"))


def _print_advice(tips: Sequence[str]) -> None:
    """Says what to try where photos are not protected."""
    if tips:
        output.print("For photos that are not protected, try in this order, in a new folder:")
    for number, tip in enumerate(tips, 1):
        output.print(f"  {number}. {escape(tip)}", soft_wrap=True)


def _print_summary(summary: Mapping[str, Any]) -> None:
    against = ", ".join(network["network"] for network in summary["networks"] if network["role"] == "descent")
    output.print(
        f"{summary['photos']} photos: [green]{summary['protected']} protected[/], "
        f"[yellow]{summary['not_protected']} not protected[/], [red]{summary['failed']} failed[/]"
        + (escape(f"; judged by {against}, for which the noise was made") if against else ""),
        soft_wrap=True,
    )
    if not summary["networks"]:
        return
    table = Table()
    for heading in ("network", "true class on top", "ICP", "ICE, nats"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for network in summary["networks"]:
        table.add_row(
            escape(network["network"])
            + ("" if network["role"] == "descent" else " (unseen)")
            + (f" (run by {network['run_by']})" if "run_by" in network else ""),
            f"{network['top1_before']:.0%} → {network['top1_after']:.0%}",
            f"{network['icp_before']:.4f} → {network['icp_after']:.4f}",
            f"{network['ice_before']:.2f} → {network['ice_after']:.2f}",
        )
    output.print(table)
