"""Small classifiers with known answers."""

import torch
from torch import Tensor, nn

from veil.models.classifier import Classifier, Preprocessing


class Linear(nn.Module):
    """Logits are a matrix times the flattened input."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T


def linear(weight: Tensor, side: int, name: str = "linear") -> Classifier:
    """A linear classifier of grey ``side`` × ``side`` images; ``weight`` is (K, side²)."""
    preprocessing = Preprocessing(resize=(side, side), mean=(0.0,), std=(1.0,))
    return Classifier(name, Linear(weight), preprocessing, [f"class {k}" for k in range(len(weight))])


def convolutional(seed: int = 0, classes: int = 10, side: int = 24, name: str = "convolutional") -> Classifier:
    """A small random convolutional network that takes colour photos of any size."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * (side // 4) ** 2, classes),
    )  # fmt: skip
    with torch.no_grad():
        # Edges count and brightness does not, so that little noise goes far, as in trained networks.
        network[0].weight.sub_(network[0].weight.mean((2, 3), keepdim=True)).mul_(4)
        network[-1].weight.mul_(20)
    preprocessing = Preprocessing(resize=side, crop=side, mean=(0.5,) * 3, std=(0.25,) * 3)
    return Classifier(name, network, preprocessing, [f"class {k}" for k in range(classes)])


def photos(count: int, seed: int = 0, channels: int = 3) -> list[Tensor]:
    """Smooth random uint8 photos of various sizes."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        size = (20 + 7 * (number % 5), 26 + 5 * (number % 4))
        coarse = torch.rand(1, channels, 4, 4, generator=generator)
        fine = nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
        made.append(fine[0].mul(255).round().to(torch.uint8))
    return made
