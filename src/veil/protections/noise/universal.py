"""Universal noise: one noise for all images of a size, fitted once and added at the cost of an addition.

Source: Liu et al. 2019, section 5.2: for each class of MNIST one noise that misleads to it (Table 2, Fig. 2), and sums
of such noises (CIS, Figs 4 to 7). The paper gives no settings; the defaults here are those of the public notebook that
its experiments follow: Adam at 0.01, batches of 64, 300 iterations, the noise clipped to ±0.35 after every step, 0.02
times half its squared norm added to the loss.

Veil's own is `unsure`, the universal form of `veil.protections.noise.entropy`: it raises ICE itself and lowers ICP with
a weight that says how much ICP counts. `UniversalNoise` keeps such noises by image size, in a file, and adds them to
photos.

Threat model: as for `veil.protections.noise.crs`. An attacker who has one protected image and its original, or the file
of the noise, knows the noise of all images of that size and can subtract it. Noise per image is stronger; universal
noise is for images that are too many or too small for a descent each.

Deviations from the paper: several noises are fitted at once, on the same batches, which changes none of them and
takes a fraction of the time; what is judged is the image as stored, in 8 bits (`add`), not the float image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from veil.models import weights
from veil.models.answers import NoFiniteAnswer, require_finite
from veil.protections.noise.entropy import alike
from veil.protections.noise.scheme import Plan, Released
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from veil.models.classifier import Classifier

Loss = Callable[["Tensor", "Tensor"], "Tensor"]
Size = tuple[int, int, int]  # channels, height, width

KIND = "universal noise 1"  # what tells the file of a `UniversalNoise`
NAMED = 10  # sizes at most that an error names


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
    classifiers: Classifier | Sequence[Classifier],
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
        classifiers: the network to mislead, or an ensemble on one device: then the mean of the networks' losses counts.
        images: uint8, (N, C, H, W).
        labels: int64, (N,): true classes; or (M, N), a row for each network, where their classes differ.
        losses: by name; each maps logits (B, K) and labels (B,) to losses (B,), to be made small.
        generator: of the batches, drawn with replacement.
        progress: called with the number of finished iterations.

    Returns:
        By name, float32 (C, H, W) in [−limit, limit], in units of the range [0, 1].

    Raises:
        ValueError: where images and labels do not fit each other, or there is no network.
        NoFiniteAnswer: where a network gives none for images with noise, or a loss is not finite: the fit has diverged.
    """
    from veil.models.classifier import Classifier

    ensemble = [classifiers] if isinstance(classifiers, Classifier) else list(classifiers)
    if not ensemble:
        raise ValueError("at least one classifier is needed")
    fits = labels.shape in (images.shape[:1], (len(ensemble), *images.shape[:1]))
    if images.dtype != torch.uint8 or images.ndim != 4 or not fits or not len(images):
        raise ValueError(
            f"images must be uint8 (N, C, H, W) with a label each, not {images.dtype} {tuple(images.shape)} and "
            f"{tuple(labels.shape)}"
        )
    labels = labels.expand(len(ensemble), -1)
    device = ensemble[0].device
    noise = torch.zeros((len(losses), 1, *images.shape[1:]), device=device, requires_grad=True)
    optimizer = torch.optim.Adam([noise], lr=settings.learning_rate)
    for iteration in range(settings.iterations):
        chosen = torch.randint(len(images), (settings.batch_size,), generator=generator)
        batch, truths = images[chosen].to(device).float() / 255, labels[:, chosen].to(device)
        noisy = (batch + noise).clamp(0, 1).flatten(0, 1)
        fitted = []
        for classifier, truth in zip(ensemble, truths, strict=True):
            with_noise = f"images with noise, in step {iteration + 1}"
            answers = require_finite(classifier(noisy).float(), classifier.name, with_noise)
            logits = torch.unflatten(answers, 0, (len(losses), -1))
            per_loss = [loss(rows, truth).mean() for loss, rows in zip(losses.values(), logits, strict=True)]
            fitted.append(torch.stack(per_loss).sum())
        objective = torch.stack(fitted).mean() + settings.penalty * noise.square().sum() / 2
        if not bool(objective.isfinite()):
            raise NoFiniteAnswer(f"the fit has diverged: its loss is not finite in step {iteration + 1}")
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


