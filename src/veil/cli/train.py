"""`veil train`: a classifier of plain or protected images, as a model card."""

import json
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from veil import training
from veil.cli import key as keys
from veil.cli.options import cipher_help, cipher_named, transformation_named
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data import small_images
from veil.data.labelled_images import TRANSFORMED, Parts
from veil.jobs import folders
from veil.protections import PROTECTIONS
from veil.protections.image_protection import ImageProtection
from veil.protections.transformation.folder import fingerprint_of
from veil.runtime import provenance
from veil.runtime.files import printable
from veil.training import classification
from veil.training.classification import PRESETS, ClassifierSettings, Fitted, Protection
from veil.training.loop import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CARD = "model.toml"


def train(
    data: Annotated[
        str,
        typer.Option(
            help="Folder of a data set (CIFAR, STL-10, or train/ and test/ with a folder per class, as it is or as "
            "`veil encrypt` or `veil transform apply` wrote it), or hub:NAME.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model card, checkpoints and logs.")],
    cipher: Annotated[
        str | None,
        typer.Option(
            help=f"Encrypt plain images in training, after augmentation. {cipher_help()} [default: none]",
            show_default=False,
        ),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Key file of the cipher.", show_default=False)] = None,
    per_image: Annotated[bool, typer.Option("--per-image", help="A fresh key for every image (pixel).")] = False,
    transform: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Transform plain images in training, after augmentation: see `veil transform`. [default: none]",
            show_default=False,
        ),
    ] = None,
    schedule: Annotated[
        Literal["paper", "fast"],
        typer.Option(help="paper: 200 epochs, rate divided by five at 60, 120, 160; fast: 30 epochs, one cycle."),
    ] = "fast",
    epochs: Annotated[int | None, typer.Option(min=1, help="[default: the schedule's]", show_default=False)] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Over all devices. [default: 128]", show_default=False)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="At its highest. [default: the schedule's]", show_default=False)
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Parts of a batch, one after another. [default: 1]", show_default=False)
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option("--augment/--no-augment", help="Crop and mirror. [default: unless they are protected already]",
                     show_default=False),
    ] = None,
    network: Annotated[
        Literal["resnet18", "vgg13"], typer.Option(help="In their forms for small images.")
    ] = "resnet18",
    width: Annotated[int, typer.Option(min=1, help="Channels of the network's first stage.")] = 64,
    adaptation: Annotated[
        Literal["auto", "none", "block", "pixel", "pixel-random"],
        typer.Option(help="Network in front of it: block for tanaka, pixel for pixel; auto chooses."),
    ] = "auto",
    side: Annotated[
        int | None, typer.Option(min=1, help="Resize images to this. [default: as they are]", show_default=False)
    ] = None,
    validation: Annotated[int, typer.Option(min=0, help="Training images to leave out and watch.")] = 0,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many of them; each gets a process.")] = 1,
    precision: Annotated[Precision, typer.Option(help="auto is bf16-mixed where it is fast.")] = "auto",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:  # fmt: skip
    """Train a network on plain, encrypted or transformed images; the test images are asked about once, at the end.

    The same command goes on from the last finished epoch and ends with the same weights.
    """
    encryption = _cipher(cipher, key, per_image)
    if encryption is not None and transform is not None:
        raise typer.BadParameter("--transform does not go with --cipher")
    transformation = transformation_named(transform) if transform is not None else None
    given: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "accumulate": accumulate,
    }  # fmt: skip
    settings = replace(PRESETS[schedule], **{option: value for option, value in given.items() if value is not None})
    secret = keys.load(key) if key is not None else None
    with errors.status("reading images"):
        parts = small_images.load(data, side)
    if parts.cipher is not None and (encryption is not None or transformation is not None):
        option = "--cipher" if encryption is not None else "--transform"
        how = _protected(parts.cipher, " already")
        raise typer.BadParameter(f"{option} does not go with {data}: its images are {how}")
    if augment is False or (augment is None and parts.cipher is not None):
        settings = replace(settings, padding=0, flip=False)
    protects: Protection = classification.unprotected
    if encryption is not None:
        protects = encryption.build(secret)
    elif transformation is not None:
        protects = transformation.build()
    seen = TRANSFORMED if transformation is not None else encryption.name if encryption is not None else parts.cipher
    known: dict[str, Any] = {"cipher": seen}
    if transformation is not None:
        known["transformation"] = fingerprint_of(protects, transformation.name)
    runner = training.fabric(device, precision, devices)
    first = runner.is_global_zero
    with folders.locked(out) if first else nullcontext():
        if first:
            errors.print(escape(_described(parts, seen, settings)))
        with TrainingProgress(shown=first) as progress:
            fitted = classification.fit(
                parts, settings, architecture=network, protection=protects,
                adaptation=_adaptation(adaptation, encryption, seen), width=width, watched=validation,
                folder=out, seed=seed, runner=runner, tensorboard=tensorboard,
                about=known | {"key": secret.fingerprint if secret is not None else None},
                stepped=progress.stepped, logged=progress.logged,
            )  # fmt: skip
        if first:
            _finish(out, parts, fitted, settings, known, seed, runner, as_json)
    runner.barrier()


