"""U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597): images to images of the same size.

Two 3×3 convolutions at each resolution, five times halved by max-pooling, and back up with the features of the way down
beside those that come from below.

Deviations: convolutions are padded, so that the size stays; group normalisation (Wu and He 2018) follows each of them.
It takes an image by itself: one image gives the same alone, in any batch, and in training, where batch normalisation
would mix the statistics of plain and protected images that go through one network.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FACTORS = (1, 2, 4, 8, 8, 8)
"""Channels at each resolution, in units of the width."""
STRIDE = 2 ** (len(FACTORS) - 1)
_GROUPS = 8


class UNet(nn.Module):
    """Maps images in [0, 1], (N, 3, H, W) of any size, to images in (0, 1) of the same shape.

    Sides that are no multiple of 32 are filled up with their last row and column, and cut again.

    Args:
        width: channels at the full resolution, a multiple of 8; the lower ones have 2, 4, 8, 8 and 8 times as many.
        skips: how many resolutions of the way up, counted from below, get the features of the way down. 5 is the
            U-Net; with 3, nothing finer than a quarter of the resolution passes beside the rest.

    Raises:
        ValueError: for another width or number.
    """

    def __init__(self, width: int = 64, skips: int = 5) -> None:
        super().__init__()
        if width < _GROUPS or width % _GROUPS:
            raise ValueError(f"the width of a U-Net is a multiple of {_GROUPS}, not {width}")
        if not 0 <= skips < len(FACTORS):
            raise ValueError(f"a U-Net has 0 to {len(FACTORS) - 1} skips, not {skips}")
        channels = [factor * width for factor in FACTORS]
        self.down = nn.ModuleList(_convolutions(i, o) for i, o in zip([3, *channels], channels, strict=False))
        below, beside = channels[:0:-1], channels[-2::-1]
        self.width, self.skips = width, skips
        self.up = nn.ModuleList(
            _convolutions(i + o if number < skips else i, o)
            for number, (i, o) in enumerate(zip(below, beside, strict=True))
        )
        self.head = nn.Conv2d(width, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        extra = -width % STRIDE, -height % STRIDE
        x = F.pad(images, (0, extra[0], 0, extra[1]), mode="replicate") if any(extra) else images
        x = 2 * x - 1
        passed: list[Tensor] = []
        for convolutions in self.down:
            x = convolutions(F.max_pool2d(x, 2) if passed else x)
            passed.append(x)
        for number, (convolutions, side) in enumerate(zip(self.up, passed[-2::-1], strict=True)):
            x = F.interpolate(x, scale_factor=2.0)
            x = convolutions(torch.cat([x, side], 1) if number < self.skips else x)
        return self.head(x).float().sigmoid()[..., :height, :width]  # type: ignore[no-any-return]


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(_GROUPS, outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(_GROUPS, outputs), nn.ReLU(),
    )  # fmt: skip
