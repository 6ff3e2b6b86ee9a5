"""What attackers on features are: rows of `veil.attacks.features.FEATURE_ATTACKERS`, and what they are given.

Everybody has the client file: it is on every phone. So an attacker sends photos of their own through it and learns from
the features, as they are sent and decoded, of people other than those who are attacked later. There are four kinds of
rows, by what is read and what it takes:

- `AttributeAttacker` reads private attributes, and learns from photos with these attributes;
- `Reconstructor` draws the photo, and learns from photos;
- `ImageSearch` looks for a photo that has the same features, and needs the client's weights;
- `PersonFinder` says whether two photos show the same person, and may learn from photos of people who are known.

A row's function takes what its kind knows, and nothing else. An audit trains attackers from nothing, keeps the epoch
that is best on the attacker's own validation part, and judges it on faces of people whom nobody has seen before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from veil.attacks.errors import AttackFailed, failing, require_finite
from veil.runtime.lazy import torch
from veil.runtime.scales import SCALES, Scale

if TYPE_CHECKING:
    from torch import Tensor

    from veil.models.features import Shape
    from veil.training.checkpoints import Row
    from veil.training.run import Run


def reads_all(shape: Shape) -> str | None:
    """Features of any shape can be read."""
    return None


@dataclass(frozen=True, eq=False)
class KnownAttributes:
    """Features with the attributes of their photos.

    Attributes:
        features: floats (N, C, h, w), of any precision, as they are sent and decoded.
        labels: bool (N, A).
    """

    features: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        shape_of(self.features)
        if self.labels.dtype != torch.bool or self.labels.ndim != 2 or len(self.labels) != len(self.features):
            raise ValueError(
                f"labels of {len(self.features)} images are not {self.labels.dtype} {tuple(self.labels.shape)}"
            )


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Features with the photos that they are of.

    Attributes:
        features: floats (N, C, h, w), of any precision, as they are sent and decoded.
        images: uint8 (N, 3, H, W).
    """

    features: Tensor
    images: Tensor

    def __post_init__(self) -> None:
        from veil.images import require_batch

        shape_of(self.features)
        require_batch(self.images, "reconstructors are trained with")
        if len(self.features) != len(self.images):
            raise ValueError(f"{len(self.features)} features and {len(self.images)} images are not pairs")


@dataclass(frozen=True, eq=False)
class KnownPeople:
    """Features with who is on their photos.

    Attributes:
        features: floats (N, C, h, w), of any precision, as they are sent and decoded; each photo once.
        identities: integers (N,); None where nobody knows.
    """

    features: Tensor
    identities: Tensor | None


@dataclass(frozen=True, eq=False)
class TrainedAttack:
    """An attacker that has learnt.

    Attributes:
        answer: what it says of features (N, C, h, w): scores (N, A), larger where the attribute rather is there;
            images, uint8 (N, 3, H, W); or embeddings (N, D), alike for photos of one person.
        log: a row for each epoch; ``validation`` is how well it did on the attacker's own validation part.
        best_epoch: the one that was kept, from 0.
        solved: whether it was computed in closed form, so that more epochs would change nothing.
    """

    answer: Callable[[Tensor], Tensor]
    log: Sequence[Row] = ()
    best_epoch: int = 0
    solved: bool = False

    def __call__(self, features: Tensor) -> Tensor:
        """Its answers.

        Raises:
            AttackFailed: where one is not finite.
        """
        return require_finite(self.answer(features))

    @property
    def flat(self) -> bool | None:
        """Whether its validation curve had gone flat (`veil.metrics.curves`); None where it has none."""
        from veil.metrics.curves import flat

        if self.solved or not self.log:
            return None
        return flat([float(row["validation"]) for row in self.log])


@dataclass(frozen=True, kw_only=True)
class FeatureAttacker:
    """A row; attackers are of one of the four kinds below.

    Attributes:
        name: by which it is chosen, and which rows of audits keep.
        title: what it is, in a few words that fit into a sentence.
        knows: what it needs to know, in words.
        settings: a frozen dataclass, at the scale ``paper``.
        scales: changes to the settings by scale.
        default_at: scales of audits that it is part of unless others are named.
        cannot: why it cannot read features of a shape (C, h, w), as the end of a sentence that its title begins; None
            where it can.
        reads: what: ``attributes``, ``images`` or ``people``.
        retrained: whether it learns from nothing, after the client's own training: what others say is no measure.
    """

    name: str
    title: str
    knows: str
    settings: Any = None
    scales: Mapping[Scale, Mapping[str, Any]] = field(default_factory=dict)
    default_at: tuple[Scale, ...] = SCALES
    cannot: Callable[[Shape], str | None] = reads_all
    reads: ClassVar[str] = ""
    retrained: ClassVar[bool] = True

    def settings_at(self, scale: Scale, changes: Mapping[str, Any] | None = None) -> Any:
        """Its settings at a scale, with changes of one's own."""
        return replace(self.settings, **{**self.scales.get(scale, {}), **(changes or {})})

    def require(self, features: Tensor, settings: object) -> None:
        """Refuses what it cannot work with, before anything is trained.

        Raises:
            AttackFailed: for features of a shape that it cannot read; the message says why.
            ValueError: for settings of another attacker, and for no features.
        """
        if not isinstance(settings, type(self.settings)):
            raise ValueError(f"settings of {self.name!r} are {type(self.settings).__name__}")
        if (reason := self.cannot(shape_of(features))) is not None:
            raise AttackFailed(f"{self.title} {reason}")