def _cipher(cipher: str | None, key: Path | None, per_image: bool) -> ImageProtection | None:
    """The cipher that options name."""
    if cipher is None:
        if key is not None or per_image:
            raise typer.BadParameter("--key and --per-image go with --cipher")
        return None
    return cipher_named(cipher, key, per_image)


def _adaptation(option: str, encryption: ImageProtection | None, cipher: str | None) -> str | None:
    """The network in front of the classifier: for what encrypts in training, or what the folder's images were."""
    if option != "auto":
        return None if option == "none" else option
    if encryption is None and cipher is not None and cipher in PROTECTIONS:
        encryption = PROTECTIONS[cipher]
    return encryption.adaptation if encryption is not None else None


def _protected(cipher: str, when: str = "") -> str:
    return f"transformed{when}" if cipher == TRANSFORMED else f"encrypted{when} by {cipher}"


def _described(parts: Parts, cipher: str | None, settings: ClassifierSettings) -> str:
    shape = "×".join(map(str, parts.train.images.shape[2:]))
    how = _protected(cipher) if cipher else "plain"
    augmented = "cropped and mirrored" if settings.flip else "not augmented"
    return (
        f"{parts.name}: {len(parts.train):,} training and {len(parts.test):,} test images of {shape}, "
        f"{len(parts.train.classes)} classes, {how}, {augmented}; {settings.epochs} epochs"
    )


def _finish(out: Path, parts: Parts, fitted: Fitted, settings: ClassifierSettings, protected: dict[str, Any], seed: int,
            runner: "Fabric", as_json: bool) -> None:  # fmt: skip
    """Writes the model card and says how good it is."""
    percent = {name: round(100 * value, 2) for name, value in fitted.test.items()}
    changed = {each.name: getattr(settings, each.name) for each in fields(settings)}
    fitted.save(
        out / CARD, name=out.resolve().name, on=f"{parts.name} test, {len(parts.test):,} images",
        training=changed | {
            "data": f"{parts.name} {parts.fingerprint}", **protected, "seed": seed,
            "precision": training.precision_of(runner), "command": provenance.command(),
        },
    )  # fmt: skip
    card = out / CARD
    seconds = round(sum(row["seconds"] for row in fitted.log), 1)
    if as_json:
        result: dict[str, Any] = {"card": printable(card), "seconds": seconds, "log": fitted.log}
        output.print_json(json.dumps(fitted.test | result))
        return
    output.print(f"test images: {percent['top1']} % right, {percent['top5']} % among the first five")
    output.print(f"model card: {escape(printable(card))}", soft_wrap=True)
