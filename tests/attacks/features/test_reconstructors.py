"""Reconstructors: they draw what is in features, the mean image where nothing is, and resume exactly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil import training
from veil.attacks.features import Reconstructor, TrainedAttack, attackers_of
from veil.attacks.features.attackers import KnownImages
from veil.attacks.features.reconstructors import LOSSES, ReconstructorSettings
from veil.images import quantise, to_float
from veil.metrics.recovery import mean_image
from veil.training.run import Run

RECONSTRUCTORS = attackers_of(Reconstructor)
SIDE = 16
BRIEF = ReconstructorSettings(epochs=5, batch_size=8, width=1 / 8, learning_rate=1e-2)


def discs(count: int, seed: int) -> Tensor:
    """A disc of some colour somewhere on another colour."""
    generator = Generator().manual_seed(seed)
    row = torch.arange(SIDE).float()
    middle = SIDE * (0.25 + 0.5 * torch.rand(count, 2, 1, 1, generator=generator))
    near = (row[:, None] - middle[:, 0]).square() + (row - middle[:, 1]).square() < (SIDE / 5) ** 2
    colours = torch.rand(2, count, 3, 1, 1, generator=generator)
    return quantise(torch.where(near[:, None], colours[0], colours[1]))


def pooled(images: Tensor) -> Tensor:
    """Maps of a quarter of the size: darkest and lightest values of 4×4 pixels, one of them on another scale."""
    values = to_float(images)
    return torch.cat([F.max_pool2d(values, 4), 100 - 50 * F.max_pool2d(-values, 4)], 1).half()


def train(
    own: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor], name: str, settings: Any, folder: Path, **other: Any
) -> TrainedAttack:
    """Of features and images."""
    run = Run(folder=folder, seed=0, runner=training.fabric("cpu", "32-true"), **({"logged": lambda row: None} | other))
    return RECONSTRUCTORS[name].train(KnownImages(*own), KnownImages(*others), settings, run)


def error(drawn: Tensor, plain: Tensor) -> float:
    return float((to_float(drawn) - to_float(plain)).abs().mean())


def by_mean(own: Tensor, plain: Tensor) -> float:
    return error(mean_image(own).round().to(torch.uint8).expand(plain.shape), plain)


def test_images_are_drawn_from_maps(tmp_path: Path) -> None:
    own, others, unseen = discs(128, 1), discs(16, 2), discs(32, 3)
    settings = replace(BRIEF, epochs=10, width=1 / 4, learning_rate=5e-3)
    attack = train((pooled(own), own), (pooled(others), others), "mirror", settings, tmp_path)
    drawn = attack(pooled(unseen))
    assert drawn.dtype == torch.uint8
    assert drawn.shape == unseen.shape
    assert error(drawn, unseen) < 0.7 * by_mean(own, unseen)
    scores = [row["validation"] for row in attack.log]
    assert scores[attack.best_epoch] == max(scores)


def test_images_are_drawn_from_vectors(tmp_path: Path) -> None:
    def vectors(images: Tensor) -> Tensor:
        return pooled(images).flatten(1)[:, :, None, None]

    own, others, unseen = discs(192, 1), discs(16, 2), discs(32, 3)
    settings = replace(BRIEF, loss="l1")
    attack = train((vectors(own), own), (vectors(others), others), "mirror", settings, tmp_path)
    assert error(attack(vectors(unseen)), unseen) < 0.8 * by_mean(own, unseen)


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 1, 1)])
def test_from_noise_comes_the_mean_image(shape: tuple[int, int, int], tmp_path: Path) -> None:
    own, others, unseen = discs(64, 1), discs(32, 2), discs(32, 3)
    features = [torch.randn(len(part), *shape, generator=Generator().manual_seed(7)) for part in (own, others, unseen)]
    settings = replace(BRIEF, loss="l1", epochs=3)
    attack = train((features[0], own), (features[1], others), "resrec", settings, tmp_path)
    assert error(attack(features[2]), unseen) > 0.95 * by_mean(own, unseen)


class Stopped(Exception):
    pass


def stop(row: Any) -> None:
    raise Stopped


def test_a_stopped_training_ends_the_same(tmp_path: Path) -> None:
    own, others, settings = discs(24, 1), discs(8, 2), replace(BRIEF, epochs=2)
    parts = ((pooled(own), own), (pooled(others), others), "urec2", settings)
    whole = train(*parts, tmp_path / "a")
    with pytest.raises(Stopped):
        train(*parts, tmp_path / "b", logged=stop)
    again = train(*parts, tmp_path / "b")
    assert again(pooled(others)).equal(whole(pooled(others)))
    assert again(pooled(others)[2:3]).equal(whole(pooled(others))[2:3])


def test_losses() -> None:
    images, other = to_float(discs(4, 1)), to_float(discs(4, 2))
    for loss in LOSSES.values():
        assert loss(images, images).shape == (4,)
        assert float(loss(images, images).abs().max()) < 1e-5
        assert bool((loss(images, other) > 0).all())
    torch.testing.assert_close(
        LOSSES["both"](images, other), LOSSES["ms-ssim"](images, other) + LOSSES["l1"](images, other)
    )


def test_what_is_refused(tmp_path: Path) -> None:
    own = discs(8, 1)
    given = pooled(own)
    with pytest.raises(ValueError, match="not pairs"):
        train((given[:4], own), (given, own), "mirror", BRIEF, tmp_path)
    with pytest.raises(ValueError, match="unlike"):
        train((given, own), (given[:, :2], own), "mirror", BRIEF, tmp_path)
    with pytest.raises(ValueError, match="images of validation"):
        train((given, own), (given, own[..., :12]), "mirror", BRIEF, tmp_path)
    with pytest.raises(ValueError, match="no loss 'l2'"):
        ReconstructorSettings(loss="l2")
