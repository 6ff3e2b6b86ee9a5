"""Networks of the GAN attack: shapes, ranges, and what reaches what."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from veil.models.image_attackers import AttackDiscriminator, BlockGenerator, PixelGenerator

GENERATORS = [BlockGenerator, PixelGenerator]


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("size", [(4, 4), (32, 32), (8, 20)])
def test_images_keep_their_size_and_range(generator: type[nn.Module], size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    outputs = generator()(images)
    assert outputs.shape == images.shape
    assert bool(((outputs > 0) & (outputs < 1)).all())


@pytest.mark.parametrize(("generator", "side"), [(BlockGenerator, 4), (PixelGenerator, 1)])
def test_a_block_or_pixel_is_seen_whole_and_alone(generator: type[nn.Module], side: int) -> None:
    images = torch.rand(1, 3, 16, 16, requires_grad=True)
    network = generator().eval()
    (gradient,) = torch.autograd.grad(network(images)[0, :, 4 : 4 + side, 8 : 8 + side].sum(), images)
    seen = gradient[0].ne(0)
    assert seen[:, 4 : 4 + side, 8 : 8 + side].all()
    assert seen.sum() == 3 * side**2


@pytest.mark.parametrize("generator", GENERATORS)
def test_all_positions_have_the_same_weights(generator: type[nn.Module]) -> None:
    network, images = generator().eval(), torch.rand(2, 3, 16, 16)
    moved = network(images.roll((4, 8), (2, 3)))
    torch.testing.assert_close(moved, network(images).roll((4, 8), (2, 3)))


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_generator_can_learn(generator: type[nn.Module]) -> None:
    torch.manual_seed(0)
    images, network = torch.rand(4, 3, 8, 8), generator()
    optimizer = torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
    errors = []
    for _ in range(10):
        error = F.mse_loss(network(1 - images), images)
        error.backward()
        assert all(each.grad is not None for each in network.parameters())
        optimizer.step()
        optimizer.zero_grad()
        errors.append(float(error.detach()))
    assert errors[-1] < errors[0]


def test_the_middle_of_the_range_is_zero() -> None:
    """With weights that pass one channel on, an image is tanh of 2x - 1, in [0, 1]; below the middle is ReLU's zero."""
    network = PixelGenerator((3,)).eval()
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(3)[:, :, None, None])
        network[3].weight.copy_(torch.eye(3)[:, :, None, None])
        network[3].bias.zero_()
    images = torch.rand(2, 3, 4, 4)
    expected = ((2 * images - 1).relu().tanh() + 1) / 2
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=0)  # the normalisation divides by √(1 + 1e-5)


@pytest.mark.parametrize("size", [(31, 32), (32, 30), (2, 4)])
def test_sizes_that_are_no_multiples_of_4_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="blocks of 4×4"):
        BlockGenerator()(torch.rand(2, 3, *size))
    assert PixelGenerator((8,))(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_weights_are_counted() -> None:
    """Convolutions; two numbers for each normalised channel; biases of first and last convolutions without one."""
    counts = [sum(each.numel() for each in made().parameters()) for made in (*GENERATORS, AttackDiscriminator)]
    block = 48 * 48 + 48 * 48 + 48 * 512 + 2 * (48 + 48 + 512) + 32 * 3 + 3
    pixel = 3 * 64 + 64 * 128 + 128 * 256 + 2 * (64 + 128 + 256) + 256 * 3 + 3
    discriminator = 16 * (3 * 64 + 64 * 128 + 128) + 64 + 2 * 128 + 1
    assert counts == [block, pixel, discriminator]


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (33, 96)])
def test_the_discriminator_answers_once_for_each_image(size: tuple[int, int]) -> None:
    network, images = AttackDiscriminator(8).eval(), torch.rand(3, 3, *size)
    logits = network(images)
    assert logits.shape == (3,)
    torch.testing.assert_close(network(images[1:2]), logits[1:2])


def test_the_discriminator_sees_all_of_an_image() -> None:
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(AttackDiscriminator(8).eval()(images)[0], images)
    assert gradient[0].ne(0).any(0).all()
    assert not gradient[1].any()


def test_an_answer_of_the_discriminator_sees_22_pixels() -> None:
    network = AttackDiscriminator(8).eval()
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    answers = nn.Sequential.forward(network, images)
    assert answers.shape == (1, 1, 15, 15)
    (gradient,) = torch.autograd.grad(answers[0, 0, 7, 7], images)
    rows = gradient[0].ne(0).any(0).any(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 22


@pytest.mark.parametrize("made", [*GENERATORS, AttackDiscriminator])
def test_autocast_gives_float32(made: type[nn.Module]) -> None:
    network = made()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(torch.rand(2, 3, 16, 16))
    assert outputs.dtype == torch.float32
    outputs.mean().backward()
    assert all(bool(each.grad.isfinite().all()) for each in network.parameters() if each.grad is not None)
