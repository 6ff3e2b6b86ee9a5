"""`veil fit-noise`: one noise for all photos of a size, for `veil protect --universal`."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from veil import images
from veil.cli.options import AUTO_DEVICE, DECODE_SECONDS, DecodeTimeout, Device, checked, read_labels, with_settings
from veil.cli.terminal import INTERRUPTED, errors, output
from veil.jobs import folders
from veil.models import names
from veil.protections.noise.fitting import Effect, FitSettings, by_size, fit_groups
from veil.protections.noise.universal import Size, named
from veil.runtime.files import printable

SUFFIX = ".safetensors"


class _FitProgress(AbstractContextManager["_FitProgress"]):
    """A live count of iterations for each size."""

    def __init__(self, sizes: Sequence[Size], iterations: int) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(),
            console=errors,
        )  # fmt: skip
        self.tasks = {size: self.bar.add_task(named(size), total=iterations, start=False) for size in sizes}

    def __enter__(self) -> "_FitProgress":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def reached(self, size: Size, iteration: int) -> None:
        """Shows how far a size is."""
        self.bar.start_task(self.tasks[size])
        self.bar.update(self.tasks[size], completed=iteration)


@with_settings({"entropy": FitSettings}, choose="scheme")
def fit_noise(
    photos: Annotated[list[Path], typer.Argument(help="Photos, and folders of photos.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help=f"File for the noise, *{SUFFIX}; must not exist yet.")],
    given: dict[str, Any],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Network to make unsure: see `veil models`. Several form an ensemble.",
            show_default=names.DEFAULT,
            autocompletion=names.packaged,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV of file and class index: the true classes.", show_default="what the first network sees"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the batches, and of which photos are drawn.")] = 0,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    device: Device = AUTO_DEVICE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Fit one noise for all photos of a size, to be added by `veil protect --scheme entropy --universal`.

    Every fifth photo of a size is kept from the fit, and what the noise does is measured on those. Never publish the
    file: whoever has it can take the noise off again.
    """
    from veil.models import catalog
    from veil.runtime import devices

    settings = checked(FitSettings, "entropy", given)
    truths = read_labels(labels) if labels else {}
    _check_out(out)
    listing = folders.find(photos, images.SUFFIXES, out)
    with errors.status("loading networks"):
        classifiers = [catalog.load(name).to(devices.choose(device)) for name in model or [names.DEFAULT]]
    try:
        with errors.status("reading photos"):
            limits = images.Limits(seconds=decode_timeout)
            groups = by_size(listing.files, settings, seed=seed, say=_say, limits=limits)
        if not groups:
            raise folders.FolderError("no photo to fit to in " + ", ".join(map(str, photos)))
        with _FitProgress([group.size for group in groups], settings.iterations) as progress:
            noise, effects = fit_groups(
                classifiers, groups, settings, truths=truths, seed=seed, say=_say, progress=progress.reached
            )
    except KeyboardInterrupt:
        errors.print("stopped; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    try:
        noise.save(out)
    except OSError as error:
        raise folders.FolderError(f"cannot write {out}: {error.strerror or error}") from None
    if as_json:
        summary = {"out": printable(out), "fingerprint": noise.fingerprint}
        output.print_json(json.dumps(summary | {"effects": [asdict(effect) for effect in effects]}))
    else:
        _print_effects(effects)
        name = escape(printable(out))
        output.print(f"noise: {name} ({noise.fingerprint}); keep it to yourself", soft_wrap=True)


def _check_out(out: Path) -> None:
    """Finds out before the work whether its result can be written."""
    if out.suffix != SUFFIX:
        raise typer.BadParameter(f"--out {out}: the name must end in {SUFFIX}")
    if out.exists():
        raise typer.BadParameter(f"--out {out} is there already; choose another name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"--out {out}: {error.strerror or error}") from None


def _say(line: str) -> None:
    errors.print(escape(line))


def _print_effects(effects: Sequence[Effect]) -> None:
    for size, group in groupby(effects, key=lambda effect: effect.size):
        rows = list(group)
        where = f"{rows[0].measured} others" if rows[0].held_out else "the same, which says nothing of others"
        title = f"{size}: fitted to {rows[0].fitted} photos, measured on {where}"
        table = Table(title=title, title_justify="left")
        for heading in ("network", "true class on top", "ICP", "ICE, nats"):
            table.add_column(heading, justify="left" if heading == "network" else "right")
        for effect in rows:
            table.add_row(
                escape(effect.network),
                f"{effect.on_top_before:.0%} → {effect.on_top_after:.0%}",
                f"{effect.icp_before:.4f} → {effect.icp_after:.4f}",
                f"{effect.ice_before:.2f} → {effect.ice_after:.2f}",
            )
        output.print(table)
