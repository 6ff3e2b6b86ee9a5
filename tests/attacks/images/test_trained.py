"""Attacks that are trained: they lower their losses, resume exactly, and bring back what their form can express."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from veil import training
from veil.attacks.errors import AttackFailed
from veil.attacks.images import GanAttackSettings, InverseSettings, UnsharedWeightSettings, adversarial, inverse_network
from veil.attacks.images.attack import as_large, padded
from veil.data import synthetic
from veil.metrics import psnr

GAN = GanAttackSettings(epochs=2, batch_size=10, width=8)
UNSHARED = UnsharedWeightSettings(epochs=2, batch_size=10)
INVERSE = InverseSettings(epochs=2, batch_size=10, width=8)


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return synthetic.small_images(train=60, test=10, side=32, seed=0).train.images


def conditions(folder: Path, **other: Any) -> dict[str, Any]:
    return {
        "folder": folder,
        "seed": 0,
        "runner": training.fabric("cpu", "32-true"),
        "logged": lambda row: None,
    } | other


class Stopped(Exception):
    pass


def stop(row: Any) -> None:
    raise Stopped


@pytest.mark.parametrize("form", ["blocks", "pixels", "image"])
def test_gan_attack_gives_images_back_and_resumes_exactly(photos: Tensor, form: Any, tmp_path: Path) -> None:
    protected, public = 255 - photos[:30], photos[30:]
    whole = adversarial.gan_attack(protected, public, GAN, form=form, **conditions(tmp_path / "a"))
    made_of = whole(protected[:5])
    assert made_of.dtype == torch.uint8
    assert made_of.shape == protected[:5].shape
    assert not made_of.equal(protected[:5])
    with pytest.raises(Stopped):
        adversarial.gan_attack(protected, public, GAN, form=form, **conditions(tmp_path / "b", logged=stop))
    again = adversarial.gan_attack(protected, public, GAN, form=form, **conditions(tmp_path / "b"))
    assert again(protected[:5]).equal(made_of)
    assert [row["epoch"] for row in again.log] == [0, 1]


@pytest.mark.parametrize("form", ["blocks", "pixels"])
def test_unshared_weights_learn(photos: Tensor, form: Any, tmp_path: Path) -> None:
    found = adversarial.unshared_weights(255 - photos[:30], photos[30:], UNSHARED, form=form, **conditions(tmp_path))
    assert (found(photos[:3]).int() - photos[:3].int()).abs().float().mean() > 1


def test_inverse_network_learns_a_negative(photos: Tensor, tmp_path: Path) -> None:
    settings = InverseSettings(epochs=12, batch_size=10, width=8)
    found = inverse_network.train(photos[:50], 255 - photos[:50], settings, **conditions(tmp_path))
    assert found.log[-1]["error"] < found.log[0]["error"] / 2
    unseen = photos[50:]
    assert psnr(unseen, found(255 - unseen)) > psnr(unseen, 255 - unseen) + 5
    again = inverse_network.train(photos[:50], 255 - photos[:50], settings, **conditions(tmp_path))
    assert again(255 - unseen).equal(found(255 - unseen))


def test_other_images_are_not_resumed(photos: Tensor, tmp_path: Path) -> None:
    inverse_network.train(photos, photos, INVERSE, about={"data": "a"}, **conditions(tmp_path))
    with pytest.raises(ValueError, match="other settings"):
        inverse_network.train(photos, photos, INVERSE, about={"data": "b"}, **conditions(tmp_path))


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
        inverse_network.train(photos[:1], photos[:1], INVERSE, **conditions(tmp_path))
