"""ResNet-18: shapes, the paper's size, and projections that are what they are said to be."""

import pytest
import torch
from torch import nn

from veil.models.architectures import ADAPTATIONS
from veil.models.residual import Projection, ResNet18


@pytest.mark.parametrize("adaptation", [None, *ADAPTATIONS])
@pytest.mark.parametrize("side", [16, 32, 96])
def test_logits(adaptation: str | None, side: int) -> None:
    assert ResNet18(7, width=4, adaptation=adaptation)(torch.rand(2, 3, side, side)).shape == (2, 7)


def test_it_has_the_size_of_the_cifar_form() -> None:
    assert sum(p.numel() for p in ResNet18(10).parameters()) == 11_173_962


@pytest.mark.parametrize("side", [8, 16, 17])
@pytest.mark.parametrize("inputs", [4, 6, 8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_projections_are_convolutions_with_a_stride(layout: torch.memory_format, inputs: int, side: int) -> None:
    mine, plain = Projection(inputs, 2 * inputs, 2), nn.Conv2d(inputs, 2 * inputs, 1, 2, bias=False).double()
    plain.load_state_dict(mine.state_dict())
    mine.to(memory_format=layout)  # type: ignore[call-overload]
    for _ in range(5):
        x = torch.rand(10, inputs, side, side)
        wanted = plain(x.double())
        found = mine(x.contiguous(memory_format=layout))
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
        (want,) = torch.autograd.grad(wanted.square().mean(), plain.weight)
        (got,) = torch.autograd.grad(found.square().mean(), mine.weight)
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-6)
