"""Networks of attackers who read attributes or images from the features of an obfuscator.

Images: `URec` and `ResRec` are Table 2 of Li et al. 2019 (DeepObfuscator, https://arxiv.org/abs/1909.04126); the mirror
of the obfuscator is `veil.models.obfuscator.MirrorReconstructor`. Attributes: the paper's own adversary is
`veil.models.obfuscator.FeatureClassifier`; beside it a perceptron, a residual perceptron for vectors (Gorishniy et al.
2021, https://arxiv.org/abs/2106.11959, with the periodic features of Gorishniy et al. 2022,
https://arxiv.org/abs/2203.05556), and a residual network with pre-activation for maps (He et al. 2016,
https://arxiv.org/abs/1603.05027).

How Table 2 is read. The input has the lowest resolution of all, so a U-net's contracting path is absent and has no
features to pass on: URec is the expanding path alone. Each convolution but the last two is followed by normalisation
and ReLU; the last two, 3×3 and 1×1 to three channels, by the sigmoid alone. ResRec's first bracket, twice: a transposed
convolution of stride 1, which is written as a convolution, and two 3×3 convolutions with a shortcut around them; the
second bracket, twice: the two with their shortcut. "Upsample" is bilinear, to half of the image's size and to all of
it: ResRec ends in a 1×1 convolution and would otherwise draw blocks of 2×2 pixels. Vectors are unfolded to maps at a
quarter of the image's size first.

Deviations: a reconstruction may start from the mean of the attacker's own images (`FromMean`). URec's last convolution
starts as the identity, and learns much faster so.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.models.features import Shape, is_vector, values_of
from veil.models.obfuscator import Unfold
from veil.models.residual import Projection

_MULTIPLE = 8
_FREQUENCIES = 16
_SLOWEST, _FASTEST = 0.5, 32.0
_MOST_VALUES = 64
_DARKEST = 0.02


class Standardised(nn.Module):
    """Standardises features to mean 0 and deviation 1 in front of a network.

    Args:
        network: reads the standardised features, in float32.
        mean, deviation: (C, h, w), or (C, 1, 1) for the same values at all places of a map.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean.float())
        self.register_buffer("deviation", deviation.float())

    def forward(self, features: Tensor) -> Tensor:
        return self.network((features.float() - self.mean) / self.deviation)  # type: ignore[no-any-return]


class Perceptron(nn.Sequential):
    """Maps features (N, C, h, w) to logits (N, labels): linear layers, each normalised, with ReLU and dropout.

    Args:
        shape: of the features.
        labels: how many.
        width: of each hidden layer.
        depth: number of hidden layers; with 0 it is a linear classifier.
        dropout: behind each hidden layer.
    """

    def __init__(self, shape: Shape, labels: int, width: int, depth: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = values_of(shape)
        for _ in range(depth):
            layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, labels))


class ResidualPerceptron(nn.Module):
    """Maps vectors (N, C, 1, 1) to logits (N, labels): residual blocks of two linear layers.

    Up to 64 values are also encoded at 16 learned frequencies: a few values may contain information that a smooth
    function of them misses.

    Args:
        shape: of the features.
        labels: how many.
        width: of the layers.
        blocks: how many.
        dropout: inside each block.
    """

    def __init__(self, shape: Shape, labels: int, width: int, blocks: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        values = values_of(shape)
        periodic = values <= _MOST_VALUES
        scales = _SLOWEST * (_FASTEST / _SLOWEST) ** torch.linspace(0, 1, _FREQUENCIES)
        self.frequencies = nn.Parameter(scales * torch.randn(values, _FREQUENCIES)) if periodic else None
        self.first = nn.Linear(values * (1 + 2 * _FREQUENCIES) if periodic else values, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm1d(width), nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
            )
            for _ in range(blocks)
        )
        self.last = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, labels))

    def forward(self, features: Tensor) -> Tensor:
        x = features.flatten(1)
        if self.frequencies is not None:
            angles = (x[:, :, None] * self.frequencies).flatten(1)
            x = torch.cat([x, angles.sin(), angles.cos()], 1)
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)  # type: ignore[no-any-return]


class FeatureResNet(nn.Module):
    """Maps maps (N, C, h, w) to logits (N, labels): three stages of two residual blocks, each half as large.

    Args:
        shape: of the features.
        labels: how many.
        width: channels of the first stage; the next ones have twice and four times as many.
        dropout: in front of the last layer.
    """

    def __init__(self, shape: Shape, labels: int, width: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape[0], width, 3, padding=1, bias=False)
        stages = [width, 2 * width, 4 * width]
        blocks: list[nn.Module] = []
        inputs = width
        for stage, outputs in enumerate(stages):
            blocks += [_PreActivation(inputs, outputs, 2 if stage else 1), _PreActivation(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout),
            nn.Linear(inputs, labels),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(features)))  # type: ignore[no-any-return]


