"""Statistics of features, and the best epoch."""

import pytest
import torch
from torch import nn

from veil.attacks.features import training
from veil.attacks.features.attackers import shape_of
from veil.attacks.features.training import Best, moments


def test_moments_are_those_of_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_AT_ONCE", 100)  # several parts
    features = (torch.randn(40, 3, 4, 5) * torch.tensor([1.0, 0.01, 5.0])[:, None, None] + 3).half()
    mean, deviation = moments(features, places=False)
    values = features.double()
    torch.testing.assert_close(mean[:, 0, 0].double(), values.mean((0, 2, 3)), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(deviation[:, 0, 0].double(), values.std((0, 2, 3), correction=0), atol=1e-6, rtol=1e-6)
    mean, deviation = moments(features, places=True)
    torch.testing.assert_close(mean.double(), values.mean(0), atol=1e-6, rtol=1e-6)
    inside = (values - values.mean(0)).square().mean((0, 2, 3)).sqrt()
    torch.testing.assert_close(deviation[:, 0, 0].double(), inside, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3])
def test_what_is_the_same_everywhere_has_a_deviation_of_1(value: float) -> None:
    mean, deviation = moments(torch.full((30, 2, 1, 1), value), places=True)
    assert deviation.eq(1).all()
    assert mean.flatten().tolist() == pytest.approx([value, value])


def test_the_best_is_a_copy_and_the_first_of_equals() -> None:
    network = nn.Linear(1, 1)
    best = Best(network)
    for epoch, score in enumerate([0.5, 0.7, 0.7, 0.6]):
        with torch.no_grad():
            network.weight.fill_(epoch)
        best.offer(network, score, epoch)
    assert int(best.epoch) == 1
    assert best.network.state_dict()["weight"].item() == 1


def test_what_are_no_features_is_refused() -> None:
    for wrong in (torch.zeros(2, 3), torch.zeros(2, 3, 1, 1, dtype=torch.uint8), torch.zeros(0, 3, 1, 1)):
        with pytest.raises(ValueError, match="features are floats"):
            shape_of(wrong)
