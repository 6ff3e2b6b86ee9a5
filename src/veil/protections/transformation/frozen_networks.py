"""The frozen networks that a transformation is trained with: h_θ, which must keep its answers, and features φ of what
shows in an image (Sirichotedumrong and Kiya 2020, sections III-B and III-C).

φ is the second ReLU of VGG16's second block, trained on ImageNet (``vgg16``, extra ``zoo``; fetched on first use), or,
where such weights cannot be had, the same layer of h_θ itself (``own``), if that is Veil's VGG-13. The paper says "the
second ReLU of VGG16", which, read literally, is ``relu1_2``; later work of its laboratory takes ``relu2_2``, as here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from veil.models.classifier import Classifier
    from veil.models.vgg import VGG13

Layer = Literal["relu1_2", "relu2_2"]
Features = Literal["own", "vgg16"]
_ENDS: dict[Layer, int] = {"relu1_2": 4, "relu2_2": 9}  # of torchvision's VGG16 `features`


@dataclass(frozen=True, eq=False)
class FrozenNetworks:
    """h_θ and φ. Images are float [0, 1], (N, 3, H, W); gradients flow to them alone.

    Attributes:
        classifier: h_θ.
        layer: which features.
        vgg16: VGG16's classifier, whose features are taken; None for h_θ's own.
    """

    classifier: Classifier
    layer: Layer
    vgg16: Classifier | None = None

    @classmethod
    def of(cls, classifier: Classifier, layer: Layer = "relu2_2", features: Features = "own") -> FrozenNetworks:
        """h_θ with the features that are named.

        Raises:
            ValueError: where ``own`` features are wanted of a network that is no `VGG13`.
            zoo.ZooMissing, zoo.HubError: where VGG16 cannot be had.
        """
        from veil.models import catalog
        from veil.models.vgg import VGG13

        if features == "vgg16":
            return cls(classifier, layer, catalog.load("torchvision/vgg16"))
        if not isinstance(classifier.network, VGG13):
            raise ValueError(f"{classifier.name} is no vgg13, whose features could be taken: train one, or take vgg16")
        return cls(classifier, layer)

    def to(self, device: torch.device) -> FrozenNetworks:
        """Moves the networks, in place."""
        for network in (self.classifier, self.vgg16):
            if network is not None:
                network.to(device)
        return self

    def features(self, images: Tensor) -> Tensor:
        """φ(images): (N, C, h, w)."""
        if self.vgg16 is None:
            return self._own.until(self.classifier.preprocessing(images), self.layer)
        normalise = self.vgg16.preprocessing
        mean, std = (images.new_tensor(value).view(1, 3, 1, 1) for value in (normalise.mean, normalise.std))
        return self._vgg16((images - mean) / std)  # type: ignore[no-any-return]

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """φ(images) and the logits of h_θ (N, K), with what they have in common computed once."""
        features = self.features(images)
        return features, self._own.after(features, self.layer) if self.vgg16 is None else self.classifier(images)

    @property
    def _own(self) -> VGG13:
        from veil.models.vgg import VGG13

        network = self.classifier.network
        assert isinstance(network, VGG13)
        return network

    @cached_property
    def _vgg16(self) -> nn.Module:
        assert self.vgg16 is not None
        layers: nn.Module = self.vgg16.network.get_submodule("features")
        return layers[: _ENDS[self.layer]]  # type: ignore[index,no-any-return]

    @property
    def named(self) -> str:
        """Where the features come from, for cards and rows."""
        return f"{self.layer} of {'VGG16 (ImageNet)' if self.vgg16 is not None else self.classifier.name}"
