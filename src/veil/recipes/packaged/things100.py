"""Trains ``things100``, the packaged classifier of 100 everyday classes.

Data:    things100, 100 classes of Tiny ImageNet at 64×64: 40,000 training images. 2,000 of them (20 of each class)
         are set aside and watched; the 5,000 validation images are judged once, at the end.
Command: python -m veil.recipes.packaged.things100 --data DIR/things100 --out runs/things100 --scale cpu
Cost:    about an hour and a half on two cores with bf16, minutes on a GPU.
Expect:  top-1 67.9 %, top-5 88.9 %.

SGD with Nesterov momentum, one cycle; random resized crops, mirroring, colour jitter, CutMix in half of the batches
until the last eighth of the run; label smoothing 0.1; at the end the logits are scaled to fit the watched images. The
side of the training images grows from 40 to 64 pixels, which saves half of the time (Howard 2018, "progressive
resizing").
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil.data import augmentation, class_folders
from veil.data.labelled_images import LabelledImages
from veil.models.residual import ResidualNet
from veil.recipes.packaged.classifier_training import calibrate, save_float16, shuffled
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Trained
from veil.training.classification import Input, accuracy, unprotected
from veil.training.schedule import one_cycle, set_rate

GIVEN = Input(unprotected, (0.48, 0.45, 0.40), (0.27, 0.26, 0.28))
SIDE = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes in pixels; ``sides`` are those of the training images over equal parts of the run."""

    epochs: int = 48
    batch_size: int = 128
    learning_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    crop_area: tuple[float, float] = (0.4, 1.0)
    cutmix: float = 0.5
    plain_share: float = 0.125
    sides: tuple[int, ...] = (40, 48, 64)
    widths: tuple[int, ...] = (48, 96, 192, 256)
    depths: tuple[int, ...] = (1, 2, 2, 1)
    watched_per_class: int = 20


SCALES = {
    "smoke": Settings(epochs=2, batch_size=8, widths=(8, 16), depths=(1, 1), watched_per_class=1),
    "cpu": Settings(),
    "paper": Settings(epochs=200, sides=(48, 64)),
}


def split_watched(data: LabelledImages, per_class: int) -> tuple[LabelledImages, LabelledImages]:
    """Moves the last ``per_class`` images of each class from the training images to a second part."""
    watched = torch.zeros(len(data), dtype=torch.bool)
    for label in range(len(data.classes)):
        watched[torch.nonzero(data.labels == label)[-per_class:, 0]] = True
    return (
        LabelledImages(data.images[~watched], data.labels[~watched], data.classes),
        LabelledImages(data.images[watched], data.labels[watched], data.classes),
    )


def train(data: LabelledImages, settings: Settings, folder: Path, seed: int, device: str = "cpu") -> ResidualNet:
    """Trains on ``data`` and returns the network; resumes from the checkpoint in ``folder``."""
    learn, watched = split_watched(data, settings.watched_per_class)
    torch.manual_seed(seed_of("weights", seed))
    fabric = loop.fabric(device)
    network = ResidualNet(len(data.classes), widths=settings.widths, depths=settings.depths)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups: list[dict[str, Any]] = [  # biases and batch-norm do not decay
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1]},
    ]
    optimizer = torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=True)
    model, optimizer = fabric.setup(network, optimizer)
    mean, std = (fabric.to_device(torch.tensor(statistic).view(3, 1, 1)) for statistic in (GIVEN.mean, GIVEN.std))

    def batches(epoch: int, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return shuffled(learn, settings.batch_size, generator)

    def step(batch: tuple[Tensor, Tensor], now: loop.Moment) -> dict[str, Tensor]:
        images, labels = batch
        side = settings.sides[int(now.progress * len(settings.sides))]
        images = augmentation.random_resized_crop(images, side, now.generator, area=settings.crop_area)
        images = augmentation.colour_jitter(images, now.generator)
        pasted, share = labels, 1.0
        mix = float(torch.rand(1, generator=now.generator)) < settings.cutmix
        if mix and now.progress < 1 - settings.plain_share:
            images, pasted, share = augmentation.cutmix(images, labels, now.generator)
        images = ((fabric.to_device(images) - mean) / std).contiguous(memory_format=torch.channels_last)
        labels, pasted = fabric.to_device((labels, pasted))
        set_rate(optimizer, settings.learning_rate * one_cycle(now.progress))
        logits = model(images).float()
        loss = share * F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
        loss = loss + (1 - share) * F.cross_entropy(logits, pasted, label_smoothing=settings.label_smoothing)
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": loss.detach()}

    loop.run(
        Trained({"network": network}, {"sgd": optimizer.optimizer}), batches, step,
        epochs=settings.epochs, steps_per_epoch=len(learn) // settings.batch_size, folder=folder, seed=seed,
        settings=asdict(settings), after_epoch=lambda _: accuracy(network, watched, GIVEN, seed),
    )  # fmt: skip
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--out", type=Path, default=Path("runs/things100"))
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    settings = SCALES[arguments.scale]
    learn = class_folders.read(arguments.data / "train", SIDE)
    network = train(learn, settings, arguments.out, arguments.seed, arguments.device).cpu()
    factor = calibrate(network, network.head, split_watched(learn, settings.watched_per_class)[1], GIVEN)
    save_float16(network, arguments.out / "things100.safetensors")
    words = class_folders.read_words(arguments.data / "words.txt")
    labels = "".join(words[class_id] + "\n" for class_id in learn.classes)
    (arguments.out / "things100.labels.txt").write_text(labels, encoding="utf-8")
    judged = accuracy(network.half().float(), class_folders.read(arguments.data / "val", SIDE), GIVEN, arguments.seed)
    print(json.dumps({"seed": arguments.seed, "scale": arguments.scale, "logits_scaled": factor, **judged}))


if __name__ == "__main__":
    main()
