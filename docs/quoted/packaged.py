"""The packaged classifiers and the packaged transformation: their rows, and the files themselves."""

import json
from functools import cache
from math import prod
from pathlib import Path

from quoted.sources import REPOSITORY, Conclusions, Numbers, one, percent, rows
from veil.jobs.rows import Row

CLASSIFIERS = REPOSITORY / "src/veil/models/packaged"
TRANSFORMATION = REPOSITORY / "src/veil/protections/transformation/packaged/transformation-cifar10.safetensors"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of names of what a network holds beside its parameters."""


def things100() -> Row:
    """How the packaged things100 was judged."""
    return one("packaged/classifiers", model="things100")


def mnist(initialisation: str = "Glorot uniform") -> Row:
    """How mnist-cnn was judged, by the start of its weights."""
    return one("packaged/classifiers", model="mnist-cnn", initialisation=initialisation)


def first_mnist() -> Row:
    """The start that was given up."""
    return mnist("PyTorch's default (first try)")


def transformation() -> Row:
    """The training of the packaged transformation."""
    return one("sirichotedumrong2020/transformation/cpu", method="unet", preset="veil", seed=0)


@cache
def parameters(file: Path) -> int:
    """How many parameters a file of weights holds, by its header."""
    with file.open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    shapes = (
        tensor["shape"] for name, tensor in header.items() if name != "__metadata__" and not name.endswith(STATISTICS)
    )
    return sum(map(prod, shapes))


def classifier_file(name: str) -> Path:
    """The weights of a packaged classifier."""
    return CLASSIFIERS / f"{name}.safetensors"


def megabytes(file: Path) -> float:
    """Millions of bytes."""
    return file.stat().st_size / 1e6


NUMBERS: Numbers = {
    "mnist-cnn.parameters": lambda: f"{parameters(classifier_file('mnist-cnn')):,}",
    "mnist-cnn.megabytes": lambda: f"{megabytes(classifier_file('mnist-cnn')):.1f}",
    "mnist-cnn.validation": lambda: percent(mnist()["validation_top1"]),
    "mnist-cnn.test": lambda: percent(mnist()["test_top1"]),
    "mnist-cnn.first.validation": lambda: percent(first_mnist()["validation_top1"]),
    "mnist-cnn.first.test": lambda: percent(first_mnist()["test_top1"]),
    "things100.parameters": lambda: f"{parameters(classifier_file('things100')):,}",
    "things100.megabytes": lambda: f"{megabytes(classifier_file('things100')):.1f}",
    "things100.top1": lambda: percent(things100()["top1"]),
    "things100.top5": lambda: percent(things100()["top5"]),
    "things100.watched.top1": lambda: percent(things100()["watched_top1"]),
    "things100.watched.top5": lambda: percent(things100()["watched_top5"]),
    "things100.minutes": lambda: f"{things100()['training_seconds'] / 60:.0f}",
    "things100.epochs": lambda: f"{len(rows('packaged/things100-log'))}",
    "things100.note": lambda: str(things100()["note"]),
    "transformation.parameters": lambda: f"{transformation()['parameters']:,}",
    "transformation.megabytes": lambda: f"{megabytes(TRANSFORMATION):.1f}",
    "transformation.epochs": lambda: f"{transformation()['epochs']}",
    "transformation.minutes": lambda: f"{transformation()['training_seconds'] / 60:.0f}",
    "transformation.reads": lambda: percent(transformation()["accuracy"]),
    "transformation.reads.plain": lambda: percent(transformation()["plain_accuracy"]),
    "transformation.ssim": lambda: f"{transformation()['ssim']:.3f}",
    "transformation.shows": lambda: f"{transformation()['visible']:.3f}",
}
CONCLUSIONS: Conclusions = {
    "transformation.as-much-as-another-image": lambda: all(
        round(transformation()[name], 3) == round(transformation()[f"unrelated_{name}"], 3)
        for name in ("ssim", "visible")
    ),
}
