"""The U-Net and the discriminator of the transformation: shapes, and what reaches what."""

import pytest
import torch

from veil.models.patch_discriminator import PatchDiscriminator
from veil.models.unet import UNet


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (31, 65), (96, 40)])
def test_images_keep_their_size_and_range(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    outputs = UNet(8)(images)
    assert outputs.shape == images.shape
    assert bool(((outputs > 0) & (outputs < 1)).all())


def test_an_image_alone_is_as_in_a_batch_and_in_training() -> None:
    network, images = UNet(8), torch.rand(4, 3, 32, 32)
    whole = network.train()(images)
    torch.testing.assert_close(network.eval()(images[2:3]), whole[2:3], atol=1e-5, rtol=0)


def test_fewer_skips_are_fewer_weights() -> None:
    """With 3, two 3×3 convolutions lack what came from beside: 16 channels to 16, and 8 to 8."""
    whole, fewer = (sum(each.numel() for each in UNet(8, skips).parameters()) for skips in (5, 3))
    assert whole - fewer == 9 * (16 * 16 + 8 * 8)


def test_without_skips_all_passes_through_one_pixel() -> None:
    """The image's pixels reach the output through 1×1 features alone, of which there are 8 times the width."""
    network = UNet(8, skips=0).eval()
    bottom: list[torch.Tensor] = []
    network.down[-1].register_forward_hook(lambda module, given, output: bottom.append(output))
    outputs = network(torch.rand(1, 3, 32, 32))
    assert bottom[0].shape == (1, 64, 1, 1)
    network.down[-1].register_forward_hook(lambda module, given, output: bottom[0])
    torch.testing.assert_close(network(torch.rand(1, 3, 32, 32)), outputs)  # another image changes nothing


def test_the_way_up_may_be_narrower() -> None:
    network = UNet(16, 2, up=8, norm="batch")
    assert network.head.in_channels == 8
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 3, 32, 32)
    assert UNet(**network.options).load_state_dict(network.state_dict())


def test_other_normalisations_are_refused() -> None:
    with pytest.raises(ValueError, match="no normalisation 'layer'"):
        UNet(8, norm="layer")  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [0, 4, 12])
def test_other_widths_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        UNet(width)


def test_other_numbers_of_skips_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 5 skips"):
        UNet(8, skips=6)


def test_a_patch_of_the_discriminator() -> None:
    """At 32×32 there are 2×2 answers; in a large image, one answer sees 70×70 pixels."""
    assert PatchDiscriminator()(torch.rand(2, 3, 32, 32)).shape == (2, 1, 2, 2)
    network = PatchDiscriminator(4)
    for module in network.modules():  # normalisation sees all of the image
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign,misc]
    images = torch.rand(1, 3, 128, 128, requires_grad=True)
    answers = network(images)
    (gradient,) = torch.autograd.grad(answers[0, 0, 7, 7], images)
    rows = gradient[0].ne(0).any(0).any(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70
    convolutions = (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) * 4 * 4
    assert sum(p.numel() for p in PatchDiscriminator().parameters()) == convolutions + 64 + 1
