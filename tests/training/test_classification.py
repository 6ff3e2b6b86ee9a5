"""Classifiers of small images: what enters the network, that it learns, that a stopped run ends the same."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from veil import training
from veil.data import synthetic
from veil.data.labelled_images import Parts
from veil.protections import PROTECTIONS
from veil.protections.ciphers.keys import Key
from veil.training import classification
from veil.training.classification import PRESETS, ClassifierSettings, Input, Protection, TrainedClassifier, unprotected
from veil.training.run import Run

TINY = ClassifierSettings(epochs=3, batch_size=20, learning_rate=0.05)


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def parts() -> Parts:
    return synthetic.small_images(train=80, test=40, classes=4, side=8, seed=0)


def fit(parts: Parts, folder: Path, *, stop_after: int | None = None, settings: ClassifierSettings = TINY,
        protects: Protection = unprotected, about: Mapping[str, object] | None = None,
        **other: Any) -> TrainedClassifier:  # fmt: skip
    def stepped(done: int, total: int) -> None:
        if done == stop_after:
            raise Stop

    run = Run(
        folder=folder, seed=0, runner=training.fabric("cpu", "32-true"), about=about or {}, stepped=stepped,
        logged=lambda row: None,
    )  # fmt: skip
    return classification.fit(parts, settings, run, protection=protects, width=4, **other)


@pytest.mark.parametrize("cipher", [None, "tanaka", "pixel-same", "pixel-different"])
@pytest.mark.parametrize("stop_after", [2, 9])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    parts: Parts, tmp_path: Path, cipher: str | None, stop_after: int
) -> None:
    options: dict[str, Any] = {}
    if cipher is not None:
        row = PROTECTIONS[cipher]
        options = {"protects": row.build(Key(bytes(32)) if row.takes_key else None), "adaptation": row.adaptation}
    whole = fit(parts, tmp_path / "whole", **options)
    with pytest.raises(Stop):
        fit(parts, tmp_path / "stopped", stop_after=stop_after, **options)
    resumed = fit(parts, tmp_path / "stopped", **options)
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.network.state_dict().items())
    assert resumed.test == whole.test


def test_it_learns_and_test_images_are_judged_as_trained(tmp_path: Path) -> None:
    parts = synthetic.small_images(train=400, test=100, classes=4, side=8, seed=0)
    fitted = fit(parts, tmp_path, settings=replace(PRESETS["fast"], epochs=10, batch_size=20, padding=1), watched=40)
    assert fitted.log[-1]["loss"] < fitted.log[0]["loss"]
    assert fitted.test["top1"] > 0.5
    assert 0 <= fitted.log[-1]["watched"] <= 1
    assert classification.accuracy(fitted.network, parts.test, fitted.prepare, 0) == fitted.test


def test_other_protection_or_data_is_not_mixed_in(parts: Parts, tmp_path: Path) -> None:
    fit(parts, tmp_path, about={"protection": "plain"})
    with pytest.raises(ValueError, match="other settings"):
        fit(parts, tmp_path, about={"protection": "tanaka"})
    with pytest.raises(ValueError, match="other settings"):
        fit(
            synthetic.small_images(train=80, test=40, classes=4, side=8, seed=1),
            tmp_path,
            about={"protection": "plain"},
        )


def test_images_are_augmented_first_and_protected_in_every_epoch(parts: Parts, tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def watch(images: Tensor, generator: Generator) -> Tensor:
        assert images.dtype == torch.uint8
        seen.append(images.clone())
        return images

    fit(parts, tmp_path, protects=watch)
    steps = seen[1 : 1 + 3 * 4]  # the first are those that mean and deviation are measured on, the last the tests
    assert [len(images) for images in steps] == [20] * 12
    # A shift by up to 4 of 8 pixels lets black in: plain images of this set have hardly any.
    black = [float((images == 0).all(1).float().mean()) for images in steps]
    assert min(black) > 0.2
    assert float((parts.train.images == 0).all(1).float().mean()) < 0.01
    assert len({images.sum().item() for images in steps}) == 12


def test_parts_of_a_batch_give_the_gradient_of_the_whole(tmp_path: Path) -> None:
    """Of a network without batch normalisation, to which parts are all the same."""
    parts = synthetic.small_images(train=40, test=8, classes=4, side=8, seed=0)
    weights = []
    for accumulate in (1, 4):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
        run = Run(
            folder=tmp_path / str(accumulate), seed=0, runner=training.fabric("cpu", "32-true"), logged=lambda row: None
        )
        prepare = Input.of(parts.train.images, unprotected, 0)
        classification.train(network, parts.train, replace(TINY, accumulate=accumulate), run, prepare=prepare)
        weights.append(network[1].weight.detach().clone())
    torch.testing.assert_close(*weights)


def test_input_is_normalised_after_protection(parts: Parts) -> None:
    prepare = Input.of(parts.train.images, lambda images, _: 255 - images, seed=0)
    values = prepare(parts.train.images, Generator())
    torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(values.std((0, 2, 3)), torch.ones(3), atol=1e-2, rtol=0)
    plain = (255 - parts.train.images).float() / 255
    torch.testing.assert_close(values[:, 0], (plain[:, 0] - prepare.mean[0]) / prepare.std[0])


def test_the_papers_rates() -> None:
    paper = ClassifierSettings()
    epochs = {0: 0.1, 59: 0.1, 60: 0.02, 119: 0.02, 120: 0.004, 159: 0.004, 160: 0.0008, 199: 0.0008}
    for epoch, rate in epochs.items():
        assert paper.rate(epoch / 200) == pytest.approx(rate)


def test_the_fast_preset_is_at_its_highest_rate_after_a_fifth() -> None:
    fast = PRESETS["fast"]
    assert [fast.rate(progress) for progress in (0, 0.2, 1)] == pytest.approx([0, fast.learning_rate, 0])


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 0}, {"accumulate": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")},
     {"momentum": 1.0}, {"label_smoothing": -0.1}, {"weight_decay": -1.0}, {"padding": -1}, {"schedule": "cosine"}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClassifierSettings(**wrong)


def test_batches_that_cannot_be_divided_and_too_many_watched_are_refused(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be divided"):
        fit(parts, tmp_path, settings=replace(TINY, accumulate=3))
    with pytest.raises(ValueError, match="left out"):
        fit(parts, tmp_path, watched=80)
