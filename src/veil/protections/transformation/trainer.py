"""A transformation from a set of images: who is trained on what, and what was measured in the end.

`train_transformation` chooses images, makes preliminary protected ones where the method needs them (kept beside the
checkpoint, so that a training that was stopped does not make them again), trains, and returns the network with its
card. `measure` asks h_θ and the metrics about test images, once.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Generator, Tensor

from veil import images, metrics
from veil.data.labelled_images import LabelledImages, Parts
from veil.models import weights
from veil.models.classifier import Classifier
from veil.models.unet import UNet
from veil.protections.transformation import fitting, losses, preliminary
from veil.protections.transformation.file import Transformation
from veil.protections.transformation.fitting import TrainingImages
from veil.protections.transformation.frozen_networks import FrozenNetworks
from veil.protections.transformation.method import TransformationMethod
from veil.protections.transformation.preliminary import PreliminarySettings
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Row
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WATCHED = 500
"""Training images that are not trained on."""
PRELIMINARY = "preliminary.safetensors"
_PART = 250


@dataclass(frozen=True, eq=False)
class TrainedTransformation:
    """A transformation, the network that turns its images back (where the method has one), and the training's log."""

    transformation: Transformation
    inverse: UNet | None
    log: list[Row]


@dataclass(frozen=True, kw_only=True)
class TransformationPlan:
    """What a transformation is trained by.

    Attributes:
        name: of the transformation.
        method: a row of `veil.protections.transformation.METHODS`.
        settings: of the method.
        noise: of the preliminary protected images.
        count: how many images, chosen by the run's seed; None takes all. `WATCHED` of them, a tenth at most, are
            watched.
    """

    name: str
    method: TransformationMethod
    settings: Any
    noise: PreliminarySettings = field(default_factory=PreliminarySettings)
    count: int | None = None