class URec(nn.Module):
    """Maps features (N, C, h, w) to images before the sigmoid, (N, 3, H, W): Table 2's URec#1 and URec#2.

    Args:
        shape: of the features.
        size: (H, W) of the images.
        depth: convolutions at each resolution: 3 in URec#1, 2 in URec#2.
        width: of all layers, as a share of the paper's.
    """

    def __init__(self, shape: Shape, size: Sequence[int], depth: int, width: float = 1.0) -> None:
        super().__init__()
        channels = [channels_of(paper, width) for paper in (64, 128, 256)]
        self.sizes = _sizes(size)
        self.unfold, maps = _maps(shape, size, width)
        inputs = [maps, *channels]
        self.levels = nn.ModuleList(_convolutions(i, o, depth) for i, o in zip(inputs, channels, strict=False))
        mixture = nn.Conv2d(3, 3, 1)
        nn.init.dirac_(mixture.weight)  # a drawn mixture of three colours is often nearly one of two
        self.head = nn.Sequential(nn.Conv2d(channels[-1], 3, 3, padding=1), mixture)

    def forward(self, features: Tensor) -> Tensor:
        x = self.levels[0](self.unfold(features))
        for level, size in zip(list(self.levels)[1:], self.sizes, strict=True):
            x = level(_upsample(x, size))
        return self.head(x).float()  # type: ignore[no-any-return]


class ResRec(nn.Module):
    """Maps features (N, C, h, w) to images before the sigmoid, (N, 3, H, W): Table 2's ResRec.

    Args:
        shape: of the features.
        size: (H, W) of the images.
        width: of all layers, as a share of the paper's.
    """

    def __init__(self, shape: Shape, size: Sequence[int], width: float = 1.0) -> None:
        super().__init__()
        channels = channels_of(64, width)
        self.sizes = _sizes(size)
        self.unfold, maps = _maps(shape, size, width)
        self.coarse = nn.Sequential(
            _convolutions(maps, channels, 1), _Residual(channels), _convolutions(channels, channels, 1),
            _Residual(channels),
        )  # fmt: skip
        self.fine = nn.Sequential(_Residual(channels), _Residual(channels))
        self.head = nn.Conv2d(channels, 3, 1)

    def forward(self, features: Tensor) -> Tensor:
        x = self.fine(_upsample(self.coarse(self.unfold(features)), self.sizes[0]))
        return self.head(_upsample(x, self.sizes[1])).float()  # type: ignore[no-any-return]


class FromMean(nn.Module):
    """Adds a sigmoid to a network's output (N, 3, H, W), centred on an image: an output of zero gives this image.

    Args:
        network: maps features to (N, 3, H, W).
        mean: the image in [0, 1], (3, H, W); grey is no prior at all.
    """

    start: Tensor

    def __init__(self, network: nn.Module, mean: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("start", mean.float().clamp(_DARKEST, 1 - _DARKEST).logit())

    def forward(self, features: Tensor) -> Tensor:
        return (self.network(features).float() + self.start).sigmoid()  # type: ignore[no-any-return]


class _PreActivation(nn.Module):
    """Two 3×3 convolutions, normalised in front of them, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.convolutions = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        )  # fmt: skip
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else Projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        ready = self.first(x)
        beside = x if self.shortcut is None else self.shortcut(ready)
        return self.convolutions(ready) + beside  # type: ignore[no-any-return]


class _Residual(nn.Module):
    """Two 3×3 convolutions of as many channels, and a shortcut, before the last ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolutions(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.convolutions(x))


def channels_of(paper: int, width: float) -> int:
    """A share of the paper's channels, as a multiple of 8, and 8 at least.

    Raises:
        ValueError: where the share is not positive.
    """
    if not width > 0:
        raise ValueError(f"a width is a positive share of the paper's, not {width}")
    return max(1, round(paper * width / _MULTIPLE)) * _MULTIPLE


def _convolutions(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers)


def _maps(shape: Shape, size: Sequence[int], width: float) -> tuple[nn.Module, int]:
    """The layers that turn features into maps, and the number of channels."""
    if not is_vector(shape):
        return nn.Identity(), shape[0]
    channels = channels_of(128, width)
    return Unfold(shape, size, channels), channels


def _sizes(size: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return (size[0] // 2, size[1] // 2), (size[0], size[1])


def _upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
