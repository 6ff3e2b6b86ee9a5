"""Networks of DeepObfuscator (Li et al. 2019, https://arxiv.org/abs/1909.04126, Table 1): the obfuscator on the phone,
the classifier that reads its features on the server, and the mirror network that turns features back into images.

Deviations, all of them options. The paper's features are 2 · 64 maps at a quarter of the resolution: ten times the
image's bytes. ``values`` adds a bottleneck: two more convolutions, pooling, and one linear layer to this number of
values in (-1, 1); only these are sent. ``levels`` rounds each value to this number of steps, which removes the small
differences that attackers read most and the service does not need. With a bottleneck, the server's network is a small
perceptron, and the mirror begins with the mirror of these layers. ``norm="group"`` normalises each image by itself, in
training as well. ``head="pool"`` averages the last maps instead of the paper's two layers of 4,096. The mirror's layers
are normalised and by default end in a sigmoid; a transposed convolution of stride 1 is a convolution and is written as
one.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from veil.models.features import STRIDE, Head, Norm, Shape, is_vector
from veil.models.unet import NORMS

_GROUPS = 8
_COARSE = 4
_FC = 4096
_LEAST = 8
_HIDDEN = 256


class Obfuscator(nn.Module):
    """Maps images in [0, 1], (N, 3, H, W) with sides of multiples of 4, to features.

    Features are (N, 2·width, H/4, W/4), of at least 0; with a bottleneck (N, values, 1, 1), in [-1, 1].

    Args:
        width: channels of the first two convolutions, a multiple of 8.
        norm: ``batch`` or ``group`` normalisation.
        values: how many values are sent; None sends the maps.
        levels: number of levels of each value, evenly from -1 to 1; None does not round.

    Raises:
        ValueError: for an unsupported width, normalisation or number, and for levels without values; in use, for other
            sides.
    """

    def __init__(
        self, width: int = 64, norm: Norm = "batch", values: int | None = None, levels: int | None = None
    ) -> None:
        super().__init__()
        _check(width, norm)
        if levels is not None and (values is None or levels < 2):
            raise ValueError("levels must be at least two, and need a bottleneck (values)")
        if values is not None and values < 1:
            raise ValueError(f"a bottleneck sends at least one value, not {values}")
        self.options: dict[str, Any] = {"width": width, "norm": norm, "values": values, "levels": levels}
        maps = 2 * width
        self.maps = nn.Sequential(
            *_convolution(3, width, norm), *_convolution(width, width, norm), nn.MaxPool2d(2),
            *_convolution(width, maps, norm), *_convolution(maps, maps, norm), nn.MaxPool2d(2),
        )  # fmt: skip
        self.bottleneck = None if values is None else nn.Sequential(
            *_convolution(maps, maps, norm), nn.MaxPool2d(2, ceil_mode=True),
            *_convolution(maps, maps, norm), nn.AdaptiveAvgPool2d(_COARSE),
            nn.Conv2d(maps, values, _COARSE), nn.Tanh(), *([] if levels is None else [Levels(levels)]),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"sides of images are multiples of {STRIDE}, unlike {height}×{width}")
        maps: Tensor = self.maps(2 * images - 1)
        return maps if self.bottleneck is None else self.bottleneck(maps)

    def shape(self, size: Sequence[int]) -> Shape:
        """Channels, height and width of the features of images of a size (H, W)."""
        if self.options["values"] is not None:
            return self.options["values"], 1, 1
        return 2 * self.options["width"], size[0] // STRIDE, size[1] // STRIDE


class Levels(nn.Module):
    """Rounds values in [-1, 1] to the nearest level; gradients pass unchanged (Bengio et al. 2013, "Estimating or
    propagating gradients through stochastic neurons", the straight-through estimator).

    Args:
        count: of levels, evenly from -1 to 1.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.steps = count - 1

    def forward(self, values: Tensor) -> Tensor:
        exact = values.float()
        rounded = ((exact + 1) * (self.steps / 2)).round() * (2 / self.steps) - 1
        return exact + (rounded - exact).detach()


class FeatureClassifier(nn.Module):
    """Maps features (N, C, h, w) to a logit for each label, (N, labels): the service's network, and the adversary AC.

    Args:
        shape: of the features, (C, h, w).
        labels: how many.
        width: channels of its first three convolutions; the next six have twice as many. 256 in the paper.
        norm: ``batch`` or ``group`` normalisation.
        head: ``fc``, the paper's, or ``pool``.

    Raises:
        ValueError: for another width, normalisation or head, and for maps with a side below 8.
    """

    def __init__(self, shape: Shape, labels: int, width: int = 256, norm: Norm = "batch", head: Head = "fc") -> None:
        super().__init__()
        _check(width, norm)
        if head not in ("fc", "pool"):
            raise ValueError(f"there is no head {head!r}; there are fc, pool")
        self.options: dict[str, Any] = {
            "shape": list(shape), "labels": labels, "width": width, "norm": norm, "head": head
        }  # fmt: skip
        self.layers = _perceptron(shape[0], labels) if is_vector(shape) else _vgg(shape, labels, width, norm, head)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)  # type: ignore[no-any-return]


