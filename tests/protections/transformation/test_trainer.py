"""Both ways to train a transformation: their losses fall, a stopped run ends as one that was not, refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator

from veil import training
from veil.data import synthetic
from veil.data.labelled_images import Parts
from veil.jobs.rows import Row
from veil.models import cards
from veil.models.classifier import Classifier, Preprocessing
from veil.models.unet import UNet
from veil.models.vgg import VGG13
from veil.protections.transformation import METHODS, fitting, trainer
from veil.protections.transformation.cyclegan import CycleGanSettings
from veil.protections.transformation.frozen_networks import FrozenNetworks
from veil.protections.transformation.preliminary import PreliminarySettings
from veil.protections.transformation.replay_pool import ReplayPool
from veil.protections.transformation.trainer import TrainedTransformation, TransformationPlan
from veil.protections.transformation.unet import UNetSettings, begin
from veil.training import classification
from veil.training.classification import PRESETS
from veil.training.run import Run

NOISE = PreliminarySettings(steps=3)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return synthetic.small_images(train=120, test=40, classes=4, seed=0)


@pytest.fixture(scope="module")
def frozen(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> FrozenNetworks:
    folder = tmp_path_factory.mktemp("classifier")
    fitted = classification.fit(
        parts, replace(PRESETS["fast"], epochs=4, batch_size=20), run(folder), architecture="vgg13", width=8
    )
    fitted.save(folder / "model.toml", name="vgg13", on="made images", training={})
    return FrozenNetworks.of(cards.load(folder / "model.toml"))


def settings(method: str, epochs: int) -> Any:
    return METHODS[method].settings_for("veil", "smoke", epochs=epochs)


def run(folder: Path, **options: Any) -> Run:
    options = {"logged": lambda row: None} | options
    return Run(folder=folder, seed=0, runner=training.fabric("cpu", "32-true"), **options)


def train(
    parts: Parts, frozen: FrozenNetworks, method: str, folder: Path, epochs: int = 2,
    say: Callable[[str], None] = lambda line: None, **options: Any,
) -> TrainedTransformation:  # fmt: skip
    plan = TransformationPlan(
        name="made", method=METHODS[method], settings=settings(method, epochs), noise=NOISE, count=100
    )
    return trainer.train_transformation(parts, frozen, plan, run(folder, **options), say=say)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_and_the_card_says_how(
    method: str, parts: Parts, frozen: FrozenNetworks, tmp_path: Path
) -> None:
    found = train(parts, frozen, method, tmp_path, epochs=3)
    log = found.log
    assert log[-1]["classification"] < log[0]["classification"]
    assert {"watched_accuracy", "watched_ssim", "watched_distance", "visible", "perceptual"} <= set(log[0])
    assert sorted(file.name for file in (tmp_path / fitting.GRIDS).iterdir()) == ["0001.png", "0002.png", "0003.png"]
    card = found.transformation.training
    assert card["images"] == 100
    assert card["classifier"] == frozen.classifier.fingerprint()
    assert card["features"] == "relu2_2 of vgg13"
    assert ("preliminary" in card) == METHODS[method].preliminary
    judged = trainer.measure(found.transformation, frozen, parts.test, 0)
    assert judged["accuracy"] is not None
    assert 0 <= judged["accuracy"] <= 1
    assert judged["plain_visible"] is not None
    assert judged["plain_visible"] < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_ends_as_an_undisturbed_one(
    method: str, parts: Parts, frozen: FrozenNetworks, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(row: Row) -> None:
        raise Stopped

    whole = train(parts, frozen, method, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(parts, frozen, method, tmp_path / "stopped", logged=stop)
    resumed = train(parts, frozen, method, tmp_path / "stopped")
    assert resumed.transformation.fingerprint == whole.transformation.fingerprint
    state = resumed.transformation.network.state_dict()
    for name, value in whole.transformation.network.state_dict().items():
        assert value.equal(state[name])


def test_preliminary_images_are_kept(parts: Parts, frozen: FrozenNetworks, tmp_path: Path) -> None:
    said: list[str] = []
    train(parts, frozen, "cyclegan", tmp_path, epochs=1, say=said.append)
    assert said
    said.clear()
    train(parts, frozen, "cyclegan", tmp_path, epochs=1, say=said.append)
    assert not said
    (tmp_path / trainer.PRELIMINARY).write_bytes(b"spoilt")
    train(parts, frozen, "cyclegan", tmp_path, epochs=1, say=said.append)
    assert said


def test_refusals(parts: Parts, frozen: FrozenNetworks, tmp_path: Path) -> None:
    other = synthetic.small_images(train=40, test=10, classes=3, seed=0)
    with pytest.raises(ValueError, match="knows 4 classes"):
        train(other, frozen, "unet", tmp_path)
    images = fitting.TrainingImages(*(parts.train.images[:4], parts.train.labels[:4]) * 2)
    with pytest.raises(ValueError, match="preliminary"):
        METHODS["cyclegan"].train(images, frozen, settings("cyclegan", 1), run(tmp_path))
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    foreign = Classifier("linear", linear, Preprocessing(resize=(32, 32)), "abcd")
    with pytest.raises(ValueError, match="linear is no vgg13"):
        FrozenNetworks.of(foreign)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"margin": 0.0}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    for settings_class in (CycleGanSettings, UNetSettings):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            settings_class(**wrong)


def test_presets_named_paper_are_the_papers() -> None:
    gan = METHODS["cyclegan"].presets["paper"]
    assert (gan.adversarial, gan.perceptual, gan.classification, gan.reconstruction) == (0.4, -1.0, 0.4, 0.9)
    assert (gan.epochs, gan.learning_rate, gan.betas) == (5000, 2e-4, (0.5, 0.999))
    assert (gan.margin, gan.hiding, gan.skips) == (None, 0.0, 5)
    alone = METHODS["unet"].presets["paper"]
    assert (alone.weight, alone.optimizer, alone.learning_rate, alone.epochs) == (0.01, "sgd", 0.1, 200)
    assert (alone.margin, alone.hiding, alone.skips) == (None, 0.0, 5)


def test_both_are_asked_at_once(frozen: FrozenNetworks) -> None:
    images = torch.rand(5, 3, 32, 32)
    features, logits = frozen.both(images)
    torch.testing.assert_close(features, frozen.features(images))
    torch.testing.assert_close(logits, frozen.classifier(images))


def test_the_pool_shows_what_it_kept() -> None:
    pool, generator = ReplayPool(4, (1,)), Generator().manual_seed(0)
    first = torch.arange(3.0)[:, None]
    assert pool.exchange(first, generator).equal(first)
    seen: set[float] = set()
    for start in range(3, 63, 3):
        made_now = torch.arange(start, start + 3.0)[:, None]
        shown = pool.exchange(made_now, generator)
        earlier = shown[shown < start]
        assert not seen & set(earlier.tolist())  # what was shown again is kept no more
        seen |= set(earlier.tolist())
        assert len(pool.kept) == 4
    assert len(seen) > 10
    assert ReplayPool(0, (1,)).exchange(first, generator) is first


def test_collapse_is_named() -> None:
    row: Row = {"visible": 0.1, "watched_accuracy": 0.8, "discriminator": 0.2}
    assert fitting.collapse(row, 0.9) == []
    assert "show" in fitting.collapse(row | {"visible": 0.7}, 0.9)[0]
    assert "too little" in fitting.collapse(row | {"watched_accuracy": 0.3}, 0.9)[0]
    assert "discriminators" in fitting.collapse(row | {"discriminator": 0.001}, 0.9)[0]


def test_a_guide_needs_vgg13_for_its_own_features() -> None:
    network = VGG13(3, width=4)
    frozen = FrozenNetworks.of(Classifier("v", network, Preprocessing(resize=(32, 32)), "abc"), layer="relu1_2")
    assert frozen.features(torch.rand(1, 3, 32, 32)).shape == (1, 4, 32, 32)


def test_the_way_down_begins_as_the_classifier(frozen: FrozenNetworks) -> None:
    """Away from the border the features are h_θ's own, and stay so through the poolings."""
    trained = frozen.classifier.network
    assert isinstance(trained, VGG13)
    given = frozen.classifier.preprocessing
    network = UNet(trained.width, norm="batch").eval()
    begin(network, trained.eval(), given)
    images = torch.rand(2, 3, 64, 64)
    wanted = trained.until(Preprocessing(resize=(64, 64), mean=given.mean, std=given.std)(images), "relu2_2")
    first = network.down[0](2 * images - 1)
    found = network.down[1](torch.nn.functional.max_pool2d(first, 2))
    torch.testing.assert_close(found[:, :, 4:-4, 4:-4], wanted[:, :, 4:-4, 4:-4], atol=1e-4, rtol=1e-3)


def test_only_a_vgg13_can_be_begun_with(frozen: FrozenNetworks, parts: Parts, tmp_path: Path) -> None:
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    classifier = Classifier("linear", linear, Preprocessing(resize=(32, 32)), "abcd")
    foreign = FrozenNetworks(classifier, "relu2_2", frozen.classifier)
    with pytest.raises(ValueError, match="linear is no vgg13, which the way down"):
        train(parts, foreign, "unet", tmp_path)
