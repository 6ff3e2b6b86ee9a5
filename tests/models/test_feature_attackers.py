"""Networks of attackers on features: shapes at odd sizes, weights counted by Table 2, and what learns."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from veil.models.feature_attackers import (
    FeatureResNet,
    FromMean,
    Perceptron,
    ResidualPerceptron,
    ResRec,
    Standardised,
    URec,
    channels_of,
)

VECTOR, MAPS = (5, 1, 1), (16, 8, 8)
Draws = Callable[[tuple[int, int, int], tuple[int, int]], nn.Module]
DRAWS: list[Draws] = [
    lambda shape, size: URec(shape, size, 3, 1 / 8),
    lambda shape, size: URec(shape, size, 2, 1 / 8),
    lambda shape, size: ResRec(shape, size, 1 / 8),
]
READS: list[tuple[tuple[int, int, int], nn.Module]] = [
    (VECTOR, Perceptron(VECTOR, 3, 0, 0)),
    (MAPS, Perceptron(MAPS, 3, 8, 2)),
    (VECTOR, Perceptron(VECTOR, 3, 8, 4, 0.1)),
    (VECTOR, ResidualPerceptron(VECTOR, 3, 16, 2, 0.1)),
    ((100, 1, 1), ResidualPerceptron((100, 1, 1), 3, 16)),
    (MAPS, FeatureResNet(MAPS, 3, 8, 0.1)),
    ((16, 5, 7), FeatureResNet((16, 5, 7), 3, 8)),
]


def weights(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters() if each.ndim == 4)


@pytest.mark.parametrize(("shape", "network"), READS)
def test_attribute_networks_answer_once_for_each_attribute_and_learn(
    shape: tuple[int, int, int], network: nn.Module
) -> None:
    answers = network.train()(torch.randn(6, *shape))
    assert answers.shape == (6, 3)
    answers.square().mean().backward()
    assert all(each.grad is not None and bool(each.grad.ne(0).any()) for each in network.parameters())


@pytest.mark.parametrize("make", DRAWS)
@pytest.mark.parametrize(
    ("shape", "size"), [(MAPS, (32, 32)), (MAPS, (33, 31)), (VECTOR, (32, 32)), (VECTOR, (41, 22))]
)
def test_reconstructors_draw_images_of_any_size_and_learn(
    make: Draws, shape: tuple[int, int, int], size: tuple[int, int]
) -> None:
    network = make(shape, size)
    drawn = network(torch.randn(3, *shape))
    assert drawn.shape == (3, 3, *size)
    assert drawn.dtype == torch.float32
    drawn.square().mean().backward()
    assert all(each.grad is not None and bool(each.grad.ne(0).any()) for each in network.parameters())


def test_table_2_is_counted() -> None:
    """Convolutions of Table 2 on its 54×44×128, without biases."""
    shape, size = (128, 54, 44), (218, 178)
    with torch.device("meta"):
        found = [weights(each) for each in (URec(shape, size, 3), URec(shape, size, 2), ResRec(shape, size))]
    ends = 9 * 256 * 3 + 3 * 3
    first = 9 * (128 * 64 + 2 * 64**2 + 64 * 128 + 2 * 128**2 + 128 * 256 + 2 * 256**2) + ends
    second = 9 * (128 * 64 + 64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2) + ends
    residual = 9 * (128 * 64 + 2 * 64**2 + 3 * 64**2 + 4 * 64**2) + 64 * 3
    assert found == [first, second, residual]


def test_resrec_draws_no_blocks() -> None:
    """Neighbouring pixels differ, though nothing behind the last upsampling sees more than a pixel."""
    torch.manual_seed(0)
    drawn = ResRec(MAPS, (32, 32), 1 / 8).eval()(torch.randn(1, *MAPS))
    assert bool(drawn.diff(dim=3).abs().amin((0, 1, 2)).gt(0).all())


def test_standardised_features_have_mean_0_and_deviation_1() -> None:
    features = 3 * torch.randn(50, 4, 3, 3) + 7
    mean, deviation = features.mean(0), features.std((0, 2, 3), correction=0)[:, None, None]
    ready = Standardised(nn.Identity(), mean, deviation)(features.half())
    assert ready.dtype == torch.float32
    assert float(ready.mean(0).abs().max()) < 1e-2
    torch.testing.assert_close(ready.std((0, 2, 3), correction=0), torch.ones(4), atol=0.1, rtol=0)


def test_where_a_network_says_nothing_the_mean_comes_out() -> None:
    mean = torch.rand(3, 4, 4) * 0.9 + 0.05
    drawn = FromMean(nn.Identity(), mean)(torch.zeros(2, 3, 4, 4))
    torch.testing.assert_close(drawn, mean.expand(2, 3, 4, 4))
    black = FromMean(nn.Identity(), torch.zeros(3, 4, 4))(torch.zeros(2, 3, 4, 4))
    assert bool(black.isfinite().all())


def test_few_values_are_told_at_frequencies() -> None:
    assert ResidualPerceptron((64, 1, 1), 1, 8).first.in_features == 64 * 33
    assert ResidualPerceptron((65, 1, 1), 1, 8).first.in_features == 65


@pytest.mark.parametrize(("paper", "width", "found"), [(64, 1.0, 64), (256, 0.25, 64), (64, 0.3, 16), (64, 0.001, 8)])
def test_a_share_of_the_papers_channels_is_a_multiple_of_8(paper: int, width: float, found: int) -> None:
    assert channels_of(paper, width) == found


def test_other_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="positive share"):
        channels_of(64, 0)