class MirrorReconstructor(nn.Module):
    """Maps features (N, C, h, w) to images, (N, 3, H, W): the obfuscator's layers in reverse; the adversary AR.

    Args:
        shape: of the features, (C, h, w).
        size: (H, W) of the images.
        width: the obfuscator's.
        norm: ``batch`` or ``group`` normalisation.
        sigmoid: whether a sigmoid maps images to (0, 1); without it they are the last layer's output.

    Raises:
        ValueError: for another width or normalisation.
    """

    def __init__(
        self, shape: Shape, size: Sequence[int], width: int = 64, norm: Norm = "batch", sigmoid: bool = True
    ) -> None:
        super().__init__()
        _check(width, norm)
        self.size, self.sigmoid = (size[0], size[1]), sigmoid
        self.begin: nn.Module = Unfold(shape, size, 2 * width, norm) if is_vector(shape) else nn.Identity()
        maps = 2 * width if is_vector(shape) else shape[0]
        self.coarse = nn.Sequential(*_convolution(maps, 2 * width, norm), *_convolution(2 * width, width, norm))
        self.fine = nn.Sequential(*_convolution(width, width, norm), nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        x = self.coarse(F.interpolate(self.begin(features), (self.size[0] // 2, self.size[1] // 2)))
        images: Tensor = self.fine(F.interpolate(x, self.size)).float()
        return images.sigmoid() if self.sigmoid else images


class Unfold(nn.Module):
    """Maps vectors (N, C, 1, 1) to maps (N, channels, H/4, W/4), like those in front of a bottleneck.

    Args:
        shape: of the features, (C, 1, 1).
        size: (H, W) of the images.
        channels: of the maps.
        norm: ``batch`` or ``group`` normalisation.
    """

    def __init__(self, shape: Shape, size: Sequence[int], channels: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.sizes = tuple((size[0] // part, size[1] // part) for part in (2 * STRIDE, STRIDE))
        self.spread = nn.Sequential(
            nn.ConvTranspose2d(shape[0], channels, _COARSE, bias=False), NORMS[norm](channels), nn.ReLU()
        )
        self.first = nn.Sequential(*_convolution(channels, channels, norm))
        self.second = nn.Sequential(*_convolution(channels, channels, norm))

    def forward(self, features: Tensor) -> Tensor:
        x = self.first(F.interpolate(self.spread(features), self.sizes[0]))
        return self.second(F.interpolate(x, self.sizes[1]))  # type: ignore[no-any-return]


def _check(width: int, norm: str) -> None:
    if width < _GROUPS or width % _GROUPS:
        raise ValueError(f"a width is a multiple of {_GROUPS}, not {width}")
    if norm not in NORMS:
        raise ValueError(f"there is no normalisation {norm!r}; there are {', '.join(NORMS)}")


def _convolution(inputs: int, outputs: int, norm: Norm) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), NORMS[norm](outputs), nn.ReLU()


def _perceptron(values: int, labels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(values, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(),
        nn.Linear(_HIDDEN, labels),
    )  # fmt: skip


def _vgg(shape: Shape, labels: int, width: int, norm: Norm, head: Head) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs, height, side = shape
    if min(height, side) < _LEAST:
        raise ValueError(f"maps of {height}×{side} cannot be halved three times")
    for outputs in (width, 2 * width, 2 * width):
        for _ in range(3):
            layers += _convolution(inputs, outputs, norm)
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
        height, side = height // 2, side // 2
    if head == "pool":
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, labels))
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(inputs * height * side, _FC), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(_FC, _FC), nn.ReLU(), nn.Dropout(0.5), nn.Linear(_FC, labels),
    )  # fmt: skip
