"""VGG with batch normalisation for small images (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556).

The convolutions of their Table 1, B (13 layers), each with batch normalisation and ReLU, five times halved by
max-pooling; for images of some 32 pixels one linear layer stands for the three of the original.
"""

from torch import Tensor, nn

from veil.models import adaptation as adaptations

DEPTHS = (2, 2, 2, 2, 2)
WIDTHS = (1, 2, 4, 8, 8)


class VGG13(nn.Module):
    """Maps normalised images (N, 3, H, W), H and W at least 32, to logits (N, num_classes).

    Args:
        num_classes: how many classes there are.
        width: channels of the first of five stages; the next ones have 2, 4, 8 and 8 times as many.
        adaptation: the network in front of it: a key of `veil.models.architectures.ADAPTATIONS`, or None.

    Raises:
        ValueError: for another adaptation.
    """

    def __init__(self, num_classes: int, width: int = 64, adaptation: str | None = None) -> None:
        super().__init__()
        self.width = width
        self.adaptation, inputs = adaptations.create(adaptation)
        layers: list[nn.Module] = []
        self.ends: dict[str, int] = {}
        for stage, (depth, factor) in enumerate(zip(DEPTHS, WIDTHS, strict=True), start=1):
            for number in range(1, depth + 1):
                outputs = factor * width
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
                self.ends[f"relu{stage}_{number}"] = len(layers)
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.layers(self.adaptation(x))).flatten(1))  # type: ignore[no-any-return]

    def until(self, x: Tensor, layer: str) -> Tensor:
        """Features after a layer, ``relu1_1`` to ``relu5_2``: (N, C, h, w).

        Raises:
            ValueError: where there is no such layer.
        """
        return self.layers[: self._end(layer)](self.adaptation(x))  # type: ignore[no-any-return]

    def after(self, features: Tensor, layer: str) -> Tensor:
        """Logits from the features that `until` returned; both together compute `forward` once."""
        return self.head(self.pool(self.layers[self._end(layer) :](features)).flatten(1))  # type: ignore[no-any-return]

    def _end(self, layer: str) -> int:
        if layer not in self.ends:
            raise ValueError(f"there is no layer {layer!r}; there are {', '.join(self.ends)}")
        return self.ends[layer]