class FitAttributes(Protocol):
    """Learns to read attributes."""

    def __call__(
        self, own: KnownAttributes, validation: KnownAttributes, settings: Any, run: Run, /
    ) -> TrainedAttack: ...


class FitImages(Protocol):
    """Learns to draw photos."""

    def __call__(self, own: KnownImages, validation: KnownImages, settings: Any, run: Run, /) -> TrainedAttack: ...


class Search(Protocol):
    """Finds uint8 images (N, 3, H, W) of a size (H, W) whose features are like those given.

    ``obfuscate`` maps images in [0, 1] to features before rounding, with gradients, each image by itself. ``mean`` is
    the mean of the attacker's own photos in [0, 1], (3, H, W).
    """

    def __call__(
        self, features: Tensor, obfuscate: Callable[[Tensor], Tensor], size: Sequence[int], settings: Any, /, *,
        seed: int, mean: Tensor,
    ) -> Tensor: ...  # fmt: skip


class FitPeople(Protocol):
    """Learns in what features of photos of one person are alike."""

    def __call__(self, own: KnownPeople, validation: KnownPeople, settings: Any, /) -> TrainedAttack: ...


@dataclass(frozen=True, kw_only=True)
class AttributeAttacker(FeatureAttacker):
    """Reads private attributes.

    Attributes:
        fit: trains it from the last checkpoint in the run's folder on, on the run's device.
    """

    fit: FitAttributes
    reads: ClassVar[str] = "attributes"

    def train(self, own: KnownAttributes, validation: KnownAttributes, settings: Any, run: Run) -> TrainedAttack:
        """Trains it; ``validation`` is of other people, for the choice of the epoch.

        Raises:
            AttackFailed: where it cannot work with such features, or the training diverges.
            ValueError: for features or labels of validation that are unlike its own, or settings of another attacker.
        """
        self.require(own.features, settings)
        require_alike(own.features, validation.features)
        if own.labels.shape[1] != validation.labels.shape[1]:
            raise ValueError(f"labels of validation are {tuple(validation.labels.shape)}, unlike {own.labels.shape[1]}")
        with failing():
            return self.fit(own, validation, settings, run)


@dataclass(frozen=True, kw_only=True)
class Reconstructor(FeatureAttacker):
    """Draws the photo.

    Attributes:
        fit: trains it from the last checkpoint in the run's folder on, on the run's device.
    """

    fit: FitImages
    reads: ClassVar[str] = "images"

    def train(self, own: KnownImages, validation: KnownImages, settings: Any, run: Run) -> TrainedAttack:
        """Trains it; ``validation`` is of other people, for the choice of the epoch.

        Raises:
            AttackFailed: where it cannot work with such features, or the training diverges.
            ValueError: for features or images of validation that are unlike its own, or settings of another attacker.
        """
        self.require(own.features, settings)
        require_alike(own.features, validation.features)
        if own.images.shape[1:] != validation.images.shape[1:]:
            sizes = tuple(validation.images.shape[1:]), tuple(own.images.shape[1:])
            raise ValueError(f"images of validation are {sizes[0]}, unlike {sizes[1]}")
        with failing():
            return self.fit(own, validation, settings, run)


@dataclass(frozen=True, kw_only=True)
class ImageSearch(FeatureAttacker):
    """Looks for a photo with the same features, without any training. It takes long: audits ask it of some photos only.

    Attributes:
        search: finds the photos.
    """

    search: Search
    reads: ClassVar[str] = "images"


@dataclass(frozen=True, kw_only=True)
class PersonFinder(FeatureAttacker):
    """Says whether two photos show one person: by embeddings of their features, compared by the cosine.

    Attributes:
        fit: makes the embedding.
        by: what features are compared by, as the end of a sentence; empty where they are compared as they are.
        needs_people: whether it must know who is on the attacker's own photos.
    """

    fit: FitPeople
    by: str = ""
    needs_people: bool = False
    reads: ClassVar[str] = "people"


def shape_of(features: Tensor) -> Shape:
    """(C, h, w) of features (N, C, h, w).

    Raises:
        ValueError: for what are no features.
    """
    if features.ndim != 4 or not features.is_floating_point() or not len(features):
        raise ValueError(f"features are floats (N, C, h, w), not {features.dtype} {tuple(features.shape)}")
    return features.shape[1], features.shape[2], features.shape[3]


def require_alike(features: Tensor, validation: Tensor) -> None:
    """Raises `ValueError` where the features of the two parts are of different shapes."""
    if shape_of(features) != shape_of(validation):
        raise ValueError(f"features of validation are {shape_of(validation)}, unlike {shape_of(features)}")
