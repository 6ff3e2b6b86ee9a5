"""A transformation network that takes no time, as a file."""

from pathlib import Path

import torch

from veil.models.unet import UNet
from veil.protections.transformation.file import Transformation


def tiny(file: Path, seed: int = 0) -> Transformation:
    """Writes a network of width 8 with drawn weights, and reads it as everybody else does: its weights are rounded."""
    torch.manual_seed(seed)
    network = UNet(8)
    torch.nn.init.normal_(network.head.weight)  # else every image becomes nearly the same grey
    Transformation(name="tiny", network=network, method="unet", training={"epochs": 2}).save(file)
    return Transformation.load(file)
