"""`veil transform train`: a transformation network, as a file."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from veil.cli.options import AUTO_DEVICE, Device, chosen, completion, starting, table_help
from veil.cli.terminal import TrainingProgress, errors, output
from veil.jobs import folders
from veil.jobs.rows import Row
from veil.protections.transformation import METHODS
from veil.protections.transformation.frozen_networks import Features, Layer
from veil.protections.transformation.preliminary import PreliminarySettings
from veil.runtime.devices import Precision
from veil.runtime.files import printable
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from veil.data.labelled_images import Parts
    from veil.models.classifier import Classifier
    from veil.protections.transformation.trainer import TransformationPlan

FILE = "transformation.safetensors"
SMOKE = 200
_PRELIMINARY = ", ".join(name for name, row in METHODS.items() if row.preliminary)
_PRESETS = list(dict.fromkeys(preset for row in METHODS.values() for preset in row.presets))
_NEEDED = (
    "give {option}, or --scale smoke, which makes its own; a classifier is trained with "
    "`veil train --network vgg13 --data DATA -o FOLDER`, and is FOLDER/model.toml then"
)


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help=f"Folder for {FILE}, checkpoints, logs and pictures.")],
    data: Annotated[
        str | None, typer.Option(
            help="Folder of a data set, as for `veil train`, or hub:NAME.",
            show_default="drawn images, with --scale smoke",
        )
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(
            help="Model card of the classifier that is to read transformed images.",
            show_default="one that is trained, with --scale smoke",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help=f"{table_help(METHODS)} Or package.module:object.", autocompletion=completion(METHODS)
        ),
    ] = "unet",
    preset: Annotated[
        str,
        typer.Option(
            help=f"Losses: {', '.join(_PRESETS)}. Veil's own hide more; the paper's have no bound.",
            autocompletion=starting(_PRESETS),
        ),
    ] = "veil",
    scale: Annotated[Scale, typer.Option(help="smoke: seconds; cpu: minutes on two cores; paper: a GPU.")] = "cpu",
    images: Annotated[
        int | None, typer.Option(min=20, help="How many training images.", show_default="all")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training images.", show_default="the scale's")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Images of an update, over all devices.", show_default="the scale's")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its highest.", show_default="the preset's")] = None,
    width: Annotated[
        int | None, typer.Option(help="Of the U-Net, a multiple of 8.", show_default="the scale's")
    ] = None,
    epsilon: Annotated[
        float, typer.Option(help=f"Limit of the preliminary noise, in grey levels; with --method {_PRELIMINARY}.")
    ] = PreliminarySettings().epsilon,
    features: Annotated[
        Features, typer.Option(help="What shows in an image is measured in: the classifier's own layer, or VGG16's.")
    ] = "own",
    layer: Annotated[Layer, typer.Option(help="Of the features.")] = "relu2_2",
    name: Annotated[str | None, typer.Option(help="Of the transformation.", show_default="the folder's name")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, images and order.")] = 0,
    device: Device = AUTO_DEVICE,
    precision: Annotated[Precision, typer.Option(help="auto is bf16-mixed where it is fast.")] = "auto",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:  # fmt: skip
    """Train a transformation network on public images; what it hides is measured on the test images, at the end.

    The same command goes on from the last finished epoch and ends with the same weights.
    """
    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "width": width}
    plan = _plan(method, preset, scale, given, epsilon, images, name or out.resolve().name)
    for option, value in (("--data", data), ("--classifier", classifier)):
        if value is None and scale != "smoke":
            raise typer.BadParameter(_NEEDED.format(option=option))
    from veil import training
    from veil.models import cards
    from veil.protections.transformation import trainer
    from veil.protections.transformation.frozen_networks import FrozenNetworks
    from veil.training.run import Run

    runner = training.fabric(device, precision)
    parts = _parts(data)
    with folders.locked(out):
        reads = cards.load(classifier) if classifier is not None else _smoke_classifier(parts, out, runner)
        frozen = FrozenNetworks.of(reads, layer, features)
        errors.print(escape(
            f"{parts.name}: {len(parts.train):,} training images, {plan.method.name}, {plan.settings.epochs} epochs, "
            f"{frozen.named}"
        ))  # fmt: skip
        with TrainingProgress(shown=True) as progress:
            run = Run(
                folder=out, seed=seed, runner=runner, tensorboard=tensorboard, stepped=progress.stepped,
                logged=progress.logged,
            )  # fmt: skip
            trained = trainer.train_transformation(parts, frozen, plan, run, say=progress.say)
        left = trainer.measure(trained.transformation, frozen, parts.test, seed)
        measured: dict[str, Any] = {key: round(value, 4) for key, value in left.items() if value is not None}
        measured["on"] = f"{parts.name}, {len(parts.test):,} test images"
        done = replace(trained.transformation, measured=measured)
        done.save(out / FILE)
    _finish(out / FILE, done.fingerprint, trained.log, left, as_json)


def _plan(
    method: str, preset: str, scale: Scale, given: Mapping[str, Any], epsilon: float, images: int | None, name: str
) -> "TransformationPlan":
    """What the options say of the training.

    Raises:
        BadParameter: for a method that there is not, and for values out of range.
    """
    from veil.protections.transformation.trainer import TransformationPlan

    row = chosen(METHODS, "method", method)
    changes = {option: value for option, value in given.items() if value is not None}
    try:
        settings = row.settings_for(preset, scale, **changes)
        noise = PreliminarySettings(epsilon=epsilon)
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    return TransformationPlan(name=name, method=row, settings=settings, noise=noise, count=images)


def _parts(data: str | None) -> "Parts":
    """Plain images: those in a folder, or drawn ones.

    Raises:
        BadParameter: where they are protected already.
    """
    from veil.data import small_images, synthetic

    with errors.status("reading images"):
        parts = small_images.load(data) if data is not None else synthetic.small_images(train=SMOKE, test=SMOKE // 2)
    if parts.cipher is not None:
        raise typer.BadParameter(f"the images of {data} are protected already ({parts.cipher})")
    return parts


def _smoke_classifier(parts: "Parts", out: Path, runner: "Fabric") -> "Classifier":
    """h_θ for made images, trained in seconds."""
    from veil.models import cards
    from veil.training import classification
    from veil.training.classifier_settings import PRESETS
    from veil.training.run import Run

    folder = out / "classifier"
    run = Run(folder=folder, seed=0, runner=runner, logged=lambda row: None)
    settings = replace(PRESETS["fast"], epochs=4, batch_size=20)
    fitted = classification.fit(parts, settings, run, architecture="vgg13", width=8)
    fitted.save(folder / "model.toml", name="vgg13", on="made images", training={})
    return cards.load(folder / "model.toml")


def _finish(file: Path, fingerprint: str, log: list[Row], left: Mapping[str, float | None], as_json: bool) -> None:
    """Says what is left in transformed test images, and where the transformation is."""
    if as_json:
        result = {"file": printable(file), "fingerprint": fingerprint, "log": log}
        output.print_json(json.dumps(result | dict(left)))
        return
    output.print(
        f"test images: the classifier reads {left['accuracy']:.1%} of them transformed, "
        f"{left['plain_accuracy']:.1%} plain; shows {left['visible']:.3f} (unrelated images "
        f"{left['plain_visible']:.3f}, all 1), "
        f"SSIM {left['ssim']:.3f}",
        soft_wrap=True,
    )
    output.print(f"transformation: {escape(printable(file))}", soft_wrap=True)
