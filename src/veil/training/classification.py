"""Classifiers of small images, plain or protected: augment, then protect, every epoch.

All images stay as bytes on the device, if they fit. An epoch takes them in a new order, crops and mirrors whole
batches, passes the batch to the *protection*, and only then converts it to floating point. A protection is a callable
on a batch (uint8 (N, 3, H, W) to the same type) and a generator for its random numbers. Images are cropped before they
are encrypted, because a crop of an encrypted image would cut permuted blocks of 4×4 pixels apart.

Source of the settings: Sirichotedumrong and Kiya 2020, section IV-D. Deviation: the paper's client normalises before
it protects; ciphers need bytes, so here protection comes first and normalisation last.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from veil.data.augmentation import crop_and_flip
from veil.data.labelled_images import LabelledImages, Parts
from veil.models import cards
from veil.models.architectures import ARCHITECTURES, Architecture
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.checkpoints import Row, Trained
from veil.training.classifier_settings import PRESETS as PRESETS
from veil.training.classifier_settings import ClassifierSettings as ClassifierSettings
from veil.training.order import epoch_generator, share_of, whole_batches
from veil.training.run import Run
from veil.training.schedule import set_rate

Protection = Callable[[Tensor, Generator], Tensor]
STATISTICS_OF = 2_000  # images


def unprotected(images: Tensor, generator: Generator) -> Tensor:
    """No protection: the images as they are."""
    return images


@dataclass(frozen=True, eq=False)
class Input:
    """The input of a network: protects images, then normalises them by mean and standard deviation of each channel.

    Attributes:
        protection: see the head of this module.
        mean, std: of values in [0, 1].
    """

    protection: Protection
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: Tensor, protection: Protection, seed: int) -> "Input":
        """Measures mean and standard deviation on the first protected training images (uint8 (N, 3, H, W))."""
        protected = protection(images[:STATISTICS_OF], Generator().manual_seed(seed_of("statistics", seed)))
        values = protected.double().div_(255).transpose(0, 1).flatten(1)
        std = values.std(1).clamp_min(1 / 255)
        return cls(protection, *(tuple(round(float(v), 4) for v in pair) for pair in (values.mean(1), std)))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """uint8 (N, 3, H, W) to float32, protected and normalised."""
        values = self.protection(images, generator).float().div_(255)
        mean, std = (values.new_tensor(statistic).view(1, -1, 1, 1) for statistic in (self.mean, self.std))
        return values.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def train(
    network: nn.Module,
    data: LabelledImages,
    settings: ClassifierSettings,
    run: Run,
    *,
    prepare: Input,
    watched: LabelledImages | None = None,
) -> list[Row]:
    """Trains ``network`` in place, from the last checkpoint in the run's folder on; see `veil.training.loop.run`.

    Args:
        network: maps the output of ``prepare`` to logits (N, classes).
        data: the training images.
        prepare: protects and normalises images before they enter the network.
        run: its ``about`` says what else the result depends on: data, architecture, protection.
        watched: images that are not trained on; their accuracy goes to the log after each epoch.

    Returns:
        The log: ``loss``, ``accuracy`` in training, and ``watched``.

    Raises:
        ValueError: if batches cannot be divided among devices, or there are too few images.
    """
    runner, seed = run.runner, run.seed
    batch = min(settings.batch_size, len(data))
    shares = runner.world_size * settings.accumulate
    if batch % shares or batch < 2 * shares:
        raise ValueError(f"batches of {batch} images cannot be divided into {shares} equal parts of at least 2")
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        _groups(network, settings), lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov
    )
    model, prepared = runner.setup(network, optimizer)
    images, labels = _place(data, runner.device)
    own = share_of(runner, batch)

    def batches(epoch: int, _: Generator) -> Iterator[Tensor]:
        for whole in whole_batches(len(data), batch, epoch_generator(seed, epoch)):
            yield whole[own]

    def step(index: Tensor, now: loop.Moment) -> dict[str, Tensor]:
        set_rate(prepared, settings.rate(now.progress))
        index = index.to(images.device)
        augmented = crop_and_flip(images[index], now.generator, padding=settings.padding, flip=settings.flip)
        inputs, targets = prepare(augmented.to(runner.device), now.generator), labels[index].to(runner.device)
        losses, hits = [], []
        parts = list(zip(inputs.chunk(settings.accumulate), targets.chunk(settings.accumulate), strict=True))
        for number, (part, target) in enumerate(parts, start=1):
            with runner.no_backward_sync(model, enabled=number < len(parts)):
                logits = model(part).float()
                loss = F.cross_entropy(logits, target, label_smoothing=settings.label_smoothing)
                runner.backward(loss / len(parts))
            losses.append(loss.detach())
            hits.append(logits.detach().argmax(1).eq(target).float().mean())
        prepared.step()
        prepared.zero_grad()
        return {"loss": torch.stack(losses).mean(), "accuracy": torch.stack(hits).mean()}

    def watch(_: int) -> dict[str, float]:
        return {"watched": accuracy(network, watched, prepare, seed)["top1"]} if watched is not None else {}

    return loop.run(
        Trained({"network": network}, {"sgd": prepared.optimizer}), batches, step,
        epochs=settings.epochs, steps_per_epoch=len(data) // batch, after_epoch=watch,
        settings=asdict(settings) | {"mean": prepare.mean, "std": prepare.std} | dict(run.about), **run.reporting,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """A trained network, its input, the log, and its accuracy on the test images.

    Attributes:
        architecture, options: what the network was built from; a row of `veil.models.architectures.ARCHITECTURES`.
        classes: their names.
        size: height and width of the images.
        test: top-1 and top-5 accuracy, 0 to 1.
    """

    network: nn.Module
    architecture: str
    options: dict[str, Any]
    prepare: Input
    classes: tuple[str, ...]
    size: tuple[int, int]
    log: list[Row]
    test: dict[str, float]

    def save(self, card: Path, *, name: str, on: str, training: Mapping[str, Any]) -> None:
        """Writes a model card (`veil.models.cards`), and the weights beside it.

        Args:
            on: the test images, in words.
            training: of the card, for people.
        """
        percent = {key: round(100 * value, 2) for key, value in self.test.items()}
        cards.write(
            card, self.network, name=name, architecture=f"veil/{self.architecture}", options=self.options,
            classes=self.classes,
            input_fields={"resize": list(self.size), "mean": list(self.prepare.mean), "std": list(self.prepare.std)},
            accuracy=percent | {"on": on}, training=training,
        )  # fmt: skip


def fit(
    parts: Parts,
    settings: ClassifierSettings,
    run: Run,
    *,
    architecture: str | Architecture = "resnet18",
    protection: Protection = unprotected,
    adaptation: str | None = None,
    width: int = 64,
    watched: int = 0,
) -> TrainedClassifier:
    """Trains a network on the training images of ``parts`` and measures it on the test images, once.

    Args:
        run: see `train`.
        architecture: a row of `veil.models.architectures.ARCHITECTURES`, its name, or ``module:object``.
        protection: of all images, after augmentation.
        adaptation, width: options of the network, if it has them; see `veil.models.residual.ResNet18`.
        watched: how many training images are left out of the training, for the log.

    Raises:
        UnknownName: where there is no such architecture.
        ValueError: as `train` does; also if the architecture does not take such images or an adaptation, or if no
            training images would remain.
    """
    row = ARCHITECTURES.resolve(architecture) if isinstance(architecture, str) else architecture
    _check(row, parts, adaptation)
    seed = run.seed
    learn, held_out = _split(parts.train, watched, seed)
    prepare = Input.of(learn.images, protection, seed)
    torch.manual_seed(seed_of("weights", seed))
    known: dict[str, Any] = {"num_classes": len(parts.train.classes), "width": width, "adaptation": adaptation}
    options = {name: value for name, value in known.items() if name in row.options}
    network = row.build(options)
    about = options | {"architecture": row.name, "data": parts.fingerprint, "watched": watched} | dict(run.about)
    log = train(network, learn, settings, replace(run, about=about), prepare=prepare, watched=held_out)
    height, width_of = parts.test.images.shape[2:]
    test = accuracy(network, parts.test, prepare, seed)
    return TrainedClassifier(network, row.name, options, prepare, parts.train.classes, (height, width_of), log, test)


def _check(row: Architecture, parts: Parts, adaptation: str | None) -> None:
    """Raises ValueError if the network does not take such images or an adaptation."""
    channels, side = parts.train.images.shape[1], parts.train.images.shape[-1]
    if row.channels != channels or row.side not in (None, side):
        takes, offered = ("grey images" if count == 1 else "RGB images" for count in (row.channels, channels))
        of = f" of {row.side}×{row.side} pixels" if row.side is not None else ""
        raise ValueError(f"{row.name} takes {takes}{of}, not {offered} of {side}×{side}")
    if adaptation is not None and "adaptation" not in row.options:
        raise ValueError(f"{row.name} takes no adaptation network in front of it")


def _split(data: LabelledImages, watched: int, seed: int) -> tuple[LabelledImages, LabelledImages | None]:
    if not watched:
        return data, None
    if watched >= len(data):
        raise ValueError(f"{watched} of {len(data)} training images cannot be left out of the training")
    order = torch.randperm(len(data), generator=Generator().manual_seed(seed_of("watched", seed)))
    some, rest = (LabelledImages(data.images[part], data.labels[part], data.classes) for part in
                  (order[:watched], order[watched:]))  # fmt: skip
    return rest, some


def _groups(network: nn.Module, settings: ClassifierSettings) -> list[dict[str, Any]]:
    if settings.decay_all:
        return [{"params": list(network.parameters()), "weight_decay": settings.weight_decay}]
    return [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _place(data: LabelledImages, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images and labels on the device, or on the CPU if they would take more than half of the device's free memory."""
    if device.type == "cuda" and data.images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
        return data.images, data.labels
    return data.images.to(device), data.labels.to(device)


@torch.inference_mode()
def accuracy(
    network: nn.Module, data: LabelledImages, prepare: Input, seed: int, batch_size: int = 250
) -> dict[str, float]:
    """Top-1 and top-5 accuracy, 0 to 1, in float32; ``seed`` sets the protection's random numbers."""
    device = next(network.parameters()).device
    generator = Generator().manual_seed(seed_of("evaluation", seed))
    training = network.training
    network.eval()
    hits = torch.zeros(2)
    for start in range(0, len(data), batch_size):
        part = slice(start, start + batch_size)
        logits = network(prepare(data.images[part].to(device), generator)).cpu()
        best = logits.topk(min(5, logits.shape[1])).indices == data.labels[part, None]
        hits += torch.stack([best[:, 0].sum(), best.any(1).sum()])
    network.train(training)
    return {"top1": float(hits[0]) / len(data), "top5": float(hits[1]) / len(data)}
