"""Many small photos out of the few that anybody may show."""

import torch
from torch import Tensor

from veil.recipes import free_photos


def crops(name: str, count: int, side: int = 32) -> Tensor:
    """Parts of a photo at several sizes, half of them mirrored: uint8 (count, 3, side, side)."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(count):
        whole = free_photos.read(name, (2 + number % 3) * side)
        top, left = (int(torch.randint(whole.shape[1] - side + 1, (), generator=generator)) for _ in range(2))
        part = whole[:, top : top + side, left : left + side]
        found.append(part.flip(2) if number % 2 else part)
    return torch.stack(found)