class NoNoise(ValueError):
    """There is no noise for photos of this size; the message names it and the sizes that there are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UniversalNoise:
    """Noises by the size of the photos that they are for, and what they were made with.

    Attributes:
        noises: by (channels, height, width): float32 of that shape on the CPU, in units of the range [0, 1].
        models: fingerprint by name of the networks that the noises were fitted to.
        settings: how, as JSON.
        photos: number of photos of each size that its noise was fitted to.

    Raises:
        ValueError: where there is no noise, or one is of another shape or type, not finite, or beyond ±1.
    """

    noises: Mapping[Size, Tensor]
    models: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    photos: Mapping[Size, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.noises:
            raise ValueError("there is no noise")
        for size, noise in self.noises.items():
            sized(named(size))
            if noise.dtype != torch.float32 or tuple(noise.shape) != size:
                raise ValueError(f"the noise for {named(size)} is {noise.dtype} of the shape {tuple(noise.shape)}")
            if not bool((noise.abs() <= 1).all()):  # not so for NaN either
                raise ValueError(f"the noise for {named(size)} holds values that are not finite or beyond ±1")

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the noises and with nothing else."""
        return weights.fingerprint((named(size), noise) for size, noise in sorted(self.noises.items()))

    def plan(self, image: Tensor, classes: Sequence[int]) -> Plan:
        """Adds the noise to a photo, uint8 (C, H, W): a plan without a descent.

        Args:
            classes: number of classes K of each network; the goal is all of them alike.

        Raises:
            NoNoise: at once, for a photo of another size.
        """
        size: Size = image.shape[0], image.shape[1], image.shape[2]
        if size not in self.noises:
            sizes = [named(size) for size in sorted(self.noises)]
            more = f" and {len(sizes) - NAMED} more" if len(sizes) > NAMED else ""
            raise NoNoise(
                f"there is no noise for photos of {named(size)} (channels, height, width); there is for "
                + ", ".join(sizes[:NAMED]) + more
            )  # fmt: skip
        return _added(image, self.noises[size], classes)

    def save(self, file: Path) -> None:
        """Writes a safetensors file, whole or not at all: a tensor for each size, the rest in its header.

        The same noises and the same origin give the same bytes.
        """
        origin = {
            "kind": KIND,
            "models": dict(self.models),
            "settings": dict(self.settings),
            "photos": {named(size): count for size, count in self.photos.items()},
        }
        tensors = {named(size): noise.contiguous() for size, noise in self.noises.items()}
        weights.write(file, tensors, origin)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ValueError: in one line, for any other file.
        """
        with weights.reading(file, "a file of universal noise"):
            with weights.opened(file) as content:
                origin = _origin(weights.card_of(content))
                noises, names = {}, content.keys()
                for name in names:
                    size, part = sized(name), content.get_slice(name)
                    if (part.get_dtype(), tuple(part.get_shape())) != ("F32", size):
                        raise ValueError(f"{name!r} is {part.get_dtype()} of the shape {tuple(part.get_shape())}")
                    noises[size] = content.get_tensor(name).clone()
            return cls(noises=noises, **origin)


def named(size: Size) -> str:
    """A size as files and messages have it: ``3x224x299`` is three channels of 224 rows and 299 columns."""
    return "x".join(map(str, size))


def sized(name: str) -> Size:
    """The size that a name stands for.

    Raises:
        ValueError: where it is not one that `named` gives for a photo.
    """
    if not re.fullmatch(r"[13](x[1-9][0-9]{0,8}){2}", name):
        raise ValueError(f"{name!r} is no size of a photo")
    channels, height, width = map(int, name.split("x"))
    return channels, height, width


def _added(image: Tensor, noise: Tensor, classes: Sequence[int]) -> Plan:
    yield from ()
    return Released(add(image, noise), (tuple(alike(count) for count in classes),), 0, True)


def _origin(card: weights.Card) -> dict[str, Any]:
    """The fields of a `UniversalNoise` that the card of its file holds, checked."""
    if card["kind"] != KIND:
        raise ValueError("its header does not say so")
    try:
        models, settings, photos = (dict(card[name]) for name in ("models", "settings", "photos"))
        counts = {sized(name): int(count) for name, count in photos.items()}
    except (KeyError, OverflowError, TypeError):
        raise ValueError("its header is damaged") from None
    if not all(isinstance(fingerprint, str) for fingerprint in models.values()):
        raise ValueError("its header is damaged")
    return {"models": models, "settings": settings, "photos": counts}
