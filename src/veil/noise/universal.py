"""Universal noise: one noise for all images of a size, fitted once and added at the cost of an addition.

Source: Liu et al. 2019, section 5.2: for each class of MNIST one noise that misleads to it (Table 2, Fig. 2), and sums
of such noises (CIS, Figs 4 to 7). The paper gives no settings; the defaults here are those of the public notebook that
its experiments follow: Adam at 0.01, batches of 64, 300 iterations, the noise clipped to ±0.35 after every step, 0.02
times half its squared norm added to the loss.

Veil's own is `unsure`, the universal form of `veil.noise.entropy`: it raises ICE itself and lowers ICP with a weight
that says how much ICP counts.

Threat model: as for `veil.noise.crs`. Whoever has a protected image and its original has the noise of all others: a
universal noise hides nothing from somebody who was shown one pair. Per-image noise is stronger; this one is for images
that leave a device too fast, or too small, for a descent each.

Deviations from the paper: several noises are fitted at once, on the same batches, which changes none of them and
takes a fraction of the time; what is judged is the image as stored, in 8 bits (`add`), not the float image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil.allocator import keep_memory
from veil.models.classifier import Classifier

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class UniversalSettings:
    """How a universal noise is fitted. Noise, its limit and the learning rate in units of the range [0, 1]."""

    limit: float = 0.35
    iterations: int = 300
    batch_size: int = 64
    learning_rate: float = 0.01
    penalty: float = 0.02

    def __post_init__(self) -> None:
        if not 0 < self.limit <= 1:
            raise ValueError(f"limit must be above 0 and at most 1, not {self.limit:g}")
        if min(self.iterations, self.batch_size) < 1:
            raise ValueError(f"iterations and batch size must be at least 1, not {self.iterations}, {self.batch_size}")
        if self.learning_rate <= 0 or self.penalty < 0:
            raise ValueError(
                f"learning rate must be positive and penalty not negative, not {self.learning_rate}, {self.penalty}"
            )


def towards(target: int) -> Loss:
    """Misleads to one class: J(θ; x; y) of eq. 5, the cross-entropy to the target in nats."""
    return lambda logits, labels: F.cross_entropy(logits, torch.full_like(labels, target), reduction="none")


def unsure(icp_weight: float) -> Loss:
    """Raises ICE and lowers ICP: −ICE + w · ICP, eqs 2 and 1.

    Without ``icp_weight`` w it is problem P2 of the paper (eq. 4). The gradient of −ICE is small on answers that are
    sure; over many images and steps that does not matter as it does for a single photo.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        log_probability = F.log_softmax(logits, 1)
        probability = log_probability.exp()
        true = probability.gather(1, labels[:, None])[:, 0]
        return (probability * log_probability).sum(1) + icp_weight * true

    return loss


def fit(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    losses: Mapping[str, Loss],
    settings: UniversalSettings,
    *,
    generator: Generator,
    progress: Callable[[int], None] = lambda iteration: None,
) -> dict[str, Tensor]:
    """Fits one noise for each of ``losses``.

    Args:
        classifier: the network to mislead.
        images: uint8, (N, C, H, W).
        labels: int64, (N,): true classes.
        losses: by name; each maps logits (B, K) and labels (B,) to losses (B,), to be made small.
        generator: of the batches, drawn with replacement.
        progress: called with the number of finished iterations.

    Returns:
        By name, float32 (C, H, W) in [−limit, limit], in units of the range [0, 1].

    Raises:
        ValueError: where images and labels do not fit each other.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or labels.shape != images.shape[:1] or not len(images):
        raise ValueError(
            f"images must be uint8 (N, C, H, W) with a label each, not {images.dtype} {tuple(images.shape)} and "
            f"{tuple(labels.shape)}"
        )
    device = next(classifier.parameters()).device
    if device.type == "cpu":
        keep_memory()
    noise = torch.zeros((len(losses), 1, *images.shape[1:]), device=device, requires_grad=True)
    optimizer = torch.optim.Adam([noise], lr=settings.learning_rate)
    for iteration in range(settings.iterations):
        chosen = torch.randint(len(images), (settings.batch_size,), generator=generator)
        batch, truth = images[chosen].to(device).float() / 255, labels[chosen].to(device)
        logits = classifier((batch + noise).clamp(0, 1).flatten(0, 1)).float().unflatten(0, (len(losses), -1))
        fitted = [loss(each, truth).mean() for loss, each in zip(losses.values(), logits, strict=True)]
        objective = torch.stack(fitted).sum() + settings.penalty * noise.square().sum() / 2
        optimizer.zero_grad()
        objective.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            noise.clamp_(-settings.limit, settings.limit)
        progress(iteration + 1)
    return dict(zip(losses, noise.detach()[:, 0].cpu(), strict=True))


def add(images: Tensor, noise: Tensor) -> Tensor:
    """Images as released, uint8: ``images``, uint8 (…, C, H, W), plus ``noise``, float (C, H, W), units of [0, 1]."""
    return (images + 255 * noise).round_().clamp_(0, 255).to(torch.uint8)
