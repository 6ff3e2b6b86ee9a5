"""How often a classifier is right about labelled images: a part of a data set, or a folder with a folder per class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from veil import images
from veil.data import class_folders, small_images
from veil.images import marks
from veil.images.marks import Mark
from veil.metrics.intervals import Interval, wilson
from veil.models import fitting
from veil.models.classifier import TORCH, Classifier
from veil.models.fitting import Misfit

Part = Literal["test", "train"]
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How often a classifier was right.

    Attributes:
        model: its name.
        data: of what, in words.
        count: how many images.
        top1, top5: shares of images whose class came first, or among the first five; 0 to 1.
        top1_interval, top5_interval: 95 %, Wilson's: images count as independent.
        warnings: what nobody could tell, once each.
        run_by: what ran the network, ``torch`` or ``onnxruntime``.
    """

    model: str
    data: str
    count: int
    top1: float
    top1_interval: Interval
    top5: float
    top5_interval: Interval
    warnings: tuple[str, ...] = ()
    run_by: str = TORCH


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Labelled images, a few at a time, all of one size in each part: float in [0, 1], labels, and what they say."""

    name: str
    classes: tuple[str, ...]
    parts: Callable[[], Iterator[tuple[Tensor, Tensor, Mark | None]]]


def evaluate(
    classifier: Classifier, data: str | Path, *, part: Part = "test", device: torch.device | None = None,
    anyway: bool = False,
) -> Evaluation:  # fmt: skip
    """Asks a classifier about every labelled image, and counts.

    Args:
        data: a data set as `veil.data.small_images.load` takes it, of which a ``part`` is asked; or a folder with a
            folder of images for each class.
        anyway: ask also about images that the classifier cannot read, such as plain ones of an encrypted model.

    Raises:
        ValueError: where there is no such data, or the classifier lacks one of its classes.
        Misfit: where images and classifier do not fit together.
    """
    labelled = _read(data, part)
    place = _places(labelled.classes, classifier)
    hits, count, warnings = torch.zeros(2, dtype=torch.int64), 0, dict[str, None]()
    device = device or torch.device("cpu")
    classifier = classifier.to(device)
    for pixels, labels, mark in labelled.parts():
        if (warning := _fits(classifier, mark, pixels, anyway=anyway)) is not None:
            warnings[warning] = None
        with torch.inference_mode():
            logits = classifier(images.to_float(pixels).to(device)).float().cpu()
        if not bool(logits.isfinite().all()):
            raise ValueError(f"{classifier.name} gives answers that are no numbers")
        best = logits.topk(min(5, logits.shape[1])).indices == place[labels][:, None]
        hits += torch.stack([best[:, 0].sum(), best.any(1).sum()])
        count += len(labels)
    top1, top5 = hits.tolist()
    return Evaluation(
        model=classifier.name, data=labelled.name, count=count, top1=top1 / count, top1_interval=wilson(top1, count),
        top5=top5 / count, top5_interval=wilson(top5, count), warnings=tuple(warnings), run_by=classifier.run_by,
    )  # fmt: skip


def _fits(classifier: Classifier, mark: Mark | None, pixels: Tensor, *, anyway: bool) -> str | None:
    try:
        return fitting.require(classifier, mark, pixels[0])
    except Misfit as error:
        if anyway:
            return str(error)
        raise


def _read(data: str | Path, part: Part) -> _Labelled:
    try:
        parts = small_images.load(str(data))
    except ValueError:
        if not Path(data).is_dir():
            raise
        try:
            return _of_class_folders(Path(data))
        except FileNotFoundError as error:
            raise ValueError(f"{error}; or a data set as for `veil train`") from None
    chosen = parts.test if part == "test" else parts.train

    def given() -> Iterator[tuple[Tensor, Tensor, Mark | None]]:
        pieces = (torch.split(values, _AT_ONCE) for values in (chosen.images, chosen.labels))
        for pixels, labels in zip(*pieces, strict=True):
            yield pixels, labels, parts.mark

    return _Labelled(f"{parts.name} {part}", chosen.classes, given)


def _of_class_folders(folder: Path) -> _Labelled:
    """Photos of any size, one after the other."""
    files, labels, classes = class_folders.list_files(folder)

    def given() -> Iterator[tuple[Tensor, Tensor, Mark | None]]:
        for file, label in zip(files, labels, strict=True):
            try:
                photo = images.load(file)
            except images.ImageError as error:
                raise ValueError(f"{file}: {error}") from None
            yield photo.pixels.expand(3, -1, -1)[None], torch.tensor([label]), marks.of_file(file)

    return _Labelled(folder.absolute().name, classes, given)


def _places(classes: Sequence[str], classifier: Classifier) -> Tensor:
    """The classifier's index of each class.

    Raises:
        ValueError: where it does not know one.
    """
    known = {name: index for index, name in enumerate(classifier.classes)}
    if missing := [name for name in classes if name not in known]:
        raise ValueError(
            f"{classifier.name} does not know the class {missing[0]!r}"
            + (f", nor {len(missing) - 1} others" if len(missing) > 1 else "")
            + f"; its classes are {', '.join(classifier.classes[:4])}"
            + (", …" if len(classifier.classes) > 4 else "")
        )
    return torch.tensor([known[name] for name in classes])
