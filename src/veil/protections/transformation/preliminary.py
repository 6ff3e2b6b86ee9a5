"""Preliminary visual protection: images that h_θ classifies better than plain ones, under noise that people see
(Sirichotedumrong and Kiya 2020, section III-B).

Projected gradient descent as attacks have it, but downhill, towards the true class:

    x_p^(t+1) = Π_{x+Δ}( x_p^t + α · sign(∇_x (−L(h_θ(x_p^t), y))) ),   ‖Δ‖∞ ≤ ε       (1)–(3)

These images are only what the transformation network is trained with; nobody releases them.

Deviations: the paper gives neither ε nor α; the defaults come from the sweep in docs/sirichotedumrong2020.md. Equation
(3) takes the gradient at x, which would be the same in all fifty steps; here it is taken at x_p^t, as in PGD. Images
stay within [0, 1], and are rounded to bytes at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from veil import images as pictures
from veil.models.answers import require_finite
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor

    from veil.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class PreliminarySettings:
    """Settings of the descent, in grey levels.

    Attributes:
        epsilon: limit of the noise.
        steps: as many for every image.
        alpha: step size; None is 2.5 ε / steps, which can cross the limit's range once (Madry et al. 2018).
    """

    epsilon: float = field(
        default=128.0, metadata={"help": "Limit of the noise of the preliminary protection, in grey levels."}
    )
    steps: int = 50
    alpha: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 255:
            raise ValueError(f"epsilon lies above 0 and is at most 255 grey levels, not {self.epsilon}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")
        if self.alpha is not None and not self.alpha > 0:
            raise ValueError(f"alpha must be positive, not {self.alpha}")

    @property
    def step(self) -> float:
        """α, in grey levels."""
        return self.alpha if self.alpha is not None else 2.5 * self.epsilon / self.steps


def protect(
    images: Tensor,
    labels: Tensor,
    classifier: Classifier,
    settings: PreliminarySettings,
    *,
    runner: Fabric,
    batch_size: int = 128,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """x_p of images, uint8 (N, 3, H, W), on the CPU.

    Args:
        images: x, uint8.
        labels: y, int64 (N,), of h_θ's classes.
        classifier: h_θ, on the runner's device.
        progress: called with the number of images that are done, and of all.

    Raises:
        NoFiniteAnswer: where the classifier gives none.
    """
    done = []
    for first in range(0, len(images), batch_size):
        part = slice(first, first + batch_size)
        plain = pictures.to_float(images[part].to(runner.device))
        protected = descend(plain, labels[part].to(runner.device), classifier, settings, runner)
        done.append(pictures.quantise(protected).cpu())
        progress(min(first + batch_size, len(images)), len(images))
    return torch.cat(done)


def descend(
    plain: Tensor, labels: Tensor, classifier: Classifier, settings: PreliminarySettings, runner: Fabric
) -> Tensor:
    """Equation (3), all steps: x and x_p in [0, 1], (N, 3, H, W)."""
    limit, step = settings.epsilon / 255, settings.step / 255
    lowest, highest = (plain - limit).clamp_(0, 1), (plain + limit).clamp_(0, 1)
    protected = plain.clone()
    for _ in range(settings.steps):
        protected.requires_grad_()
        with runner.autocast():
            logits = require_finite(classifier(protected).float(), classifier.name, "a training image")
            loss = F.cross_entropy(logits, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, protected)
        protected = protected.detach().sub_(gradient.sign_(), alpha=step)
        protected = torch.maximum(torch.minimum(protected, highest), lowest)
    return protected
