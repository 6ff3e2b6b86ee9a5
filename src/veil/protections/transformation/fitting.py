"""What the two trainings of a transformation share: their images, their epochs, and what is watched.

After every epoch images that are not trained on go through the network, as bytes, and the log says what h_θ still
reads off them and what people could: ``watched_accuracy``, ``watched_ssim`` to the plain image (docs/transformation.md
says how much unrelated images have), ``watched_distance`` in features, in units of unrelated images. `collapse` names
what has gone wrong. ``epochs/0001.png`` and so on show some of them: plain, preliminary (where there is one),
transformed, and turned back (where the training has a network for that).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil import images as pictures
from veil import metrics
from veil.images import Photo
from veil.models.unet import UNet
from veil.protections.transformation import losses
from veil.protections.transformation.frozen_networks import FrozenNetworks
from veil.runtime.files import write_atomically
from veil.training import loop
from veil.training.checkpoints import Row, Trained
from veil.training.order import epoch_generator, share_of, whole_batches
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

GRIDS = "epochs"
_SHOWN, _PART = 8, 250
_VISIBLE, _LOST, _WON = 0.3, 0.5, 0.02


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Images that a transformation is trained with, uint8 (N, 3, H, W), and labels of h_θ's classes, int64 (N,).

    Attributes:
        plain, labels: x and y.
        watched, watched_labels: others that are not trained on.
        protected, watched_protected: x_p of both; None where the method needs none.
    """

    plain: Tensor
    labels: Tensor
    watched: Tensor
    watched_labels: Tensor
    protected: Tensor | None = None
    watched_protected: Tensor | None = None


@dataclass(frozen=True, eq=False)
class TrainedNetworks:
    """h_p as it was trained, the network that turns its images back (where the method has one), and the log."""

    network: UNet
    inverse: UNet | None
    log: list[Row]


Step = Callable[[Tensor, loop.Moment], Mapping[str, float | Tensor]]


def train(
    trained: Trained,
    step: Step,
    images: TrainingImages,
    frozen: FrozenNetworks,
    run: Run,
    *,
    network: UNet,
    inverse: UNet | None = None,
    epochs: int,
    batch_size: int,
    settings: Mapping[str, object],
) -> TrainedNetworks:
    """Runs ``step`` on indices of images, in a new order every epoch; see `veil.training.loop.run`.

    Raises:
        ValueError: as `loop.run` does; where images cannot be divided among devices.
        TrainingError: as `loop.run` does.
    """
    count, runner = len(images.plain), run.runner
    batch = min(batch_size, count)
    own = share_of(runner, batch)

    def batches(epoch: int, _: Generator) -> Iterator[Tensor]:
        for whole in whole_batches(count, batch, epoch_generator(run.seed, epoch)):
            yield whole[own]

    def after_epoch(epoch: int) -> dict[str, float]:
        network.eval()  # the next epoch trains it again
        if runner.is_global_zero:
            _draw(images, network, inverse, run.folder / GRIDS / f"{epoch + 1:04}.png", runner.device)
        return watch(network, images, frozen, runner)

    log = loop.run(
        trained, batches, step, epochs=epochs, steps_per_epoch=count // batch, settings={**settings, **run.about},
        after_epoch=after_epoch, **run.reporting,
    )  # fmt: skip
    return TrainedNetworks(network, inverse, log)


@torch.inference_mode()
def watch(network: UNet, images: TrainingImages, frozen: FrozenNetworks, runner: "Fabric") -> dict[str, float]:
    """What is left in images that were not trained on, in float32."""
    hits, similarity, distance = 0.0, 0.0, 0.0
    for first in range(0, len(images.watched), _PART):
        plain = images.watched[first : first + _PART]
        released = pictures.quantise(network(pictures.to_float(plain.to(runner.device))))
        features = frozen.features(pictures.to_float(plain.to(runner.device)))
        others, logits = frozen.both(pictures.to_float(released))
        hits += float(logits.argmax(1).cpu().eq(images.watched_labels[first : first + _PART]).sum())
        similarity += len(plain) * (metrics.ssim(plain, released.cpu()) or 0.0)
        distance += len(plain) * float(losses.feature(features, others).mean() / losses.unrelated(features))
    count = len(images.watched)
    return {
        "watched_accuracy": hits / count, "watched_ssim": similarity / count, "watched_distance": distance / count,
    }  # fmt: skip


def collapse(row: Row, accuracy: float) -> list[str]:
    """What has gone wrong, by a row of the log, in words; nothing where all is well.

    Args:
        accuracy: of h_θ on plain images, 0 to 1.
    """
    troubles = []
    if row["visible"] > _VISIBLE:
        troubles.append(f"transformed images show what was in them ({row['visible']:.2f} of 1)")
    if row["watched_accuracy"] < _LOST * accuracy:
        troubles.append(f"the classifier reads too little (accuracy {row['watched_accuracy']:.2f} of {accuracy:.2f})")
    if row.get("discriminator", 1.0) < _WON:
        troubles.append(f"the discriminators tell all images apart (loss {row['discriminator']:.3f})")
    return troubles


def tiled(rows: list[Tensor]) -> Tensor:
    """Images, uint8 (N, 3, H, W) for each row, as one: (3, rows, columns), two white pixels apart."""
    white = [F.pad(row, (1, 1, 1, 1), value=255) for row in rows]
    return torch.cat([torch.cat(list(row), 2) for row in white], 1)


@torch.inference_mode()
def _draw(images: TrainingImages, network: UNet, inverse: UNet | None, file: Path, device: torch.device) -> None:
    plain = images.watched[:_SHOWN]
    transformed = network(pictures.to_float(plain.to(device)))
    rows = [plain]
    if images.watched_protected is not None:
        rows.append(images.watched_protected[:_SHOWN])
    rows.append(pictures.quantise(transformed).cpu())
    if inverse is not None:
        rows.append(pictures.quantise(inverse(pictures.to_float(rows[-1].to(device)))).cpu())
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, pictures.encode(Photo(tiled(rows)), "png"), synced=False)


def split(images: TrainingImages, watched: int) -> TrainingImages:
    """``images`` without any watched ones, with its last ones to be watched instead."""
    learn, held = slice(0, len(images.plain) - watched), slice(len(images.plain) - watched, None)
    protected = images.protected
    return replace(
        images, plain=images.plain[learn], labels=images.labels[learn],
        watched=images.plain[held], watched_labels=images.labels[held],
        protected=None if protected is None else protected[learn],
        watched_protected=None if protected is None else protected[held],
    )  # fmt: skip
