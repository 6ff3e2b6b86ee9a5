"""What is kept of a training's own adversaries."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from veil.protections.features.monitoring import by_attribute, mean_balanced_accuracy, scalars_of
from veil.protections.features.training_data import TrainingFaces


class Seen(nn.Module):
    """Pixels as features; or logits of two attributes, of which it knows one and takes the other for true."""

    def __init__(self, knows: int | None = None) -> None:
        super().__init__()
        self.knows = knows

    def forward(self, given: Tensor) -> Tensor:
        if self.knows is None:
            return given
        logits = torch.ones(len(given), 2)
        logits[:, self.knows] = given[:, self.knows, 0, 0] - 0.5
        return logits


def networks(*knows: int) -> Any:
    return SimpleNamespace(
        obfuscator=Seen(), classifier=Seen(0), adversaries=[Seen(one) for one in knows], reconstructor=None
    )


def test_the_strongest_adversary_on_each_attribute_counts() -> None:
    private = torch.rand(600, 2, generator=torch.Generator().manual_seed(0)) < 0.4
    plain = torch.zeros(600, 3, 12, 12, dtype=torch.uint8)
    plain[:, :2] = 255 * private[:, :, None, None]
    device, faces = torch.device("cpu"), TrainingFaces(plain, private, private)
    assert by_attribute(networks(0), faces, device) == [1, 0.5]
    assert by_attribute(networks(0, 1), faces, device) == [1, 1]
    assert by_attribute(networks(), faces, device) == []
    alone = scalars_of(networks(1), faces, device)["watched_adversary"]
    assert alone == pytest.approx(sum(by_attribute(networks(1), faces, device)) / 2)


def test_balanced_accuracy_by_hand() -> None:
    logits = torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
    labels = torch.tensor([[True, True], [True, True], [True, True], [False, True]])
    assert mean_balanced_accuracy(logits, labels) == pytest.approx(((2 / 3 + 0) / 2 + 3 / 4) / 2)


def test_balanced_accuracies_are_those_of_commit_7c1583f() -> None:
    generator = torch.Generator().manual_seed(5)
    logits, labels = torch.randn(40, 3, generator=generator), torch.rand(40, 3, generator=generator) < 0.4
    assert round(mean_balanced_accuracy(logits, labels), 7) == 0.4755158
    assert round(mean_balanced_accuracy(logits, labels | True), 7) == 0.5
