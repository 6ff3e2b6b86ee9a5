"""A transformation from a set of images: who is trained on what, and what was measured in the end.

`make` chooses images, makes preliminary protected ones where the method needs them (kept beside the checkpoint, so that
a training that was stopped does not make them again), trains, and returns the network with its card. `judge` asks h_θ
and the metrics about test images, once.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Generator, Tensor

from veil import images, metrics
from veil.data.labelled_images import LabelledImages, Parts
from veil.models.classifier import Classifier
from veil.protections.transformation import METHODS, fitting, losses, preliminary
from veil.protections.transformation.file import Transformation
from veil.protections.transformation.fitting import Fitted, Material
from veil.protections.transformation.frozen_networks import Guide
from veil.protections.transformation.preliminary import PreliminarySettings
from veil.runtime.files import write_atomically
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Row

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WATCHED = 500
"""Training images that are not trained on."""
PRELIMINARY = "preliminary.safetensors"
_PART = 250


@dataclass(frozen=True, eq=False)
class Made:
    """A transformation, and the training that it came from."""

    transformation: Transformation
    fitted: Fitted


def make(
    parts: Parts,
    guide: Guide,
    method: str,
    settings: Any,
    noise: PreliminarySettings,
    *,
    name: str,
    count: int | None,
    folder: Path,
    shared: Path | None = None,
    seed: int,
    runner: "Fabric",
    say: Callable[[str], None] = lambda line: None,
    about: dict[str, object] | None = None,
    logged: Callable[[Row], None] = loop.report,
    **reporting: Any,
) -> Made:
    """Trains a transformation network on training images of ``parts``.

    Args:
        guide: h_θ, of these images' classes, and φ.
        method: a key of `METHODS`.
        settings: of the method.
        noise: of the preliminary protected images.
        name: of the transformation.
        count: how many images, chosen by ``seed``; None takes all. `WATCHED` of them, a tenth at most, are watched.
        folder: for checkpoints, the log and pictures.
        shared: folder for preliminary protected images, where trainings share them; None takes ``folder``.
        about: further things that the training's card says.
        say: called with a line about what is being done, and with what `fitting.collapse` finds.
        logged, reporting: see `veil.training.loop.run`.

    Raises:
        ValueError: where h_θ has other classes, or there are too few images; as the method's ``train`` does.
        TrainingError: as the method's ``train`` does.
    """
    row = METHODS[method]
    if len(guide.classifier.classes) != len(parts.train.classes):
        raise ValueError(
            f"{guide.classifier.name} knows {len(guide.classifier.classes)} classes, {parts.name} has "
            f"{len(parts.train.classes)}"
        )
    total = len(parts.train) if count is None else min(count, len(parts.train))
    order = torch.randperm(len(parts.train), generator=Generator().manual_seed(seed_of("images", seed)))[:total]
    plain, labels = parts.train.images[order], parts.train.labels[order]
    described: dict[str, object] = {
        "data": f"{parts.name} {parts.fingerprint}", "images": total, "seed": seed,
        "classifier": guide.classifier.fingerprint(), "features": guide.named, **(about or {}),
    }  # fmt: skip
    if row.preliminary:
        described |= {"preliminary": asdict(noise)}
    guide.to(runner.device)
    protected = None
    if row.preliminary:
        protected = _preliminary(plain, labels, guide.classifier, noise, shared or folder, described, runner, say)
    material = fitting.split(Material(plain, labels, plain[:0], labels[:0], protected), min(WATCHED, total // 10))
    held_out = LabelledImages(material.watched, material.watched_labels, parts.train.classes)
    reachable = accuracy(guide.classifier, held_out)

    def log_and_warn(row: Row) -> None:
        logged(row)
        for trouble in fitting.collapse(row, reachable):
            say(f"epoch {row['epoch'] + 1}: {trouble}")

    fitted = row.train(
        material, guide, settings, folder=folder, seed=seed, runner=runner, about=described, logged=log_and_warn,
        **reporting,
    )  # fmt: skip
    card = described | {"settings": asdict(settings), "precision": loop.precision_of(runner)}
    made = Transformation(name, fitted.network.cpu(), method, card)
    return Made(made, fitted)


def _preliminary(
    plain: Tensor, labels: Tensor, classifier: Classifier, settings: PreliminarySettings, folder: Path,
    described: dict[str, object], runner: "Fabric", say: Callable[[str], None],
) -> Tensor:  # fmt: skip
    """x_p, from the folder where an earlier run with the same settings left them."""
    file, key = folder / PRELIMINARY, f"{seed_of(sorted(described.items())):016x}"
    if file.is_file():
        try:
            found = load_file(file)
            if key in found:
                return found[key]
        except SafetensorError:
            pass
    protected = preliminary.protect(
        plain, labels, classifier, settings, runner=runner,
        progress=lambda done, total: say(f"preliminary protection: {done:,} of {total:,} images"),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    if runner.is_global_zero:
        write_atomically(file, save({key: protected}))
    return protected


@torch.inference_mode()
def judge(transformation: Transformation, guide: Guide, test: LabelledImages, seed: int) -> dict[str, float | None]:
    """What is left in test images, as bytes: for h_θ, and for the eye, with the same for pairs of unrelated images.

    Returns:
        ``accuracy`` and ``plain_accuracy`` of h_θ, 0 to 1; ``ssim``, ``visible`` (`veil.metrics.visible`), ``distance``
        (`losses.feature` in units of unrelated plain images) and ``lpips`` (None without its weights) between plain and
        transformed images, and ``unrelated_…`` between plain images and other transformed ones; ``plain_…`` between
        plain images and other plain ones.
    """
    guide.to(torch.device("cpu"))
    parts = [transformation(each) for each in torch.split(test.images, _PART)]
    transformed = torch.cat(parts)
    order = torch.randperm(len(test), generator=Generator().manual_seed(seed_of("unrelated", seed)))
    other = order[torch.argsort(order).roll(1)]  # each image gets another one
    compared = {"": transformed, "unrelated_": transformed[other], "plain_": test.images[other]}
    found: dict[str, float | None] = {
        "accuracy": accuracy(guide.classifier, LabelledImages(transformed, test.labels, test.classes)),
        "plain_accuracy": accuracy(guide.classifier, test),
    }
    for prefix, images_of in compared.items():
        found |= {prefix + name: value for name, value in _likeness(test.images, images_of, guide).items()}
    return found


def _likeness(plain: Tensor, released: Tensor, guide: Guide) -> dict[str, float | None]:
    visible = distance = 0.0
    for one, other in zip(torch.split(plain, _PART), torch.split(released, _PART), strict=True):
        x, y = images.to_float(one), images.to_float(other)
        visible += float(metrics.visible(x, y).sum())
        features = guide.features(x)
        distance += len(one) * float(losses.feature(features, guide.features(y)).mean() / losses.unrelated(features))
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
        hits += int(classifier(images.to_float(part.to(device))).argmax(1).cpu().eq(labels).sum())
    return hits / max(1, len(data))
