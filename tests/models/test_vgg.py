"""VGG-13: shapes, its size, and its features."""

import pytest
import torch

from veil.models.vgg import VGG13


@pytest.mark.parametrize("side", [32, 48, 96])
def test_logits(side: int) -> None:
    assert VGG13(7, width=4)(torch.rand(2, 3, side, side)).shape == (2, 7)
    assert VGG13(7, width=4, adaptation="pixel")(torch.rand(2, 3, side, side)).shape == (2, 7)


def test_it_has_the_convolutions_of_the_paper() -> None:
    """Simonyan and Zisserman 2015, Table 1, B: ten convolutions, 9,402,048 weights without biases."""
    network = VGG13(10)
    convolutions = [each for each in network.layers if isinstance(each, torch.nn.Conv2d)]
    assert [each.out_channels for each in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    assert sum(each.weight.numel() for each in convolutions) == 9_402_048


@pytest.mark.parametrize(("layer", "shape"), [("relu1_2", (4, 32)), ("relu2_2", (8, 16)), ("relu5_2", (32, 2))])
def test_features_lead_to_the_logits(layer: str, shape: tuple[int, int]) -> None:
    network, images = VGG13(5, width=4).eval(), torch.rand(3, 3, 32, 32)
    features = network.until(images, layer)
    channels, side = shape
    assert features.shape == (3, channels, side, side)
    assert bool((features >= 0).all())
    assert network.after(features, layer).equal(network(images))


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer 'relu6_1'"):
        VGG13(10, width=4).until(torch.rand(1, 3, 32, 32), "relu6_1")
