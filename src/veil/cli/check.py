"""`veil check`: are photos still protected, as they are now?"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from veil import images
from veil.cli.options import AUTO_DEVICE, DECODE_SECONDS, DecodeTimeout, Device, MaxMegapixels, limits_of, read_labels
from veil.cli.terminal import errors, output
from veil.models import names
from veil.runtime.files import printable

if TYPE_CHECKING:
    from veil.models.classifier import Classifier
    from veil.protections.noise.checking import Checker
    from veil.protections.noise.released_photos import Released
    from veil.report.check import CheckSummary

NOT_PROTECTED, FAILED = 3, 1
_NOTHING = Path("no-folder-of-outputs")


def check(
    photos: Annotated[
        list[Path], typer.Argument(help="Photos and folders of photos, as they are now.", show_default=False)
    ],
    against: Annotated[
        Path | None,
        typer.Option(help="Output folder of the `veil protect` that released them, or its rows.", show_default="none"),
    ] = None,
    originals: Annotated[
        Path | None,
        typer.Option(help="Folder of the originals, to measure how much of the noise is left.", show_default="none"),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV of file and class index: the true classes.", show_default="none")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Network that makes the verdict. Repeatable.",
            show_default=f"those of the run; else {names.DEFAULT}",
            autocompletion=names.packaged,
        ),
    ] = None,
    verify_with: Annotated[
        list[str] | None,
        typer.Option(help="Further network to ask. Repeatable.", show_default="none", autocompletion=names.packaged),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="New folder for rows.jsonl and report.html, for you alone.", show_default="none"
        ),
    ] = None,
    max_megapixels: MaxMegapixels = images.MAX_PIXELS / 1e6,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    device: Device = AUTO_DEVICE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Judge photos as they now are, such as downloaded again from a website.

    Each photo is compared with what was released (--against), also where it was renamed. Without the run and without
    labels the true classes are not known: you get answers, and no verdict.

    Exit status: 0 all protected, or no verdict; 3 some not protected, 1 some failed, 2 wrong usage.
    """
    if originals is not None and against is None:
        raise typer.BadParameter("--originals needs --against: noise is measured against what was released")
    from veil.jobs import listing
    from veil.protections.noise.checking import Checker, check_files
    from veil.protections.noise.released_photos import Released
    from veil.report.check import CheckSummary

    released = None if against is None else Released(against)
    files = listing.find(photos, images.SUFFIXES, out or _NOTHING).files
    truths = read_labels(labels) if labels else {}
    with errors.status("loading networks"):
        judging, unseen = _loaded(_models(model, released)), _loaded(verify_with or [])
        checker = Checker(
            judging, unseen=unseen, released=released, originals=originals, truths=truths, device=device
        )  # fmt: skip
    if strangers := checker.strangers():
        errors.print(escape(f"the noise was not made against {', '.join(strangers)}"))
    summary = CheckSummary()
    rows = check_files(checker, files, limits=limits_of(max_megapixels, decode_timeout))
    with errors.status("looking at photos"):
        report = _keep(out, _counted(rows, summary), summary, _about(released, checker))
    if as_json:
        output.print_json(json.dumps(summary.as_json() | {"report": None if report is None else printable(report)}))
    else:
        _print(summary, report)
    raise typer.Exit(FAILED if summary.failed else NOT_PROTECTED if summary.not_protected else 0)


def _models(typed: Sequence[str] | None, released: "Released | None") -> list[str]:
    """Names of the networks of the verdict: what was typed, or the run's where they are packaged with Veil.

    A name from a file is never taken for a path, a module or an address.
    """
    if typed:
        return list(typed)
    if released is None:
        return [names.DEFAULT]
    foreign = [name for name in released.models if name not in names.packaged()]
    if foreign or not released.models:
        named = printable(", ".join(foreign)) or "networks that its run.json does not name"
        raise typer.BadParameter(f"the run's noise was made against {named}; name them with --model")
    return released.models


