"""Images to encrypt."""

import torch


def images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """uint8 (count, 3, height, width), every value drawn alike."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)
