"""Preliminary protection: on a linear classifier the best noise is known."""

import pytest
import torch
from torch import Tensor, nn

from veil import training
from veil.models.classifier import Classifier, Preprocessing
from veil.protections.transformation import preliminary
from veil.protections.transformation.preliminary import PreliminarySettings

SIDE = 4


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))
    return Classifier("linear", linear, Preprocessing(resize=(SIDE, SIDE)), ("a", "b"))


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    plain = torch.randint(0, 256, (10, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return plain, torch.randint(0, 2, (10,), generator=generator)


@pytest.mark.parametrize("epsilon", [8.0, 96.0])
def test_it_reaches_the_best_corner(classifier: Classifier, epsilon: float) -> None:
    plain, labels = images()
    weight = classifier.network[1].weight  # type: ignore[index]
    towards = (weight[labels] - weight[1 - labels]).sign().view(-1, 3, SIDE, SIDE)
    best = (plain.float() + epsilon * towards).clamp(0, 255)
    found = preliminary.protect(
        plain, labels, classifier, PreliminarySettings(epsilon=epsilon), runner=training.fabric("cpu", "32-true"),
        batch_size=4,
    )  # fmt: skip
    assert found.dtype == torch.uint8
    torch.testing.assert_close(found.float(), best)


def test_settings_are_checked_and_the_step_follows_epsilon() -> None:
    assert PreliminarySettings(epsilon=100).step == 5
    assert PreliminarySettings(epsilon=100, alpha=2).step == 2
    for wrong in ({"epsilon": 0}, {"epsilon": 256}, {"steps": 0}, {"alpha": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PreliminarySettings(**wrong)  # type: ignore[arg-type]
