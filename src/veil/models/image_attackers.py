"""Generators and the discriminator of the GAN attack on encrypted images.

The attack is by Madono et al. ("An adversarial attack to learnable encrypted images", MIRU 2019). The networks are very
probably those of Sirichotedumrong and Kiya 2020, Figs 3 and 4. Against the GAN transformation the generator is
`veil.models.unet.UNet`.

Padding and biases are a choice of ours: the discriminator's convolutions are padded by 1, as those of
`veil.models.patch_discriminator`, and a convolution before a normalisation has no bias.
"""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

SIDE = 4


class _Generator(nn.Sequential):
    """Layers on values in [-1, 1], with tanh at the end; maps images in [0, 1] to images in (0, 1)."""

    def forward(self, images: Tensor) -> Tensor:
        return (super().forward(2 * images - 1).float().tanh() + 1) / 2  # type: ignore[no-any-return,no-untyped-call]


class BlockGenerator(_Generator):
    """For Tanaka's cipher: images in [0, 1], (N, 3, H, W), to images in (0, 1) of the same shape.

    A layer reads each block of 4×4 pixels as one vector, two more mix it, its 512 values become 4×4 pixels of 32
    channels, and these colours.

    Raises:
        ValueError: in use, where H or W is no multiple of 4.
    """

    def __init__(self) -> None:
        values, features = SIDE * SIDE * 3, 32
        super().__init__(
            *_convolution(3, values, SIDE), *_convolution(values, values),
            *_convolution(values, SIDE * SIDE * features), nn.PixelShuffle(SIDE),
            nn.Conv2d(features, 3, 1),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if height % SIDE or width % SIDE:
            raise ValueError(f"images of {height}×{width} do not divide into blocks of {SIDE}×{SIDE}")
        return super().forward(images)


class PixelGenerator(_Generator):
    """For pixel-based ciphers: images in [0, 1], (N, 3, H, W) of any size, to images in (0, 1) of the same shape.

    1×1 convolutions: each pixel by itself, all with the same weights.

    Args:
        widths: channels of the layers before the last one.
    """

    def __init__(self, widths: Sequence[int] = (64, 128, 256)) -> None:
        channels = [3, *widths]
        layers = (layer for i, o in itertools.pairwise(channels) for layer in _convolution(i, o))
        super().__init__(*layers, nn.Conv2d(channels[-1], 3, 1))


class AttackDiscriminator(nn.Sequential):
    """Maps images in [0, 1], (N, 3, H, W) with sides of at least 8, to logits (N,): high for plain images.

    Answers on parts of the image are averaged; the sigmoid belongs to the loss.

    Args:
        width: channels of the first layer; the second one has twice as many.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__(
            nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 4, 1, 1),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(2 * images - 1).float().mean((1, 2, 3))  # type: ignore[no-any-return,no-untyped-call]


def _convolution(inputs: int, outputs: int, side: int = 1) -> tuple[nn.Module, ...]:
    """Of ``side``×``side`` pixels that do not overlap."""
    return nn.Conv2d(inputs, outputs, side, side, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