def train_transformation(
    parts: Parts,
    frozen: FrozenNetworks,
    plan: TransformationPlan,
    run: Run,
    *,
    shared: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> TrainedTransformation:
    """Trains a transformation network on training images of ``parts``.

    Args:
        frozen: h_θ, of these images' classes, and φ.
        run: with the folder for checkpoints, the log and pictures; what ``about`` says the training's card says, too.
        shared: folder for preliminary protected images, where trainings share them; None takes the run's.
        say: called with a line about what is being done, and with what `fitting.collapse` says.

    Raises:
        ValueError: where h_θ has other classes, or there are too few images; as the method's ``train`` does.
        TrainingError: as the method's ``train`` does.
    """
    if len(frozen.classifier.classes) != len(parts.train.classes):
        raise ValueError(
            f"{frozen.classifier.name} knows {len(frozen.classifier.classes)} classes, {parts.name} has "
            f"{len(parts.train.classes)}"
        )
    plain, labels = _chosen(parts, plan.count, run.seed)
    described = _described(parts, frozen, plan, len(plain), run)
    frozen.to(run.runner.device)
    protected = None
    if plan.method.preliminary:
        folder = shared or run.folder
        protected = _preliminary(plain, labels, frozen.classifier, plan.noise, folder, described, run.runner, say)
    whole = TrainingImages(plain, labels, plain[:0], labels[:0], protected)
    training_images = fitting.split(whole, min(WATCHED, len(plain) // 10))
    held_out = LabelledImages(training_images.watched, training_images.watched_labels, parts.train.classes)
    reachable = accuracy(frozen.classifier, held_out)

    def log_and_warn(row: Row) -> None:
        run.logged(row)
        for trouble in fitting.collapse(row, reachable):
            say(f"epoch {row['epoch'] + 1}: {trouble}")

    trained = plan.method.train(training_images, frozen, plan.settings, run.at(about=described, logged=log_and_warn))
    card = described | {"settings": asdict(plan.settings), "precision": loop.precision_of(run.runner)}
    transformation = Transformation(plan.name, trained.network.cpu(), plan.method.name, card)
    return TrainedTransformation(transformation, trained.inverse, trained.log)


def _chosen(parts: Parts, count: int | None, seed: int) -> tuple[Tensor, Tensor]:
    """Some training images, and their labels."""
    total = len(parts.train) if count is None else min(count, len(parts.train))
    order = torch.randperm(len(parts.train), generator=Generator().manual_seed(seed_of("images", seed)))[:total]
    return parts.train.images[order], parts.train.labels[order]


def _described(
    parts: Parts, frozen: FrozenNetworks, plan: TransformationPlan, count: int, run: Run
) -> dict[str, object]:
    """What the card says of the training, and on what its checkpoint depends."""
    described: dict[str, object] = {
        "data": f"{parts.name} {parts.fingerprint}", "images": count, "seed": run.seed,
        "classifier": frozen.classifier.fingerprint(), "features": frozen.named, **run.about,
    }  # fmt: skip
    return described | ({"preliminary": asdict(plan.noise)} if plan.method.preliminary else {})


def _preliminary(
    plain: Tensor, labels: Tensor, classifier: Classifier, settings: PreliminarySettings, folder: Path,
    described: dict[str, object], runner: "Fabric", say: Callable[[str], None],
) -> Tensor:  # fmt: skip
    """x_p, from the folder where an earlier run with the same settings left them."""
    file, key = folder / PRELIMINARY, f"{seed_of(sorted(described.items())):016x}"
    if file.is_file():
        try:
            kept = load_file(file)
            if key in kept:
                return kept[key]
        except SafetensorError:
            pass
    protected = preliminary.protect(
        plain, labels, classifier, settings, runner=runner,
        progress=lambda done, total: say(f"preliminary protection: {done:,} of {total:,} images"),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    if runner.is_global_zero:
        weights.write(file, {key: protected})
    return protected


@torch.inference_mode()
def measure(
    transformation: Transformation, frozen: FrozenNetworks, test: LabelledImages, seed: int
) -> dict[str, float | None]:
    """What is left in test images, as bytes: for h_θ, and for the eye, with the same for pairs of unrelated images.

    Returns:
        ``accuracy`` and ``plain_accuracy`` of h_θ, 0 to 1; ``ssim``, ``visible`` (`veil.metrics.visibility`),
        ``distance`` (`losses.feature` in units of unrelated plain images) and ``lpips`` (None without its weights)
        between plain and transformed images, and ``unrelated_…`` between plain images and other transformed ones;
        ``plain_…`` between plain images and other plain ones.
    """
    frozen.to(torch.device("cpu"))
    transformed = torch.cat([transformation(part) for part in torch.split(test.images, _PART)])
    order = torch.randperm(len(test), generator=Generator().manual_seed(seed_of("unrelated", seed)))
    other = order[torch.argsort(order).roll(1)]  # every image gets another one
    compared = {"": transformed, "unrelated_": transformed[other], "plain_": test.images[other]}
    measured: dict[str, float | None] = {
        "accuracy": accuracy(frozen.classifier, LabelledImages(transformed, test.labels, test.classes)),
        "plain_accuracy": accuracy(frozen.classifier, test),
    }
    for prefix, images_of in compared.items():
        measured |= {prefix + name: value for name, value in _likeness(test.images, images_of, frozen).items()}
    return measured


def _likeness(plain: Tensor, released: Tensor, frozen: FrozenNetworks) -> dict[str, float | None]:
    visible = distance = 0.0
    for one, other in zip(torch.split(plain, _PART), torch.split(released, _PART), strict=True):
        x, y = images.to_float(one), images.to_float(other)
        visible += float(metrics.visible(x, y).sum())
        features = frozen.features(x)
        distance += len(one) * float(losses.feature(features, frozen.features(y)).mean() / losses.unrelated(features))
    try:
        lpips: float | None = metrics.lpips(plain, released)
    except (ImportError, RuntimeError, ValueError):
        lpips = None
    return {
        "ssim": metrics.ssim(plain, released), "visible": visible / len(plain), "distance": distance / len(plain),
        "lpips": lpips,
    }  # fmt: skip


@torch.inference_mode()
def accuracy(classifier: Classifier, data: LabelledImages) -> float:
    """Share of uint8 images that a classifier names rightly; 0 where there are none."""
    device = next(classifier.parameters()).device
    hits = 0
    for part, labels in zip(torch.split(data.images, _PART), torch.split(data.labels, _PART), strict=True):
        answers = classifier.answers(images.to_float(part.to(device)), "an image")
        hits += int(answers.argmax(1).cpu().eq(labels).sum())
    return hits / max(1, len(data))
