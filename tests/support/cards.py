"""Writes small model cards for tests."""

from pathlib import Path

import torch
from networks import photos
from safetensors.torch import save_file
from torch.nn import functional as F

from veil.models.residual import ResidualNet

CARD = """
name = "{name}"
architecture = "veil/residual"
weights = "{name}.safetensors"
labels = "{name}.txt"
[options]
num_classes = 10
stem = 8
widths = [16]
depths = [1]
[input]
resize = 32
crop = 32
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
"""


def network(seed: int = 0) -> ResidualNet:
    """A random residual network that a few grey levels sway, as they do trained ones.

    Its head is centred on photos and scaled up; else what all photos share would decide for one class.
    """
    torch.manual_seed(seed)
    made = ResidualNet(10, stem=8, widths=(16,), depths=(1,)).eval()
    seen = torch.stack([F.interpolate(p[None] / 255, (32, 32))[0] for p in photos(32, seed=99)])
    with torch.no_grad():
        first = made.stem[0]
        assert isinstance(first, torch.nn.Conv2d)
        first.weight.sub_(first.weight.mean((2, 3), keepdim=True))
        made.head.weight.mul_(3 / made((seen - 0.5) / 0.25).std(0).mean())
        made.head.bias.sub_(made((seen - 0.5) / 0.25).mean(0))
    return made


def write(folder: Path, name: str = "small", seed: int = 0, card: str = CARD) -> Path:
    """A card with weights and labels beside it; returns the card's path."""
    save_file(network(seed).state_dict(), folder / f"{name}.safetensors")
    (folder / f"{name}.txt").write_text("".join(f"thing {k}\n" for k in range(10)))
    path = folder / f"{name}.toml"
    path.write_text(card.format(name=name))
    return path
