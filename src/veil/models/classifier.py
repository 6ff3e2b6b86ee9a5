"""A classifier as users see it: a network with its differentiable preprocessing and the names of its classes.

Noise is added at a photo's full resolution, so gradients pass through the resize, the crop and the normalisation, all
of them linear. The antialiased resize is PyTorch's, but its gradient is computed here, because PyTorch's own backward
pass takes about a tenth of a small network's time on a CPU. A test compares both gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.images import LUMA
from veil.images.marks import Mark
from veil.models.answers import require_finite
from veil.models.weights import fingerprint
from veil.runtime.errors import UserError

TORCH = "torch"
MAX_SIDE = 4096  # pixels
MOST_MEAN, LEAST_STD = 1e6, 1e-6
MAX_ASPECT = 8  # of longer to shorter side; the middle of a longer strip is looked at, and memory stays bounded


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a network's input is prepared. Sizes in pixels.

    Attributes:
        resize: the shorter side becomes this (bilinear, antialiased), the longer one keeps the aspect ratio; a pair
            (height, width) stretches; None leaves the size alone.
        crop: side of the square cut from the centre; None cuts nothing, and then ``resize`` must be a pair, for
            photos of all shapes share a batch.
        mean, std: per channel, for values in [0, 1]; as many as the network has input channels (1 or 3).
    """

    resize: int | tuple[int, int] | None
    crop: int | None = None
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ValueError(f"mean and std need one or three values each, not {self.mean} and {self.std}")
        if not all(type(value) in (int, float) and abs(value) <= MOST_MEAN for value in (*self.mean, *self.std)):
            raise ValueError(f"mean and std must be numbers up to {MOST_MEAN:,}, not {self.mean} and {self.std}")
        if any(s < LEAST_STD for s in self.std):
            raise ValueError(f"std must be positive, at least {LEAST_STD:g}, not {self.std}")
        pair = self.resize if isinstance(self.resize, tuple) else (self.resize,)
        if not all(side is None or type(side) is int for side in (*pair, self.crop)) or (
            isinstance(self.resize, tuple) and (len(pair) != 2 or None in pair)
        ):
            raise ValueError(
                f"resize must be a whole number, or two, and crop a whole number: {self.resize}, {self.crop}"
            )
        if any(side is not None and not 1 <= side <= MAX_SIDE for side in (*pair, self.crop)):
            raise ValueError(f"sizes must lie between 1 and {MAX_SIDE} pixels: resize {self.resize}, crop {self.crop}")
        if self.crop is None and not isinstance(self.resize, tuple):
            raise ValueError("give a crop, or a resize to a pair (height, width)")

    @property
    def channels(self) -> int:
        """Input channels of the network: 1 or 3."""
        return len(self.mean)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.resize if isinstance(self.resize, tuple) and self.crop is None else (self.crop or 0,) * 2

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """A photo's size after the resize and before the crop."""
        if isinstance(self.resize, tuple):
            return self.resize
        if self.resize is None:
            return height, width
        scale = self.resize / min(height, width)
        return max(self.resize, round(height * scale)), max(self.resize, round(width * scale))

    def __call__(self, images: Tensor) -> Tensor:
        """Maps float [0, 1] images (N, 1 or 3, H, W) to the network's input (N, channels, h, w), differentiably.

        Photos smaller than the crop are padded with black, as torchvision's centre crop does. Where the shorter side is
        resized and the crop takes the middle, of a photo longer than 8:1 only the middle part of 8:1 is resized.
        """
        if isinstance(self.resize, int):
            images = middle(images, MAX_ASPECT)
        if images.shape[1] == 3 and self.channels == 1:
            weights = images.new_tensor(LUMA).view(1, 3, 1, 1)
            images = (images * weights).sum(1, keepdim=True)
        size = self.resized(images.shape[-2], images.shape[-1])
        if size != tuple(images.shape[-2:]):
            images = AntialiasedResize.apply(images, size)  # type: ignore[no-untyped-call]
        if self.crop is not None:
            images = centre_crop(images, self.crop)
        mean = images.new_tensor(self.mean).view(1, -1, 1, 1)
        std = images.new_tensor(self.std).view(1, -1, 1, 1)
        return (images - mean) / std  # one grey channel becomes three here, by broadcasting


