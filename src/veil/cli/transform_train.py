"""`veil transform train`: a transformation network, as a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from veil import training
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data import small_images, synthetic
from veil.data.labelled_images import Parts
from veil.jobs import folders
from veil.models import cards
from veil.models.classifier import Classifier
from veil.protections.transformation import METHODS, Guide, PreliminarySettings, trainer
from veil.protections.transformation.frozen_networks import Features, Layer
from veil.runtime.files import printable
from veil.training import classification
from veil.training.classification import PRESETS
from veil.training.loop import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FILE = "transformation.safetensors"
SMOKE = 200
_NEEDED = (
    "give {option}, or --scale smoke, which makes its own; a classifier is trained with "
    "`veil train --network vgg13 --data DATA -o FOLDER`, and is FOLDER/model.toml then"
)


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help=f"Folder for {FILE}, checkpoints, logs and pictures.")],
    data: Annotated[
        str | None, typer.Option(help="Folder of a data set, as for `veil train`, or hub:NAME.", show_default=False)
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(help="Model card of the classifier that is to read transformed images.", show_default=False),
    ] = None,
    method: Annotated[
        Literal["unet", "cyclegan"], typer.Option(help="; ".join(f"{n}: {row.summary}" for n, row in METHODS.items()))
    ] = "unet",
    preset: Annotated[
        Literal["veil", "paper"], typer.Option(help="Losses: the paper's, without a bound, or Veil's, which hide more.")
    ] = "veil",
    scale: Annotated[
        Literal["smoke", "cpu", "paper"], typer.Option(help="smoke: seconds; cpu: minutes on two cores; paper: a GPU.")
    ] = "cpu",
    images: Annotated[
        int | None, typer.Option(min=20, help="How many training images. [default: all]", show_default=False)
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="[default: the scale's]", show_default=False)] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="[default: the scale's]", show_default=False)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="[default: the preset's]", show_default=False)] = None,
    width: Annotated[
        int | None, typer.Option(help="Of the U-Net, a multiple of 8. [default: the scale's]", show_default=False)
    ] = None,
    epsilon: Annotated[
        float, typer.Option(help="Limit of the preliminary noise, in grey levels; with --method cyclegan.")
    ] = PreliminarySettings().epsilon,
    features: Annotated[
        Features, typer.Option(help="What shows in an image is measured in: the classifier's own layer, or VGG16's.")
    ] = "own",
    layer: Annotated[Layer, typer.Option(help="Of the features.")] = "relu2_2",
    name: Annotated[str | None, typer.Option(help="[default: the folder's name]", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, images and order.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="auto is bf16-mixed where it is fast.")] = "auto",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:  # fmt: skip
    """Train a transformation network on public images; what it hides is measured on the test images, at the end.

    The same command goes on from the last finished epoch and ends with the same weights.
    """
    row = METHODS[method]
    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "width": width}
    changes: dict[str, Any] = dict(row.scales[scale]) | {k: v for k, v in given.items() if v is not None}
    try:
        settings, noise = replace(row.presets[preset], **changes), PreliminarySettings(epsilon=epsilon)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for option, value in (("--data", data), ("--classifier", classifier)):
        if value is None and scale != "smoke":
            raise typer.BadParameter(_NEEDED.format(option=option))
    runner = training.fabric(device, precision)
    with errors.status("reading images"):
        parts = small_images.load(data) if data is not None else synthetic.small_images(train=SMOKE, test=SMOKE // 2)
    if parts.cipher is not None:
        raise typer.BadParameter(f"the images of {data} are protected already ({parts.cipher})")
    with folders.locked(out):
        asked = cards.load(classifier) if classifier is not None else _smoke_classifier(parts, out, runner)
        guide = Guide.of(asked, layer, features)
        errors.print(escape(
            f"{parts.name}: {len(parts.train):,} training images, {method}, {settings.epochs} epochs, {guide.named}"
        ))  # fmt: skip
        with TrainingProgress(shown=True) as progress:
            found = trainer.make(
                parts, guide, method, settings, noise, name=name or out.resolve().name, count=images, folder=out,
                seed=seed, runner=runner, say=progress.say, tensorboard=tensorboard,
                stepped=progress.stepped, logged=progress.logged,
            )  # fmt: skip
        judged = trainer.judge(found.transformation, guide, parts.test, seed)
        measured: dict[str, Any] = {key: round(value, 4) for key, value in judged.items() if value is not None}
        done = replace(
            found.transformation, measured=measured | {"on": f"{parts.name}, {len(parts.test):,} test images"}
        )
        done.save(out / FILE)
    if as_json:
        result = {"file": printable(out / FILE), "fingerprint": done.fingerprint, "log": found.fitted.log}
        output.print_json(json.dumps(result | judged))
        return
    output.print(
        f"test images: the classifier reads {judged['accuracy']:.1%} of them transformed, "
        f"{judged['plain_accuracy']:.1%} plain; shows {judged['visible']:.3f} (unrelated images "
        f"{judged['plain_visible']:.3f}, all 1), "
        f"SSIM {judged['ssim']:.3f}",
        soft_wrap=True,
    )
    output.print(f"transformation: {escape(printable(out / FILE))}", soft_wrap=True)


def _smoke_classifier(parts: Parts, out: Path, runner: "Fabric") -> Classifier:
    """h_θ for made images, trained in seconds."""
    folder = out / "classifier"
    fitted = classification.fit(
        parts, replace(PRESETS["fast"], epochs=4, batch_size=20), architecture="vgg13", width=8, folder=folder, seed=0,
        runner=runner, logged=lambda row: None,
    )  # fmt: skip
    fitted.save(folder / "model.toml", name="vgg13", on="made images", training={})
    return cards.load(folder / "model.toml")
