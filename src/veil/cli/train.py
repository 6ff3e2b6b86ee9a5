"""`veil train`: a classifier of plain or protected images, as a model card."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from veil.cli.options import (
    AUTO_DEVICE,
    Device,
    chosen,
    cipher_help,
    cipher_named,
    ciphers,
    completion,
    one_of,
    packaged_transformations,
    starting,
    table_help,
    transformation_named,
)
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data.layouts import SmallImagesLayout, expected
from veil.models.architectures import ADAPTATIONS, ARCHITECTURES, Architecture
from veil.protections import PROTECTIONS
from veil.protections.image_protection import ImageProtection
from veil.runtime.devices import Precision
from veil.runtime.files import printable
from veil.training.classifier_settings import PRESETS, ClassifierSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from veil.data.labelled_images import Parts
    from veil.training.classification import Protection, TrainedClassifier

CARD = "model.toml"
AUTO, NONE = "auto", "none"
_DATA = (
    f"Folder of a data set: {expected(SmallImagesLayout)}. Plain, or as `veil encrypt` or `veil transform apply` wrote "
    "it. LAYOUT:FOLDER names the layout; module:object is one of your own."
)
_NETWORK = f"{table_help({name: row for name, row in ARCHITECTURES.items() if row.channels == 3})} Or module:object."
_SCHEDULES = "; ".join(f"{name}: {row.epochs} epochs, {row.schedule}" for name, row in PRESETS.items())
_ADAPTATION = f"Network in front of it. {AUTO}: the cipher's; {NONE}; {table_help(ADAPTATIONS)}"


def train(
    data: Annotated[str, typer.Option(help=_DATA, show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model card, checkpoints and logs.")],
    cipher: Annotated[
        str | None,
        typer.Option(
            help=f"Encrypt plain images in training, after augmentation. {cipher_help()}",
            show_default="none",
            autocompletion=starting(ciphers()),
        ),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Key file of the cipher.", show_default="none")] = None,
    per_image: Annotated[bool, typer.Option("--per-image", help="A fresh key for every image (pixel).")] = False,
    transform: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Transform plain images in training, after augmentation: see `veil transform`.",
            show_default="none",
            autocompletion=starting(packaged_transformations()),
        ),
    ] = None,
    schedule: Annotated[
        str, one_of(PRESETS, f"How long, and how the learning rate changes. {_SCHEDULES}.")
    ] = "fast",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training images.", show_default="the schedule's")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Over all devices.", show_default="the schedule's")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="At its highest.", show_default="the schedule's")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Parts of a batch, one after another.", show_default="the schedule's")
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option("--augment/--no-augment", help="Crop and mirror.",
                     show_default="unless they are protected already"),
    ] = None,
    network: Annotated[str, typer.Option(help=_NETWORK, autocompletion=completion(ARCHITECTURES))] = "resnet18",
    width: Annotated[
        int, typer.Option(min=1, help="Channels of the network's first stage, where it can be chosen.")
    ] = 64,
    adaptation: Annotated[
        str, typer.Option(help=_ADAPTATION, autocompletion=starting([AUTO, NONE, *ADAPTATIONS.names()]))
    ] = AUTO,
    side: Annotated[
        int | None, typer.Option(min=1, help="Resize images to this.", show_default="as they are")
    ] = None,
    validation: Annotated[int, typer.Option(min=0, help="Training images to leave out and watch.")] = 0,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    device: Device = AUTO_DEVICE,
    devices: Annotated[int, typer.Option(min=1, help="How many of them; each gets a process.")] = 1,
    precision: Annotated[Precision, typer.Option(help="auto is bf16-mixed where it is fast.")] = "auto",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:  # fmt: skip
    """Train a network on plain, encrypted or transformed images; the test images are asked about once, at the end.

    The same command goes on from the last finished epoch and ends with the same weights.
    """
    from veil import training
    from veil.data import small_images
    from veil.jobs import folders
    from veil.training import classification
    from veil.training.run import Run

    row = chosen(ARCHITECTURES, "network", network)
    protected = _protected_by(cipher, key, per_image, transform)
    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "accumulate": accumulate}
    settings = _settings(schedule, given)
    with errors.status("reading images"):
        parts = small_images.load(data, side)
    if parts.cipher is not None and protected.option is not None:
        how = _protected(parts.cipher, " already")
        raise typer.BadParameter(f"{protected.option} does not go with {data}: its images are {how}")
    if augment is False or (augment is None and parts.cipher is not None):
        settings = replace(settings, padding=0, flip=False)
    seen = protected.name or parts.cipher
    known = {"cipher": seen, **protected.known, **_key_of(parts, protected)}
    runner = training.fabric(device, precision, devices)
    first = runner.is_global_zero
    with folders.locked(out) if first else nullcontext():
        if first:
            errors.print(escape(_described(parts, seen, settings)))
        with TrainingProgress(shown=first) as progress:
            run = Run(
                folder=out, seed=seed, runner=runner, about={"cipher": seen, **protected.known, "key": protected.key},
                tensorboard=tensorboard,
                stepped=progress.stepped, logged=progress.logged,
            )  # fmt: skip
            fitted = classification.fit(
                parts, settings, run, architecture=row, protection=protected.protection,
                adaptation=_adaptation(adaptation, protected, parts.cipher, row), width=width, watched=validation,
            )  # fmt: skip
        if first:
            _finish(out, parts, fitted, settings, known, seed, runner, as_json)
    runner.barrier()


def _key_of(parts: "Parts", protected: "_InTraining") -> dict[str, Any]:
    """The fingerprint of the key that images are encrypted under, for the card; nothing where they are not."""
    from veil.images.marks import NO_KEY

    if protected.option == "--cipher":
        return {"key": protected.key or NO_KEY}
    from veil.data.labelled_images import TRANSFORMED

    return {"key": parts.key} if parts.key is not None and parts.cipher != TRANSFORMED else {}


@dataclass(frozen=True)
class _InTraining:
    """What protects images in training.

    Attributes:
        option: that chose it; None where nothing does.
        name: the row of the cipher, or what stands for a transformation.
        known: what the card says of it beside the name.
        adaptation: the network that makes the cipher's images fit for convolutions.
        key: fingerprint of the cipher's key.
    """

    protection: "Protection"
    option: str | None = None
    name: str | None = None
    known: Mapping[str, Any] = field(default_factory=dict)
    adaptation: str | None = None
    key: str | None = None


def _protected_by(cipher: str | None, key: Path | None, per_image: bool, transform: str | None) -> _InTraining:
    """What ``--cipher`` or ``--transform`` say."""
    from veil.training import classification

    row = _cipher(cipher, key, per_image)
    if transform is not None:
        if row is not None:
            raise typer.BadParameter("--transform does not go with --cipher")
        return _transformation(transform)
    if row is None:
        return _InTraining(classification.unprotected)
    from veil.cli import key as keys

    secret = keys.load(key) if key is not None else None
    return _InTraining(
        row.build(secret), "--cipher", row.name, adaptation=row.adaptation,
        key=None if secret is None else secret.fingerprint,
    )  # fmt: skip


def _transformation(named: str) -> _InTraining:
    from veil.data.labelled_images import TRANSFORMED
    from veil.protections.transformation.folder import fingerprint_of

    row = transformation_named(named)
    protects = row.build()
    known = {"transformation": fingerprint_of(protects, row.name)}
    return _InTraining(protects, "--transform", TRANSFORMED, known)


def _settings(schedule: str, given: dict[str, Any]) -> ClassifierSettings:
    """The settings of a schedule, and those that were given instead of its own."""
    return replace(PRESETS[schedule], **{option: value for option, value in given.items() if value is not None})


def _cipher(cipher: str | None, key: Path | None, per_image: bool) -> ImageProtection | None:
    """The row of `CIPHERS` that options name."""
    if cipher is None:
        if key is not None or per_image:
            raise typer.BadParameter("--key and --per-image go with --cipher")
        return None
    return cipher_named(cipher, key, per_image)


def _adaptation(option: str, protected: _InTraining, images: str | None, row: Architecture) -> str | None:
    """The adaptation that an option names; `AUTO` is that of what encrypts in training, or encrypted the folder's
    ``images``, where the network takes one."""
    if option != AUTO:
        return None if option == NONE else ADAPTATIONS[option].name
    if "adaptation" not in row.options:
        return None
    cipher = PROTECTIONS[images] if images is not None and images in PROTECTIONS else None
    return protected.adaptation or (None if cipher is None else cipher.adaptation)


def _protected(cipher: str, when: str = "") -> str:
    from veil.data.labelled_images import TRANSFORMED

    return f"transformed{when}" if cipher == TRANSFORMED else f"encrypted{when} by {cipher}"


def _described(parts: "Parts", cipher: str | None, settings: ClassifierSettings) -> str:
    shape = "×".join(map(str, parts.train.images.shape[2:]))
    how = _protected(cipher) if cipher else "plain"
    augmented = "cropped and mirrored" if settings.flip else "not augmented"
    return (
        f"{parts.name}: {len(parts.train):,} training and {len(parts.test):,} test images of {shape}, "
        f"{len(parts.train.classes)} classes, {how}, {augmented}; {settings.epochs} epochs"
    )


def _finish(out: Path, parts: "Parts", fitted: "TrainedClassifier", settings: ClassifierSettings,
            protected: dict[str, Any], seed: int, runner: "Fabric", as_json: bool) -> None:  # fmt: skip
    """Writes the model card and says how good it is."""
    from veil import training
    from veil.runtime import provenance

    percent = {name: round(100 * value, 2) for name, value in fitted.test.items()}
    changed = {known.name: getattr(settings, known.name) for known in fields(settings)}
    fitted.save(
        out / CARD, name=out.resolve().name, on=f"{parts.name} test, {len(parts.test):,} images",
        training=changed | {
            "data": f"{parts.name} {parts.fingerprint}", **protected, "seed": seed,
            "precision": training.precision_of(runner), "command": provenance.command(),
            "fetched": provenance.fetched() or None,
        },
    )  # fmt: skip
    card = out / CARD
    if fitted.architecture not in ARCHITECTURES:
        errors.print(
            f"[yellow]no package registers the architecture {escape(fitted.architecture)}[/]: the card can be read by "
            "veil.load_classifier(card, architecture=…), and by commands once a package does",
            soft_wrap=True,
        )
    seconds = round(sum(row["seconds"] for row in fitted.log), 1)
    if as_json:
        result: dict[str, Any] = {"card": printable(card), "seconds": seconds, "log": fitted.log}
        output.print_json(json.dumps(fitted.test | result))
        return
    output.print(f"test images: {percent['top1']} % right, {percent['top5']} % among the first five")
    output.print(f"model card: {escape(printable(card))}", soft_wrap=True)
