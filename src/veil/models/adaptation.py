"""Adaptation networks: what stands in front of a classifier and makes encrypted images fit for its convolutions."""

import torch
from torch import nn

from veil.models.architectures import ADAPTATIONS


class BlockAdaptation(nn.Sequential):
    """Tanaka's adaptation network (Learnable image encryption, ICCE-TW 2018): (N, 3, H, W) to (N, 32, H, W).

    A layer reads each block of 4×4 pixels as one vector, two more mix it, and its 512 values become 4×4 pixels of 32
    channels again. H and W are multiples of 4.
    """

    outputs = 32

    def __init__(self) -> None:
        values = 4 * 4 * 3
        super().__init__(
            nn.BatchNorm2d(3),
            nn.Conv2d(3, values, 4, 4), nn.ReLU(), nn.BatchNorm2d(values),
            nn.Conv2d(values, values, 1), nn.ReLU(), nn.BatchNorm2d(values),
            nn.Conv2d(values, 4 * 4 * self.outputs, 1), nn.PixelShuffle(4),
        )  # fmt: skip


class PixelAdaptation(nn.Sequential):
    """Two 1×1 convolutions: (N, 3, H, W) to (N, 64, H, W), each pixel on its own, as pixel-based ciphers take them.

    What no such cipher changes is how far the three values of a pixel are from the middle of the range, whatever their
    order. The weights start so that only this is seen: the first layer asks of every colour how far it is above the
    middle, and how far below, beyond ten distances; the second one adds the answers of the six up, for each distance,
    and mixes the sums. From PyTorch's own start a network has to find that out first: with one key for all
    images its first epochs are slower, by the end of a training the two are about equal.

    Args:
        invariant: start so; else as PyTorch starts.
    """

    outputs = 64

    def __init__(self, *, invariant: bool = True) -> None:
        first, second = nn.Conv2d(3, 64, 1), nn.Conv2d(64, self.outputs, 1)
        if invariant:
            self.start(first, second)
        super().__init__(
            first, nn.BatchNorm2d(64), nn.ReLU(),
            second, nn.BatchNorm2d(self.outputs), nn.ReLU(),
        )  # fmt: skip

    @staticmethod
    @torch.no_grad()
    def start(first: nn.Conv2d, second: nn.Conv2d) -> None:
        """Sets weights for inputs whose mean is the middle of the range; distances are in standard deviations."""
        distances = torch.linspace(0, 1.8, 10)
        sides = torch.cat([torch.eye(3), -torch.eye(3)])  # (6, 3)
        asked = len(sides) * len(distances)
        first.weight[:asked, :, 0, 0] = sides.repeat_interleave(len(distances), 0)
        first.bias[:asked] = -distances.repeat(len(sides))  # type: ignore[index]
        mixed = torch.randn(second.out_channels, len(distances)) / asked**0.5
        second.weight.zero_()  # the other answers of the first layer count for nothing at the start
        second.weight[:, :asked, 0, 0] = mixed.repeat(1, len(sides))


def random_pixel() -> PixelAdaptation:
    """One that starts as PyTorch starts."""
    return PixelAdaptation(invariant=False)


def create(name: str | None) -> tuple[nn.Module, int]:
    """An adaptation network and its output channels; for None one that changes nothing, and 3.

    Raises:
        UnknownName: for a name that is not in `veil.models.architectures.ADAPTATIONS`.
    """
    if name is None:
        return nn.Identity(), 3
    network = ADAPTATIONS[name].create()
    return network, int(network.outputs)  # type: ignore[arg-type]
