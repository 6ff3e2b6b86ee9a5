"""Direct optimisation: images are found by their features alone, each without regard to the others."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil.attacks.features.input_optimisation import InversionSettings, invert
from veil.images import to_float

SETTINGS = InversionSettings(steps=150, learning_rate=0.1, variation=0.0)


def images(count: int) -> Tensor:
    """Smooth ones, in [0, 1]."""
    coarse = torch.rand(count, 3, 4, 4, generator=Generator().manual_seed(1))
    return F.interpolate(coarse, (16, 16), mode="bilinear", align_corners=False)


def mixing(x: Tensor) -> Tensor:
    """Features that a person cannot read but that determine the image: a fixed invertible mixture, curved."""
    weights = torch.randn(12, 12, generator=Generator().manual_seed(2))
    return torch.tanh(F.conv2d(F.pixel_unshuffle(x - 0.5, 2), torch.linalg.qr(weights)[0][:, :, None, None]))


def test_what_determines_an_image_gives_it_back() -> None:
    plain = images(3)
    found = invert(mixing(plain).half(), mixing, (16, 16), SETTINGS)
    assert found.dtype == torch.uint8
    assert found.shape == plain.shape
    assert float((to_float(found) - plain).abs().mean()) < 0.01


def test_no_image_depends_on_another() -> None:
    features, settings = mixing(images(3)), replace(SETTINGS, steps=20)
    whole = invert(features, mixing, (16, 16), settings)
    alone = invert(features, mixing, (16, 16), replace(settings, batch_size=1))
    assert int((whole.int() - alone.int()).abs().max()) <= 1  # sums are rounded in another order
    assert invert(features, mixing, (16, 16), settings).equal(whole)
    assert not invert(features, mixing, (16, 16), settings, seed=1).equal(whole)


def test_where_features_say_nothing_the_mean_stays() -> None:
    mean = images(1)[0] * 0.8 + 0.1
    found = invert(torch.ones(2, 1, 1, 1), lambda x: 0 * x.mean((1, 2, 3))[:, None, None, None] + 1, (16, 16),
                   replace(SETTINGS, steps=10, pull=1.0), mean=mean)  # fmt: skip
    assert float((to_float(found) - mean).abs().mean()) < 0.02


def test_the_best_is_kept_and_not_the_last() -> None:
    """With steps far too long, the search leaves where it was; what it gives back is no worse than its start."""
    plain = images(2)
    wild = replace(SETTINGS, steps=15, learning_rate=50.0)
    found = to_float(invert(mixing(plain), mixing, (16, 16), wild))
    grey = torch.full_like(plain, 0.5)
    far, start = ((mixing(each) - mixing(plain)).square().sum((1, 2, 3)) for each in (found, grey))
    assert bool((far < 1.1 * start).all())


def test_total_variation_smooths() -> None:
    features = mixing(images(1))
    rough, smooth = (
        to_float(invert(features, mixing, (16, 16), replace(SETTINGS, steps=60, variation=each)))
        .diff(dim=3)
        .abs()
        .mean()
        for each in (0.0, 100.0)
    )
    assert smooth < rough / 2


def test_networks_are_left_as_they_are() -> None:
    network = torch.nn.Conv2d(3, 2, 4, 4)
    features = network(images(1)).detach()
    invert(features, network, (16, 16), replace(SETTINGS, steps=2))
    assert network.weight.grad is None


def test_what_is_refused() -> None:
    features = mixing(images(1))
    with pytest.raises(ValueError, match="gives features"):
        invert(features[:, :2], mixing, (16, 16), SETTINGS)
    with pytest.raises(ValueError, match="mean image"):
        invert(features, mixing, (16, 16), SETTINGS, mean=torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="features are floats"):
        invert(features[0], mixing, (16, 16), SETTINGS)
    for changes in ({"steps": 0}, {"layers": 0}, {"learning_rate": 0.0}, {"variation": -1.0}):
        with pytest.raises(ValueError, match="must"):
            replace(SETTINGS, **changes)  # type: ignore[arg-type]
