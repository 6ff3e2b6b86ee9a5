"""A network whose values overflow for one kind of photo, and such a photo among others."""

from pathlib import Path

import cards
import torch
from networks import photos
from PIL import Image
from safetensors.torch import load_file, save_file

LOUD = "loud.png"
"""The photo without a finite answer."""


def write(folder: Path, name: str = "overflowing") -> Path:
    """A card: logits are finite for smooth photos, and beyond the range of float32 for stripes of black and white."""
    card = cards.write(folder, name)
    weights = load_file(folder / f"{name}.safetensors")
    weights["stem.0.weight"] *= 130
    weights["head.weight"] *= 4.4e36 / weights["head.weight"].abs().max()
    weights["head.bias"].zero_()
    save_file(weights, folder / f"{name}.safetensors")
    return card


def photo_folder(folder: Path, count: int = 3, size: tuple[int, int] = (32, 40)) -> Path:
    """Some smooth photos of one size, and the loud one."""
    folder.mkdir(parents=True)
    for number, pixels in enumerate(photos(count)):
        resized = torch.nn.functional.interpolate(pixels[None].float(), size, mode="bilinear")[0]
        Image.fromarray(resized.round().to(torch.uint8).permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
    stripes = torch.zeros(*size, 3, dtype=torch.uint8)
    stripes[:, ::2] = 255
    stripes[::2] = 255 - stripes[::2]
    Image.fromarray(stripes.numpy()).save(folder / LOUD)
    return folder
