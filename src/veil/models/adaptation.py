"""Adaptation networks: they stand in front of a classifier and prepare encrypted images for its convolutions."""

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

    No such cipher changes how far the three values of a pixel are from the middle of the range, whatever their order.
    The initial weights read only this distance: the first layer measures how far every colour is above and below the
    middle, beyond ten distances; the second layer adds the six answers for each distance and mixes the sums. With
    PyTorch's own initial weights a network has to learn this first: with one key for all images its first epochs are
    slower, but at the end of a training both are about equal.

    Args:
        invariant: use these initial weights; otherwise PyTorch's.
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
        """Sets the initial weights for inputs whose mean is the middle of the range; distances are in standard
        deviations."""
        distances = torch.linspace(0, 1.8, 10)
        sides = torch.cat([torch.eye(3), -torch.eye(3)])  # (6, 3)
        asked = len(sides) * len(distances)
        first.weight[:asked, :, 0, 0] = sides.repeat_interleave(len(distances), 0)
        first.bias[:asked] = -distances.repeat(len(sides))  # type: ignore[index]
        mixed = torch.randn(second.out_channels, len(distances)) / asked**0.5
        second.weight.zero_()  # the other answers of the first layer count for nothing at the start
        second.weight[:, :asked, 0, 0] = mixed.repeat(1, len(sides))


def random_pixel() -> PixelAdaptation:
    """A pixel adaptation with PyTorch's initial weights."""
    return PixelAdaptation(invariant=False)


def create(name: str | None) -> tuple[nn.Module, int]:
    """An adaptation network and its output channels; for None the identity and 3.

    Raises:
        UnknownName: for a name that is not in `veil.models.architectures.ADAPTATIONS`.
    """
    if name is None:
        return nn.Identity(), 3
    network = ADAPTATIONS[name].create()
    return network, int(network.outputs)  # type: ignore[arg-type]
