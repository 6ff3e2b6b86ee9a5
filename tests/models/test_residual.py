"""ResNet-18: shapes, and the paper's size."""

import pytest
import torch

from veil.models.adaptation import ADAPTATIONS
from veil.models.residual import ResNet18


@pytest.mark.parametrize("adaptation", [None, *ADAPTATIONS])
@pytest.mark.parametrize("side", [16, 32, 96])
def test_logits(adaptation: str | None, side: int) -> None:
    assert ResNet18(7, width=4, adaptation=adaptation)(torch.rand(2, 3, side, side)).shape == (2, 7)


def test_it_has_the_size_of_the_cifar_form() -> None:
    assert sum(p.numel() for p in ResNet18(10).parameters()) == 11_173_962
