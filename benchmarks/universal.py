"""Ten universal noises at the paper's setting: fitted together, one after another, and the bare passes.

    python benchmarks/universal.py

It needs no data: synthetic digits and the packaged mnist-cnn, 300 iterations of 64 digits for each of ten noises (Liu
et al. 2019, Table 2). All variants take three turns; a row is appended to results/benchmarks/universal.jsonl. Cost:
five minutes on two cores.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil.data import synthetic
from veil.data.labelled_images import LabelledImages
from veil.models import catalog
from veil.models.classifier import Classifier
from veil.protections.noise import universal
from veil.protections.noise.universal import UniversalSettings
from veil.runtime.memory import keep_memory
from veil.runtime.provenance import provenance

RESULTS = Path(__file__).resolve().parent.parent / "results/benchmarks/universal.jsonl"
TURNS = 3
LOSSES = {str(target): universal.towards(target) for target in range(10)}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=300)
    given = parser.parse_args()
    keep_memory()
    classifier, settings = catalog.load("mnist-cnn"), UniversalSettings(iterations=given.iterations)
    digits = synthetic.digits(2_000, Generator().manual_seed(0))
    for way in WAYS.values():
        way(classifier, digits, UniversalSettings(iterations=3))
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(TURNS):
        for name, way in WAYS.items():
            began = time.perf_counter()
            way(classifier, digits, settings)
            seconds[name].append(time.perf_counter() - began)
    least = median(seconds["floor"])
    row = {"benchmark": "universal", "scale": "cpu", "iterations": given.iterations, "threads": torch.get_num_threads()}
    row |= {f"seconds, {name}": [round(value, 2) for value in measured] for name, measured in seconds.items()}
    row |= {f"ratio to the floor, {name}": round(median(measured) / least, 3) for name, measured in seconds.items()}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row | provenance()) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
