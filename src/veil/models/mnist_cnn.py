"""The digit classifier of Liu et al. 2019, section 5.1: two convolutional layers, one fully connected, a softmax.

The paper gives no sizes. These are those of the public notebook that its experiments follow: 5×5 convolutions to 16 and
36 channels, "same" padding, each with ReLU and 2×2 max-pooling, then 128 hidden units.
"""

from torch import Tensor, nn


class MnistCnn(nn.Module):
    """Maps grey images (N, 1, 28, 28) with values in [0, 1] to logits (N, num_classes)."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 36, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(36 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]
