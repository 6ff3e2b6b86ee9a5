"""Ten universal noises at the paper's setting: fitted together, one after another, and the bare passes.

    python benchmarks/universal.py --scale smoke
    python benchmarks/universal.py --scale cpu

Needs no data: made digits and the packaged mnist-cnn, 300 iterations of 64 digits for each of ten noises (Liu et al.
2019, Table 2). Each way takes its turn, three times.

Cost: smoke ten seconds; cpu five minutes on two cores.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from benchmark import Benchmark, Row, print_table
from veil.data import synthetic
from veil.data.labelled_images import LabelledImages
from veil.models import catalog
from veil.models.classifier import Classifier
from veil.protections.noise import universal
from veil.protections.noise.universal import UniversalSettings

LOSSES = {str(target): universal.towards(target) for target in range(10)}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

    iterations: int
    turns: int


SCALES = {"smoke": Scale(iterations=3, turns=1), "cpu": Scale(iterations=300, turns=3)}


def together(classifier: Classifier, digits: LabelledImages, settings: UniversalSettings) -> None:
    """All ten in one fit."""
    universal.fit(classifier, digits.images, digits.labels, LOSSES, settings, generator=Generator().manual_seed(0))


def one_by_one(classifier: Classifier, digits: LabelledImages, settings: UniversalSettings) -> None:
    """A fit for each."""
    for name, loss in LOSSES.items():
        generator = Generator().manual_seed(0)
        universal.fit(classifier, digits.images, digits.labels, {name: loss}, settings, generator=generator)


def floor(classifier: Classifier, digits: LabelledImages, settings: UniversalSettings) -> None:
    """Only the forward and backward passes to the images, in the same batches."""
    batch: Tensor = digits.images[: settings.batch_size].float().div(255).repeat(len(LOSSES), 1, 1, 1)
    goals = torch.zeros(len(batch), dtype=torch.long)
    for _ in range(settings.iterations):
        images = batch.clone().requires_grad_()
        torch.autograd.grad(F.cross_entropy(classifier.network(images), goals), images)


WAYS = {"together": together, "one by one": one_by_one, "floor": floor}


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """The one row."""
    classifier, settings = catalog.load("mnist-cnn"), UniversalSettings(iterations=scale.iterations)
    digits = synthetic.digits(2_000, Generator().manual_seed(0))
    for way in WAYS.values():
        way(classifier, digits, UniversalSettings(iterations=3))
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(scale.turns):
        for name, way in WAYS.items():
            began = time.perf_counter()
            way(classifier, digits, settings)
            seconds[name].append(time.perf_counter() - began)
    least = median(seconds["floor"])
    yield (
        {f"seconds, {name}": [round(value, 2) for value in measured] for name, measured in seconds.items()}
        | {f"ratio to the floor, {name}": round(median(measured) / least, 3) for name, measured in seconds.items()}
    )


def session(scale: Scale, given: Namespace) -> Row:
    """What all rows say."""
    return {"iterations": scale.iterations, "threads": torch.get_num_threads()}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    print_table(
        ("way", "seconds", "ratio to the floor"),
        [
            (name, ", ".join(map(str, row[f"seconds, {name}"])), f"{row[f'ratio to the floor, {name}']:.3f}")
            for row in rows
            for name in WAYS
        ],
    )


BENCHMARK = Benchmark(
    name="universal", doc=__doc__, scales=SCALES, measure=measure, show=show, session=session,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
