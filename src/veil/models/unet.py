"""U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597): images to images of the same size.

Two 3×3 convolutions at each resolution, halved five times by max-pooling; the expanding path concatenates the features
of the contracting path.

Deviations: convolutions are padded, so that the size stays, and each is followed by a normalisation. Group
normalisation (Wu and He 2018) treats each image by itself, in training as well: batch normalisation would mix the
statistics of two kinds of images that pass the same network.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FACTORS = (1, 2, 4, 8, 8, 8)
"""Channels at each resolution, in units of the width."""
STRIDE = 2 ** (len(FACTORS) - 1)
_GROUPS = 8
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "group": lambda channels: nn.GroupNorm(_GROUPS, channels),
    "batch": nn.BatchNorm2d,
}


class UNet(nn.Module):
    """Maps images in [0, 1], (N, 3, H, W) of any size, to images in (0, 1) of the same shape.

    Sides that are no multiple of 32 are filled up with their last row and column, and cut again.

    Args:
        width: channels at the full resolution of the contracting path, a multiple of 8; the lower resolutions have 2,
            4, 8, 8 and 8 times as many.
        skips: number of resolutions of the expanding path, from the coarsest on, that receive features of the
            contracting path. 5 is the U-Net; with 2, no skip connection is finer than an eighth of the resolution.
        up: as ``width``, for the expanding path; None takes ``width``.
        norm: a key of `NORMS`.

    Raises:
        ValueError: for another width, number or normalisation.
    """

    def __init__(self, width: int = 64, skips: int = 5, *, up: int | None = None, norm: str = "group") -> None:
        super().__init__()
        up = width if up is None else up
        for channels in (width, up):
            if channels < _GROUPS or channels % _GROUPS:
                raise ValueError(f"the width of a U-Net is a multiple of {_GROUPS}, not {channels}")
        if not 0 <= skips < len(FACTORS):
            raise ValueError(f"a U-Net has 0 to {len(FACTORS) - 1} skips, not {skips}")
        if norm not in NORMS:
            raise ValueError(f"there is no normalisation {norm!r}; there are {', '.join(NORMS)}")
        self.options = {"width": width, "skips": skips, "up": up, "norm": norm}
        self.skips = skips
        descending, ascending = ([factor * channels for factor in FACTORS] for channels in (width, up))
        self.down = nn.ModuleList(_convolutions(i, o, norm) for i, o in itertools.pairwise([3, *descending]))
        beside, outputs = descending[-2::-1], ascending[-2::-1]
        below = [descending[-1], *outputs]
        self.up = nn.ModuleList(
            _convolutions(below[level] + (beside[level] if level < skips else 0), outputs[level], norm)
            for level in range(len(outputs))
        )
        self.head = nn.Conv2d(up, 3, 1)

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


def _convolutions(inputs: int, outputs: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), NORMS[norm](outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), NORMS[norm](outputs), nn.ReLU(),
    )  # fmt: skip