def middle(images: Tensor, aspect: int) -> Tensor:
    """The middle part of images (N, C, H, W) whose longer side is more than ``aspect`` times the shorter."""
    height, width = images.shape[-2:]
    rows, columns = min(height, aspect * width), min(width, aspect * height)
    top, left = (height - rows) // 2, (width - columns) // 2
    return images[..., top : top + rows, left : left + columns]


def centre_crop(images: Tensor, side: int) -> Tensor:
    """Cuts (N, C, side, side) from the middle; pads with zeros first where a side is shorter."""
    height, width = images.shape[-2:]
    if height < side or width < side:
        down, right = max(side - height, 0), max(side - width, 0)
        images = F.pad(images, (right // 2, right - right // 2, down // 2, down - down // 2))
        height, width = images.shape[-2:]
    top, left = round((height - side) / 2), round((width - side) / 2)
    return images[..., top : top + side, left : left + side]


@lru_cache(maxsize=256)
def growing_matrix(inputs: int, outputs: int) -> Tensor:
    """The matrix (outputs, inputs) of PyTorch's bilinear resize along one axis that grows, read off an identity."""
    identity = torch.eye(inputs)[None, None]
    return F.interpolate(identity, (inputs, outputs), mode="bilinear", antialias=True)[0, 0].T.contiguous()


@lru_cache(maxsize=256)
def shrinking_scales(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    """Two diagonals that make a bilinear enlargement the adjoint of an antialiased resize.

    Output o of the resize averages the inputs i with weights t(i, o) = max(0, 1 − |i − c(o)| / s), where s = inputs /
    outputs and c(o) = (o + 1/2) s − 1/2, divided by their sum. The enlargement back to the inputs' grid has the weights
    t(i, o) divided by their sum over o, which differs from 1 only at the border.

    Returns:
        1 / Σᵢ t(i, o), of shape (outputs,), and Σₒ t(i, o), of shape (inputs,).
    """
    scale = inputs / outputs
    centre = (torch.arange(outputs, dtype=torch.float64) + 0.5) * scale - 0.5
    before, after = torch.zeros(outputs), torch.zeros(inputs)
    for start in range(0, inputs, 4096):
        place = torch.arange(start, min(start + 4096, inputs), dtype=torch.float64)
        weight = (1 - (place - centre[:, None]).abs() / scale).clamp_min(0)
        before += weight.sum(1).float()
        after[start : start + 4096] = weight.sum(0).float()
    return 1 / before, after


class AntialiasedResize(torch.autograd.Function):
    """PyTorch's antialiased bilinear resize with a faster gradient: the same linear map, another algorithm for its
    adjoint."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.before = tuple(images.shape[-2:])
        return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous()
        (height, width), (rows, columns) = ctx.before, gradient.shape[-2:]
        if height < rows:
            gradient = growing_matrix(height, rows).T.to(gradient) @ gradient
        if width < columns:
            gradient = gradient @ growing_matrix(width, columns).to(gradient)
        if height <= rows and width <= columns:
            return gradient, None
        vertical = (
            [scale.to(gradient)[:, None] for scale in shrinking_scales(height, rows)] if height > rows else [1, 1]
        )
        across = [scale.to(gradient) for scale in shrinking_scales(width, columns)] if width > columns else [1, 1]
        gradient = gradient * vertical[0] * across[0]
        enlarged = F.interpolate(gradient, ctx.before, mode="bilinear", align_corners=False)
        return enlarged.mul_(vertical[1] * across[1]), None


class NoGradients(UserError, ValueError):
    """No gradients flow through a network to the images; the message is one line that says why."""


class Classifier(nn.Module):
    """A network with its preprocessing and class names: float [0, 1] NCHW of any size in, logits (N, K) out.

    The parameters are frozen and the network is in evaluation mode: gradients flow to the image only.

    Args:
        name: what reports call it.
        network: maps the preprocessed input to logits (N, K).
        preprocessing: the network's own resize, crop and normalisation.
        classes: K names, in the order of the logits.
        reads: how the images are encrypted that it was trained on; None for plain ones (`veil.models.fitting`).
        subject: what its pictures show, in the plural; networks of different subjects cannot judge each other.
        budget: noise limit in grey levels that most photos need on it; None where the scheme's own is enough.
        family: of networks that see alike (`veil.models.families`); None where it is not known.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        preprocessing: Preprocessing,
        classes: Sequence[str],
        *,
        reads: Mark | None = None,
        subject: str = "photos",
        budget: float | None = None,
        family: str | None = None,
    ) -> None:
        super().__init__()
        self.family = family
        self.subject, self.budget = subject, budget
        self.name = name
        self.reads = reads
        self.preprocessing = preprocessing
        self.classes = tuple(classes)
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}: {self._input()}, {len(self.classes):,} classes)"

    def _repr_html_(self) -> str:
        """The view in notebooks: name, input and classes."""
        some = ", ".join(self.classes[:5]) + (", …" if len(self.classes) > 5 else "")
        lines = {
            "name": self.name, "input": self._input(), "classes": f"{len(self.classes):,}: {some}",
            "weights": f"{self.weight_count:,}",
        }  # fmt: skip
        rows = "".join(f"<tr><th>{escape(head)}</th><td>{escape(text)}</td></tr>" for head, text in lines.items())
        return f"<table>{rows}</table>"

    def _input(self) -> str:
        height, width = self.preprocessing.size
        return f"{height}×{width} {'grey' if self.preprocessing.channels == 1 else 'RGB'}"

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.preprocessing(images))
        return logits

    @torch.no_grad()
    def answers(self, images: Tensor, of: str = "this photo") -> Tensor:
        """Logits, float32 (N, K), of float [0, 1] NCHW images.

        Raises:
            NoFiniteAnswer: where a value is not finite; ``of`` says in the message what was asked about.
        """
        return require_finite(self(images).float(), self.name, of)

    def train(self, mode: bool = True) -> "Classifier":
        """Stays in evaluation mode: a classifier is never trained here."""
        return super().train(False)

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the weights, the preprocessing and the class names."""
        about = repr((self.preprocessing, self.classes)).encode()
        return fingerprint(sorted(self.network.state_dict().items()), about)

    def weights_fingerprint(self) -> str:
        """As `fingerprint`, of the weights alone: one network may have several cards."""
        return fingerprint(sorted(self.network.state_dict().items()))

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        weight: Tensor = next(iter(self.network.state_dict().values()))
        return weight.device

    @property
    def weight_count(self) -> int:
        """How many numbers the weights are."""
        held: int | None = getattr(self.network, "parameters_held", None)
        return sum(values.numel() for values in self.network.state_dict().values()) if held is None else held

    @property
    def run_by(self) -> str:
        """``torch``; or ``onnxruntime``, for an ONNX file that cannot be converted (`veil.models.onnx.network`)."""
        return getattr(self.network, "run_by", TORCH)

    def require_gradients(self) -> None:
        """Refuses a network that can judge and nothing else.

        Raises:
            NoGradients: where no gradients flow to the images.
        """
        reason: str | None = getattr(self.network, "without_gradients", None)
        if reason is not None:
            raise NoGradients(
                f"{self.name} is run by {self.run_by}, which gives no gradients: it can judge noise, as with "
                f"--verify-with, but noise cannot be made against it ({reason})"
            )

    @property
    def has_depthwise(self) -> bool:
        """Whether any convolution is grouped: on CPUs bf16 does not always speed these up."""
        return any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in self.network.modules())
