"""Writes small model cards for tests."""

from pathlib import Path

import torch
from safetensors.torch import save_file

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
    """A random residual network that a few grey levels sway: it looks at edges and is sure of itself."""
    torch.manual_seed(seed)
    made = ResidualNet(10, stem=8, widths=(16,), depths=(1,)).eval()
    with torch.no_grad():
        first = made.stem[0]
        assert isinstance(first, torch.nn.Conv2d)
        first.weight.sub_(first.weight.mean((2, 3), keepdim=True)).mul_(6)
        made.head.weight.mul_(40)
    return made


def write(folder: Path, name: str = "small", seed: int = 0, card: str = CARD) -> Path:
    """A card with weights and labels beside it; returns the card's path."""
    save_file(network(seed).state_dict(), folder / f"{name}.safetensors")
    (folder / f"{name}.txt").write_text("".join(f"thing {k}\n" for k in range(10)))
    path = folder / f"{name}.toml"
    path.write_text(card.format(name=name))
    return path
