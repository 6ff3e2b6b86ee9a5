"""Residual networks for small images: the body of the packaged classifiers, and ResNet-18 in its form for CIFAR.

Basic blocks of He et al. 2016 (https://arxiv.org/abs/1512.03385, Fig. 5 left).

`ResidualNet` has the average-pooled shortcut of He et al. 2019 (https://arxiv.org/abs/1812.01187, Fig. 2c,
"ResNet-D"). Its stem halves the image once, each stage after the first halves it again.

`ResNet18` has the layers of He et al. 2016, Table 1, for images of some 32 pixels: its first convolution is 3×3 and
keeps the size, there is no pooling behind it. In front of it there may be an adaptation network.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from veil.models import adaptation as adaptations


class Projection(nn.Conv2d):
    """A 1×1 convolution of every ``stride``-th position: (N, inputs, H, W) to (N, outputs, ⌈H / stride⌉, ⌈W / stride⌉).

    Slicing, not the convolution, skips the other positions: on processors without AVX-512, oneDNN's gradient of such a
    convolution with fewer than 8 channels in the ``channels_last`` format is wrong and corrupts memory (torch 2.13.0).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1, bias=False)
        self.every = stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., :: self.every, :: self.every])


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
            projection = Projection(inputs, outputs, 1 if pooled else stride)
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


class ResNet18(nn.Module):
    """Maps normalised images (N, 3, H, W) to logits (N, num_classes).

    Args:
        num_classes: how many classes there are.
        width: channels of the first of four stages; each next one has twice as many.
        adaptation: the network in front of it: a key of `veil.models.architectures.ADAPTATIONS`, or None.

    Raises:
        ValueError: for another adaptation.
    """

    def __init__(self, num_classes: int, width: int = 64, adaptation: str | None = None) -> None:
        super().__init__()
        self.adaptation, inputs = adaptations.create(adaptation)
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
