"""What a way to train a transformation network is: a row of `veil.protections.transformation.METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from veil.protections.transformation.fitting import TrainedNetworks, TrainingImages
    from veil.protections.transformation.frozen_networks import FrozenNetworks
    from veil.training.run import Run


class Train(Protocol):
    """Trains a transformation network."""

    def __call__(self, images: TrainingImages, frozen: FrozenNetworks, settings: Any, run: Run) -> TrainedNetworks:
        """Trains h_p, from the last checkpoint in the run's folder on.

        Args:
            images: with preliminary protected ones where the method needs them.
            frozen: h_θ and φ, on the runner's device.
            settings: of the method's class.

        Raises:
            ValueError: where the images or networks are none that the method can be trained with.
            TrainingError: where the training diverges.
        """


@dataclass(frozen=True, kw_only=True)
class TransformationMethod:
    """A way to train a transformation network.

    Attributes:
        name: by which it is chosen, and which transformation files keep.
        title: in a few words, with its source.
        train: trains one.
        settings: their class.
        presets: settings by name; ``paper`` has the paper's losses, ``veil`` ours.
        scales: changes to a preset by scale (`veil.runtime.scales`).
        preliminary: whether it is trained with preliminary protected images.
    """

    name: str
    title: str
    train: Train
    settings: type[Any]
    presets: Mapping[str, Any]
    scales: Mapping[str, Mapping[str, Any]]
    preliminary: bool = False

    def settings_for(self, preset: str, scale: str, **changes: Any) -> Any:
        """Settings of a preset at a scale, with some values changed.

        Raises:
            ValueError: for a preset that there is not, or values out of range.
        """
        if preset not in self.presets:
            raise ValueError(f"{self.name} has no preset {preset!r}; it has {', '.join(self.presets)}")
        return replace(self.presets[preset], **{**self.scales.get(scale, {}), **changes})
