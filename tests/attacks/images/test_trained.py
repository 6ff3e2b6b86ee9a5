"""Attacks that are trained: they lower their losses, resume exactly, and bring back what their form can express."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from veil import training
from veil.attacks.errors import AttackFailed
from veil.attacks.images.adversarial import GanAttackSettings, UnsharedWeightSettings, gan_attack, unshared_weights
from veil.attacks.images.attack import as_large, padded
from veil.attacks.images.inverse_network import InverseSettings
from veil.attacks.images.inverse_network import train as train_inverse
from veil.data import synthetic
from veil.metrics import psnr
from veil.training.run import Run

GAN = GanAttackSettings(epochs=2, batch_size=10, width=8)
UNSHARED = UnsharedWeightSettings(epochs=2, batch_size=10)
INVERSE = InverseSettings(epochs=2, batch_size=10, width=8)


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return synthetic.small_images(train=60, test=10, side=32, seed=0).train.images


def run(folder: Path, **other: Any) -> Run:
    options = {"logged": lambda row: None} | other
    return Run(folder=folder, seed=0, runner=training.fabric("cpu", "32-true"), **options)


class Stopped(Exception):
    pass


def stop(row: Any) -> None:
    raise Stopped


@pytest.mark.parametrize("form", ["blocks", "pixels", "image"])
def test_gan_attack_gives_images_back_and_resumes_exactly(photos: Tensor, form: Any, tmp_path: Path) -> None:
    protected, public = 255 - photos[:30], photos[30:]
    whole = gan_attack(protected, public, form=form, settings=GAN, run=run(tmp_path / "a"))
    reconstructed = whole(protected[:5])
    assert reconstructed.dtype == torch.uint8
    assert reconstructed.shape == protected[:5].shape
    assert not reconstructed.equal(protected[:5])
    with pytest.raises(Stopped):
        gan_attack(protected, public, form=form, settings=GAN, run=run(tmp_path / "b", logged=stop))
    again = gan_attack(protected, public, form=form, settings=GAN, run=run(tmp_path / "b"))
    assert again(protected[:5]).equal(reconstructed)
    assert [row["epoch"] for row in again.log] == [0, 1]


@pytest.mark.parametrize("form", ["blocks", "pixels"])
def test_unshared_weights_learn(photos: Tensor, form: Any, tmp_path: Path) -> None:
    found = unshared_weights(255 - photos[:30], photos[30:], form=form, settings=UNSHARED, run=run(tmp_path))
    assert (found(photos[:3]).int() - photos[:3].int()).abs().float().mean() > 1


def test_inverse_network_learns_a_negative(photos: Tensor, tmp_path: Path) -> None:
    settings = InverseSettings(epochs=12, batch_size=10, width=8)
    found = train_inverse(photos[:50], 255 - photos[:50], settings=settings, run=run(tmp_path))
    assert found.log[-1]["error"] < found.log[0]["error"] / 2
    unseen = photos[50:]
    assert psnr(unseen, found(255 - unseen)) > psnr(unseen, 255 - unseen) + 5
    again = train_inverse(photos[:50], 255 - photos[:50], settings=settings, run=run(tmp_path))
    assert again(255 - unseen).equal(found(255 - unseen))


def test_other_images_are_not_resumed(photos: Tensor, tmp_path: Path) -> None:
    train_inverse(photos, photos, settings=INVERSE, run=run(tmp_path, about={"data": "a"}))
    with pytest.raises(ValueError, match="other settings"):
        train_inverse(photos, photos, settings=INVERSE, run=run(tmp_path, about={"data": "b"}))


def test_sizes(photos: Tensor, tmp_path: Path) -> None:
    larger = padded(photos[:2, :, :30, :29], photos[:2])
    assert larger.shape == photos[:2].shape
    assert larger[:, :, :30, :29].equal(photos[:2, :, :30, :29])
    assert larger[:, :, 30:, 5].eq(photos[:2, :, 29:30, 5]).all()
    with pytest.raises(AttackFailed, match="smaller"):
        padded(photos[:2], photos[:2, :, :30])
    with pytest.raises(ValueError, match="not pairs"):
        as_large(photos[:2], photos[:3])
    with pytest.raises(ValueError, match="two images"):
        train_inverse(photos[:1], photos[:1], settings=INVERSE, run=run(tmp_path))
