"""Weights of their own at every position: against a loop over positions, and what they can undo."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from veil.models.locally_connected import LocallyConnected, UnsharedPixels
from veil.protections.ciphers.keys import Key
from veil.protections.ciphers.pixel import PixelSame


def one_by_one(layer: LocallyConnected, x: Tensor) -> Tensor:
    """What the layer is: at each position a matrix, and something added."""
    height, width = x.shape[2:]
    rows = [
        torch.stack([x[:, :, i, j] @ layer.weight[:, :, i, j].T + layer.bias[:, i, j] for j in range(width)], -1)
        for i in range(height)
    ]
    return torch.stack(rows, -2)


@pytest.mark.parametrize("shape", [(3, 3, 4, 5), (3, 1, 2, 2), (1, 4, 3, 1), (7, 5, 1, 3)])
@pytest.mark.parametrize("batch", [1, 6])
def test_it_is_one_product_at_every_position(shape: tuple[int, int, int, int], batch: int) -> None:
    layer = LocallyConnected(*shape)
    x = torch.randn(batch, shape[0], *shape[2:], requires_grad=True)
    y, expected = layer(x), one_by_one(layer, x)
    torch.testing.assert_close(y, expected)
    upstream, wanted = torch.randn_like(y), [x, layer.weight, layer.bias]
    found = torch.autograd.grad(y, wanted, upstream)
    torch.testing.assert_close(found, torch.autograd.grad(expected, wanted, upstream))


def test_gradients_are_those_of_differences() -> None:
    layer = LocallyConnected(3, 2, 2, 3).double()
    x = torch.randn(4, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    arguments = x, layer.weight, layer.bias
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x), arguments
    )


def test_layouts_make_no_difference() -> None:
    layer, x = LocallyConnected(3, 3, 4, 4), torch.randn(5, 3, 4, 4)
    expected = layer(x)
    expected.square().sum().backward()
    gradients = [each.grad.clone() for each in layer.parameters() if each.grad is not None]
    layer.zero_grad()
    y = layer.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    torch.testing.assert_close([each.grad for each in layer.parameters()], gradients)


def test_an_image_alone_is_as_in_a_batch() -> None:
    layer, x = LocallyConnected(3, 3, 5, 5), torch.rand(4, 3, 5, 5)
    torch.testing.assert_close(layer(x[2:3]), layer(x)[2:3])


def test_it_starts_as_a_convolution_does() -> None:
    layer = LocallyConnected(4, 6, 32, 32)
    for each in (layer.weight, layer.bias):
        assert each.abs().max() <= 0.5
        assert each.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.05)
    assert sum(each.numel() for each in layer.parameters()) == (4 + 1) * 6 * 32 * 32


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 5, 4), (2, 1, 4, 5), (2, 3, 8, 10)])
def test_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"take \(N, 3, 4, 5\)"):
        LocallyConnected(3, 3, 4, 5)(torch.rand(shape))


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (3, 0, 4, 4), (3, 3, 0, 4), (3, 3, 4, -1)])
def test_a_layer_of_nothing_is_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        LocallyConnected(*shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_leaves_it_exact(dtype: torch.dtype) -> None:
    layer = LocallyConnected(3, 3, 4, 4)
    x = torch.rand(5, 3, 4, 4, dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    torch.testing.assert_close(y, one_by_one(layer, x.float()))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad[0], x.detach().float().sum(0))


@pytest.mark.parametrize(("side", "weights"), [(1, 12 * 8 * 12), (2, (12 * 12 + 12) * 4 * 6), (4, (48 * 48 + 48) * 6)])
def test_it_starts_near_the_identity(side: int, weights: int) -> None:
    network, images = UnsharedPixels(8, 12, side), torch.rand(5, 3, 8, 12)
    outputs = network(images)
    assert outputs.shape == images.shape
    assert 0 < (outputs - images).abs().max() < 0.05
    assert sum(each.numel() for each in network.parameters()) == weights


@pytest.mark.parametrize("side", [1, 4])
def test_a_block_is_seen_alone(side: int) -> None:
    images = torch.rand(1, 3, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(UnsharedPixels(8, 8, side)(images)[0, :, 5, 6].sum(), images)
    seen = gradient[0].ne(0)
    assert seen.all(0).nonzero().min(0).values.tolist() == ([5, 6] if side == 1 else [4, 4])
    assert seen.sum() == 3 * side**2


def test_it_can_undo_the_pixel_cipher() -> None:
    """About ½ the cipher is a matrix of signs at every pixel; the transposed matrix gives every byte back."""
    cipher = PixelSame(Key(bytes(32)))
    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    probes = torch.full((4, 3, 16, 16), 0, dtype=torch.uint8)
    probes[1:] += 255 * torch.eye(3, dtype=torch.uint8)[:, :, None, None]
    zero, *units = cipher.encrypt(probes).float() / 255
    network = UnsharedPixels(16, 16)
    with torch.no_grad():
        network.maps.weight.copy_(torch.stack([unit - zero for unit in units]))  # column by column, so transposed
        network.maps.bias.zero_()
    undone = network(cipher.encrypt(images).float() / 255)
    assert torch.equal((255 * undone).round().to(torch.uint8), images)


def test_it_can_undo_bytes_that_move_within_a_block() -> None:
    """A permutation of 48 values and complements, others for every block."""
    images = torch.randint(0, 256, (8, 3, 8, 12), dtype=torch.uint8)
    values = F.pixel_unshuffle(images.float() / 255, 4)  # (8, 48, 2, 3)
    order = torch.rand(48, 2, 3).argsort(0)
    flips = torch.rand(48, 2, 3) < 0.5
    moved = values.gather(1, order.expand_as(values))
    protected = F.pixel_shuffle(torch.where(flips, 1 - moved, moved), 4)
    network = UnsharedPixels(8, 12, 4)
    signs = 1 - 2 * flips.float()
    with torch.no_grad():
        network.maps.weight.zero_().scatter_(0, order[None], signs[None])
        network.maps.bias.zero_()
    undone = network(protected)
    assert torch.equal((255 * undone).round().to(torch.uint8), images)


@pytest.mark.parametrize("side", [1, 4])
def test_training_on_pairs_undoes_a_complement(side: int) -> None:
    torch.manual_seed(0)
    images = torch.rand(128, 3, 4, 4)
    network = UnsharedPixels(4, 4, side)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    errors = []
    for _ in range(100):
        error = (network(1 - images) - images).square().sum((1, 2, 3)).mean()
        error.backward()
        optimizer.step()
        optimizer.zero_grad()
        errors.append(float(error.detach()) / 48)
    assert errors[0] > 0.3  # of what is complementary, the mean squared difference is a third
    assert errors[-1] < 1e-4


@pytest.mark.parametrize(("height", "width", "side"), [(8, 10, 4), (10, 8, 4), (8, 8, 0), (8, 8, -2), (0, 8, 4)])
def test_images_that_do_not_divide_are_refused(height: int, width: int, side: int) -> None:
    with pytest.raises(ValueError, match=r"divide into blocks|positive"):
        UnsharedPixels(height, width, side)


@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (2, 3, 16, 4), (2, 1, 8, 8), (3, 8, 8)])
@pytest.mark.parametrize("side", [1, 4])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...], side: int) -> None:
    with pytest.raises(ValueError, match=r"images \(N, 3, 8, 8\)"):
        UnsharedPixels(8, 8, side)(torch.rand(shape))


@pytest.mark.parametrize("side", [1, 4])
def test_autocast_keeps_images_exact(side: int) -> None:
    network, images = UnsharedPixels(8, 8, side), torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(images)
    torch.testing.assert_close(outputs, network(images))
    outputs.sum().backward()
    assert network.maps.bias.grad is not None
