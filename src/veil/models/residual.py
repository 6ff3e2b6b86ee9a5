"""Residual networks for small images: the body of the packaged classifiers, and ResNet-18 in its form for CIFAR.

Basic blocks of He et al. 2016 (https://arxiv.org/abs/1512.03385, Fig. 5 left).

`ResidualNet` has the average-pooled shortcut of He et al. 2019 (https://arxiv.org/abs/1812.01187, Fig. 2c,
"ResNet-D"). Its stem halves the image once, each stage after the first halves it again.

`ResNet18` has the layers of He et al. 2016, Table 1, for images of some 32 pixels: its first convolution is 3×3 and
keeps the size, there is no pooling behind it. In front of it there may be an adaptation network that makes encrypted
images fit for convolutions.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: (N, inputs, H, W) to (N, outputs, H / stride, W / stride).

    Where the sizes differ, the shortcut averages and then projects (``pooled``), or is a 1×1 convolution with the
    stride.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, pooled: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.activation = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pool = nn.AvgPool2d(stride, ceil_mode=True) if pooled and stride != 1 else nn.Identity()
            projection = nn.Conv2d(inputs, outputs, 1, 1 if pooled else stride, bias=False)
            self.shortcut = nn.Sequential(pool, projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.norm1(self.conv1(x)))
        return self.activation(self.norm2(self.conv2(y)) + self.shortcut(x))  # type: ignore[no-any-return]


class ResidualNet(nn.Module):
    """Maps normalised images (N, 3, H, W) to logits (N, num_classes).

    Args:
        num_classes: how many classes there are.
        stem: channels after the first convolution (stride 2).
        widths: channels of each stage.
        depths: basic blocks of each stage.
    """

    def __init__(
        self,
        num_classes: int,
        stem: int = 32,
        widths: Sequence[int] = (48, 96, 192, 256),
        depths: Sequence[int] = (1, 2, 2, 1),
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(f"widths and depths differ in length: {len(widths)} and {len(depths)}")
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        blocks: list[nn.Module] = []
        inputs = stem
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for index in range(depth):
                blocks.append(BasicBlock(inputs, width, 2 if stage > 0 and index == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.blocks(self.stem(x))).flatten(1))  # type: ignore[no-any-return]


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


ADAPTATIONS: dict[str, Callable[[], BlockAdaptation | PixelAdaptation]] = {
    "block": BlockAdaptation,
    "pixel": PixelAdaptation,
    "pixel-random": partial(PixelAdaptation, invariant=False),
}


class ResNet18(nn.Module):
    """Maps normalised images (N, 3, H, W) to logits (N, num_classes).

    Args:
        num_classes: how many classes there are.
        width: channels of the first of four stages; each next one has twice as many.
        adaptation: what comes before it: a key of `ADAPTATIONS`, or nothing.

    Raises:
        ValueError: for another adaptation.
    """

    def __init__(self, num_classes: int, width: int = 64, adaptation: str | None = None) -> None:
        super().__init__()
        if adaptation is not None and adaptation not in ADAPTATIONS:
            raise ValueError(f"there is no adaptation {adaptation!r}; there are {', '.join(ADAPTATIONS)}")
        before = ADAPTATIONS[adaptation]() if adaptation is not None else None
        self.adaptation: nn.Module = before if before is not None else nn.Identity()
        inputs = before.outputs if before is not None else 3
        self.stem = nn.Sequential(nn.Conv2d(inputs, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        blocks: list[nn.Module] = []
        inputs = width
        for stage in range(4):
            for index in range(2):
                outputs = width * 2**stage
                blocks.append(BasicBlock(inputs, outputs, 2 if stage and not index else 1, pooled=False))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.blocks(self.stem(self.adaptation(x)))).flatten(1))  # type: ignore[no-any-return]
