"""What a training takes and makes: images with their labels, the four networks, and the logs."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from veil import images
from veil.models.obfuscator import FeatureClassifier, MirrorReconstructor, Obfuscator
from veil.protections.features.settings import ObfuscatorSettings
from veil.runtime.seeds import seed_of
from veil.training.checkpoints import Row


@dataclass(frozen=True, eq=False)
class TrainingFaces:
    """Images, uint8 (N, 3, H, W), with what the service asks about them and what it is not to know.

    Attributes:
        target, private: bool (N, T) and (N, P).
    """

    images: Tensor
    target: Tensor
    private: Tensor

    def __post_init__(self) -> None:
        images.require_batch(self.images, "an obfuscator is trained with")
        for name in ("target", "private"):
            labels: Tensor = getattr(self, name)
            if labels.dtype != torch.bool or labels.ndim != 2 or len(labels) != len(self.images):
                raise ValueError(f"{name} labels must be bool ({len(self.images)}, …), not {tuple(labels.shape)}")
        if not self.target.shape[1]:
            raise ValueError("the service must ask for at least one attribute")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Networks:
    """The four networks; no AC where nothing is private, no AR where images are not defended."""

    obfuscator: Obfuscator
    classifier: FeatureClassifier
    adversaries: tuple[FeatureClassifier, ...]
    reconstructor: MirrorReconstructor | None

    @classmethod
    def create(cls, faces: TrainingFaces, settings: ObfuscatorSettings, seed: int) -> "Networks":
        """Networks with weights drawn from ``seed``, for images and labels of that form."""
        size = faces.images.shape[2:]
        defends_images, defends_attributes = settings.defends
        torch.manual_seed(seed_of("weights", seed))
        obfuscator = Obfuscator(
            settings.width, settings.norm, settings.values, settings.levels if settings.values else None
        )
        shape = obfuscator.shape(size)

        def reader(labels: int) -> FeatureClassifier:
            return FeatureClassifier(shape, labels, settings.reader, settings.norm, settings.head)

        private = faces.private.shape[1]
        return cls(
            obfuscator, reader(faces.target.shape[1]),
            tuple(reader(private) for _ in range(settings.adversaries if private and defends_attributes else 0)),
            MirrorReconstructor(shape, size, settings.width, settings.norm, settings.sigmoid)
            if defends_images else None,
        )  # fmt: skip

    def named(self) -> dict[str, nn.Module]:
        """All of them, by name."""
        networks: dict[str, nn.Module] = {"obfuscator": self.obfuscator, "classifier": self.classifier}
        networks |= {f"adversary{number}": adversary for number, adversary in enumerate(self.adversaries)}
        return networks if self.reconstructor is None else networks | {"reconstructor": self.reconstructor}


@dataclass(frozen=True, eq=False)
class TrainedNetworks:
    """Networks that were trained, in evaluation mode, and the log of each stage."""

    networks: Networks
    logs: Mapping[str, list[Row]]
