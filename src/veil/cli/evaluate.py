"""`veil evaluate`: how often a model is right about labelled images."""

import json
from typing import Annotated, Literal

import typer
from rich.markup import escape

from veil.cli.terminal import errors, output


def evaluate(
    model: Annotated[str, typer.Argument(help="A model card, or a name: see `veil models`.", show_default=False)],
    data: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="A data set as for `veil train`, or a folder with a folder of images for each class.",
            show_default=False,
        ),
    ],
    part: Annotated[Literal["test", "train"], typer.Option(help="Of a data set with two parts.")] = "test",
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Ask also about images that do not fit: plain ones, or under another key."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how often a model is right about labelled images, with the number of images and a 95 % interval."""
    from veil.models import catalog
    from veil.models.classifier import TORCH
    from veil.report.numbers import interval
    from veil.runtime import devices
    from veil.training import evaluation

    result = evaluation.evaluate(
        catalog.load(model), data, part=part, device=devices.choose(device), anyway=anyway
    )  # fmt: skip
    for warning in result.warnings:
        errors.print(f"[yellow]{escape(warning)}[/]")
    if as_json:
        output.print_json(json.dumps(result.__dict__))
        return
    run_by = f" (run by {result.run_by})" if result.run_by != TORCH else ""
    output.print(f"{escape(result.model)} on {escape(result.data)}, {result.count:,} images{run_by}:", soft_wrap=True)
    for title, share, bounds in (
        ("right", result.top1, result.top1_interval), ("among the first five", result.top5, result.top5_interval),
    ):  # fmt: skip
        hits = round(share * result.count)
        output.print(
            f"  {title}: {100 * share:.1f} % ({hits:,} of {result.count:,} images; {interval(bounds)})", soft_wrap=True
        )
