"""The MNIST part of Liu et al. 2019: data, the paper's classifier, and measurements of noisy digits.

This module is not an item; Table 2, Figures 2 to 7 and Veil's own items on digits use it.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from veil.data import synthetic
from veil.data.labelled_images import LabelledImages, Mnist
from veil.data.layouts import mnist
from veil.jobs import rows
from veil.jobs.rows import Row
from veil.metrics import privacy
from veil.models.classifier import Classifier, Preprocessing
from veil.protections.noise.universal import UniversalSettings, add
from veil.recipes.packaged import mnist_cnn
from veil.recipes.recipe import Conditions, Evidence
from veil.report import figures
from veil.report.page import Picture
from veil.runtime.scales import Scale

SEEDS: dict[Scale, int] = {"smoke": 2, "cpu": 5, "paper": 10}
LIMIT = 0.35
SMOKE = mnist_cnn.Settings(steps=100, learning_rate=2e-3)
SMOKE_NOISE = UniversalSettings(limit=LIMIT, iterations=6, batch_size=32, learning_rate=0.05)
MADE = (2_000, 200, 500)  # training, validation and test digits of a smoke run
EXAMPLES = 9  # misread digits that a row names


@dataclass(frozen=True)
class Digits:
    """The data set and a line that names it."""

    parts: Mnist
    name: str
    digest: str


def load(conditions: Conditions) -> Digits:
    """MNIST, from ``conditions.data`` or its mirror; at smoke scale synthetic digits."""
    if conditions.scale == "smoke":
        return _described(synthetic.mnist_like(MADE, seed=0), "made digits")
    folder = mnist.find(conditions.data)
    if folder is None:
        conditions.say("MNIST is not in --data; fetching it")
        folder = mnist.download(conditions.work / "data" / "mnist")
    return _read(folder)


@cache
def _read(folder: Path) -> Digits:
    return _described(mnist.read(folder), "MNIST")


def _described(parts: Mnist, name: str) -> Digits:
    digest = hashlib.sha256(parts.test.images.numpy().tobytes() + parts.train.images.numpy().tobytes()).hexdigest()[:8]
    sizes = f"{len(parts.train):,} training, {len(parts.validation):,} validation, {len(parts.test):,} test images"
    return Digits(parts, f"{name}: {sizes}", digest)


def about(digits: Digits) -> dict[str, Any]:
    """What rows on digits depend on."""
    return {"data": digits.name, "digest": digits.digest, "model": "mnist-cnn, one trained for each seed"}


def classifier(conditions: Conditions, digits: Digits, seed: int) -> Classifier:
    """The paper's network, trained from this seed, or loaded from ``conditions.work`` if it was trained before."""
    settings = SMOKE if conditions.scale == "smoke" else mnist_cnn.Settings()
    folder = conditions.work / conditions.paper / f"mnist-cnn-{digits.digest}-seed-{seed}"
    conditions.say(f"the digit classifier of seed {seed}")
    network = mnist_cnn.train(digits.parts.train, settings, folder, seed)
    return Classifier(
        f"mnist-cnn, seed {seed}", network, Preprocessing(resize=(28, 28), mean=(0.0,), std=(1.0,)), mnist.CLASSES
    )


def settings(conditions: Conditions) -> UniversalSettings:
    """The paper's settings for a universal noise; few small steps at smoke scale."""
    return SMOKE_NOISE if conditions.scale == "smoke" else UniversalSettings(limit=LIMIT)


@torch.inference_mode()
def answers(classifier: Classifier, images: Tensor) -> Tensor:
    """Logits (N, 10) on uint8 images (N, 1, 28, 28)."""
    return torch.cat([classifier(part.float() / 255) for part in torch.split(images, 1000)])


def judge(classifier: Classifier, test: LabelledImages, noise: Tensor | None = None) -> dict[str, Any]:
    """Measures the classifier on the test digits with ``noise``, stored in 8 bits.

    Returns:
        ``accuracy``, mean ``icp``, mean ``ice`` in nats, ``predicted``: the number of predictions of each class, and
            ``errors``: the first misread digits, as [index, true class, answer].
    """
    logits = answers(classifier, test.images if noise is None else add(test.images, noise))
    chosen = logits.argmax(1)
    wrong = torch.nonzero(chosen != test.labels)[:EXAMPLES, 0]
    return {
        "accuracy": float((chosen == test.labels).double().mean()),
        "icp": float(privacy.icp(logits, test.labels).double().mean()),
        "ice": float(privacy.ice(logits).double().mean()),
        "predicted": torch.bincount(chosen, minlength=10).tolist(),
        "errors": torch.stack([wrong, test.labels[wrong], chosen[wrong]], 1).tolist(),
    }


def magnitude(noise: Tensor) -> dict[str, float]:
    """Signed mean and mean magnitude of a noise, in units of the range [0, 1]."""
    return {"mean_signed": float(noise.mean()), "mean_abs": float(noise.abs().mean())}


def packed(noise: Tensor) -> dict[str, Any]:
    """A noise for a row; float16 is finer than the grey levels that it becomes."""
    return rows.pack(noise[0].numpy().astype(np.float16))


def unpacked(row: Mapping[str, Any]) -> Tensor:
    """The noise (1, 28, 28) of a row."""
    return torch.from_numpy(rows.unpack(row["noise"]).astype(np.float32))[None]


def share_of_errors(row: Row, clean: Row, classes: Collection[int]) -> float:
    """The share of misread digits that are predicted as one of ``classes``, from the ``row`` of a noise.

    Rows count predictions, not right predictions, by class; the same network's predictions without noise, ``clean``,
    replace the latter.
    """
    gained = sum(row["predicted"][digit] - clean["predicted"][digit] for digit in classes)
    return float(min(1.0, max(0.0, gained / max(1.0, sum(row["predicted"]) * (1 - row["accuracy"])))))


def misread(evidence: Evidence, name: str, row: Row, noise: NDArray[np.float32]) -> tuple[Picture, ...]:
    """The predictions, and some misread digits if the data set is available, because we may not publish it."""
    total = sum(row["predicted"])
    bars = Picture(
        name,
        "What all test digits are taken for, in % (first seed). Without noise each digit has about 10 %.",
        lambda: figures.bars(
            {"Veil": dict(zip(mnist.CLASSES, (100 * count / total for count in row["predicted"]), strict=True))},
            "share of answers, %", xlabel="answer",
        ),
    )  # fmt: skip
    test = _test_part(evidence.conditions)
    if test is None or not row["errors"]:
        return (bars,)
    shown = [np.clip(test.images[index, 0].numpy() / 255 + noise, 0, 1) for index, _, _ in row["errors"]]
    titles = [f"{true} → {answer}" for _, true, answer in row["errors"]]
    grid = Picture(
        f"{name}-digits",
        "The first misread test digits, noise and all: true class → answer.",
        lambda: figures.digit_grid(shown, titles, columns=len(shown)),
    )
    return bars, grid


def _test_part(conditions: Conditions) -> LabelledImages | None:
    if conditions.scale == "smoke":
        return synthetic.mnist_like(MADE, seed=0).test
    folder = mnist.find(conditions.data)
    return None if folder is None else _read(folder).parts.test