def _loaded(models: Sequence[str]) -> "list[Classifier]":
    from veil.models import catalog

    return [catalog.load(name) for name in models]


def _counted(rows: Iterator[Mapping[str, Any]], summary: "CheckSummary") -> Iterator[Mapping[str, Any]]:
    for row in rows:
        summary.add(row)
        if row["error"] is not None:
            errors.print(f"[red]failed[/] {escape(printable(row['file']))}: {escape(row['error'])}")
        yield row


def _keep(
    out: Path | None, rows: Iterator[Mapping[str, Any]], summary: "CheckSummary", about: Sequence[str]
) -> Path | None:
    """Writes rows and page, if there is a folder for them, and returns the page's path."""
    if out is None:
        for _ in rows:
            pass
        return None
    from veil.jobs.job import ROWS, FolderError
    from veil.jobs.layout import make_private
    from veil.report.check import write_check_report
    from veil.runtime.files import PRIVATE_FILE, replacing

    if out.exists() and not out.is_dir():
        raise FolderError(f"{printable(out)} is no folder")
    if out.is_dir() and any(out.iterdir()):
        raise FolderError(f"{printable(out)} is not empty; choose a new or an empty folder for rows and report")
    make_private(out)
    with replacing(out / ROWS, mode=PRIVATE_FILE) as handle:
        for row in rows:
            handle.write(json.dumps(row).encode() + b"\n")
    return write_check_report(out, summary, about=about)


def _about(released: "Released | None", checker: "Checker") -> list[str]:
    if released is not None:
        return [
            "A photo whose pixels are those that were released has the verdict that it had then. A photo that was "
            "changed since is called protected where none of the networks that count has the true class first. "
            "Noise left: 1 is all of it, 0 none; it needs the originals."
        ]
    if checker.truths:
        return ["Photos are called protected where none of the networks that count has the true class first."]
    return ["True classes are not known (`--against` or `--labels` would tell them), so there is no verdict."]


def _print(summary: "CheckSummary", report: Path | None) -> None:
    from veil.report.check import named, shared

    output.print(
        f"{summary.photos} photos: [green]{summary.protected} protected[/], [yellow]{summary.not_protected} not "
        f"protected[/], {summary.no_verdict} without a verdict, [red]{summary.failed} failed"
    )
    if summary.no_verdict:
        output.print("no verdict: true classes are not known; --against RUN or --labels CSV tells them")
    table = Table()
    for heading in ("network", "true class first, before", "now (95 % interval)"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name, network in summary.networks.items():
        table.add_row(
            escape(named(name, network)) + ("" if network.role == "descent" else " (not in the verdict)"),
            shared(network.first_before, network.known_before), shared(network.first, network.known),
        )  # fmt: skip
    if summary.networks:
        output.print(table)
    for row in summary.listed if summary.photos <= 20 else ():
        if row["error"] is None:
            output.print(f"{escape(printable(row['file']))}: {escape(_line(row))}", soft_wrap=True)
    if report is not None:
        output.print(f"report (for you alone): {escape(printable(report))}", soft_wrap=True)


def _line(row: Mapping[str, Any]) -> str:
    """What is to be said of a photo, where there are few."""
    from veil.report.check import VERDICTS

    parts = [VERDICTS[row["protected"]] + (f" ({row['reason']})" if row["reason"] else "")]
    if row["released"] is not None:
        parts.append(f"released as {printable(row['released'])}" + (", found by its look" * (row["matched"] == "look")))
        parts.append("unchanged" if row["unchanged"] else f"changed since, {row['width']}×{row['height']}")
    if row["noise_left"] is not None:
        parts.append(f"{row['noise_left']:.2f} of the noise left")
    parts += [f"{view['network']}: {view['class_after_name']} {view['score_after']:.0%}" for view in row["networks"]]
    return "; ".join(parts)
