"""Inversion without training: the image whose features are most like those that were sent (Mahendran and Vedaldi 2015,
"Understanding deep image representations by inverting them", https://arxiv.org/abs/1412.0035, equation 1).

What the attacker knows: features as they are sent and decoded, and the obfuscator with its weights, for the client's
file is on every phone. No image of anybody else is needed; the mean of some is a better start than grey.

The loss of an image x is ‖φ(x) − f‖² / ‖f‖² + a · TV(x) + b · ‖x − m‖², TV being the mean squared difference of
neighbouring pixels (the paper's total variation with β = 2) and the last one a mean over pixels, too.

Deviations: the paper's pull to small α-norms is one to the mean image m, where there is one. Adam takes the place of
gradient descent with momentum. The image is m with a sum of layers of growing resolution added before a sigmoid, which
Adam changes together: what is coarse falls into place first. The best image is given back, not the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veil import images
from veil.attacks.errors import require_finite
from veil.attacks.features.attackers import ImageSearch, shape_of
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor

_GREY = 0.5
_DARKEST = 0.02
_START = 0.01
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class InversionSettings:
    """Settings of the search.

    Attributes:
        steps: updates of each image.
        learning_rate: of Adam on logits, at its highest.
        layers: how many resolutions an image is a sum of: all of it, a half, a quarter …; 1 for pixels alone.
        variation: a, the weight of total variation.
        pull: b, the weight of the distance to the mean image.
        batch_size: images that are searched for together; no image depends on another.
    """

    steps: int = 400
    learning_rate: float = 0.05
    layers: int = 4
    variation: float = 1.0
    pull: float = 0.0
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("steps", "layers", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.learning_rate > 0 or min(self.variation, self.pull) < 0:
            raise ValueError("learning_rate must be positive, variation and pull must not be negative")


def invert(
    features: Tensor,
    obfuscate: Callable[[Tensor], Tensor],
    size: Sequence[int],
    settings: InversionSettings,
    *,
    seed: int = 0,
    mean: Tensor | None = None,
) -> Tensor:
    """Images whose features are like those given.

    Args:
        features: floats (N, C, h, w), as sent and decoded, on the device of the obfuscator.
        obfuscate: maps images in [0, 1], (N, 3, H, W), to their features before rounding; differentiable, and each
            image by itself, as networks in evaluation mode do.
        size: (H, W).
        seed: of the small noise that every image starts from, the same for all.
        mean: of images of the attacker's own in [0, 1], (3, H, W); None for grey.

    Returns:
        uint8 (N, 3, H, W), on the same device.

    Raises:
        AttackFailed: where an image was never given finite features.
        ValueError: where features are none, or the obfuscator's have another shape, or the mean has another size.
    """
    shape_of(features)
    mean = torch.full((3, *size), _GREY) if mean is None else mean.float()
    if mean.shape != (3, *size):
        raise ValueError(f"the mean image is {tuple(mean.shape)}, not {(3, *size)}")
    mean = mean.to(features.device)
    parts = torch.split(features, settings.batch_size)
    return torch.cat([_search(part.float(), obfuscate, mean, settings, seed) for part in parts])


def _search(
    features: Tensor, obfuscate: Callable[[Tensor], Tensor], mean: Tensor, settings: InversionSettings, seed: int
) -> Tensor:
    from veil.training.schedule import one_cycle, set_rate

    layers = _layers(mean, len(features), settings.layers, seed)
    optimizer = torch.optim.Adam(layers)
    best = torch.full((len(features),), torch.inf, device=features.device)
    closest = torch.zeros(len(features), *mean.shape, dtype=torch.uint8, device=features.device)
    for number in range(settings.steps):
        set_rate(optimizer, settings.learning_rate * one_cycle(number / settings.steps))
        x = _image(layers, mean)
        losses = _losses(x, obfuscate(x), features, mean, settings)
        better = losses.detach() < best
        best = torch.where(better, losses.detach(), best)
        closest = torch.where(better.view(-1, 1, 1, 1), images.quantise(x.detach()), closest)
        # The sum, not the mean: Adam's steps for an image then do not depend on how many others there are.
        for layer, gradient in zip(layers, torch.autograd.grad(losses.sum(), layers), strict=True):
            layer.grad = gradient
        optimizer.step()
    require_finite(best)  # what was never finite has no closest image
    return closest


def _layers(mean: Tensor, count: int, number: int, seed: int) -> list[Tensor]:
    """What is added to the logits of the mean: from all of its resolution down, the same noise for each image."""
    generator = torch.Generator().manual_seed(seed_of("inversion", seed))
    height, width = mean.shape[1:]
    sizes = [(max(1, height >> level), max(1, width >> level)) for level in range(number)]
    noise = (_START * torch.randn(1, 3, *size, generator=generator) for size in sizes)
    return [layer.to(mean.device).repeat(count, 1, 1, 1).requires_grad_() for layer in noise]


def _image(layers: list[Tensor], mean: Tensor) -> Tensor:
    size = (mean.shape[1], mean.shape[2])
    grown = (F.interpolate(layer, size, mode="bilinear", align_corners=False) for layer in layers[1:])
    return (mean.clamp(_DARKEST, 1 - _DARKEST).logit() + sum(grown, layers[0])).sigmoid()


def _losses(x: Tensor, seen: Tensor, features: Tensor, mean: Tensor, settings: InversionSettings) -> Tensor:
    """The loss of each image, (N,)."""
    if seen.shape != features.shape:
        raise ValueError(f"the obfuscator gives features {tuple(seen.shape)}, not {tuple(features.shape)}")
    apart = (seen.float() - features).square().flatten(1).sum(1)
    distance = apart / features.square().flatten(1).sum(1).clamp_min(_TINY)
    down, across = (x.diff(dim=side).square().mean((1, 2, 3)) for side in (2, 3))
    pull = (x - mean).square().mean((1, 2, 3))
    return distance + settings.variation * (down + across) + settings.pull * pull


INVERSION = ImageSearch(
    name="inversion", title="direct optimisation of the image",
    knows="the client with its weights, and the mean of some photos", search=invert, settings=InversionSettings(),
    scales={"smoke": {"steps": 10}, "cpu": {"steps": 200}, "paper": {}},
)  # fmt: skip
