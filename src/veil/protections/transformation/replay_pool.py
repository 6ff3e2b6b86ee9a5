"""Images that a generator made earlier, which discriminators are shown again (Shrivastava et al. 2017), as CycleGAN
keeps them."""

import torch
from torch import Generator, Tensor, nn


class ReplayPool(nn.Module):
    """Some images that a generator made earlier; they are part of a training's checkpoint.

    Args:
        size: how many; 0 keeps none.
        shape: of an image.
    """

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.kept: Tensor
        self.filled: Tensor

    def exchange(self, generated: Tensor, generator: Generator) -> Tensor:
        """Keeps the first images that come; then half of the new ones take the place of kept ones, which are shown.

        Args:
            generated: (N, C, H, W); not changed.
        """
        size, filled = len(self.kept), int(self.filled)
        if not size:
            return generated
        shown = generated.clone()
        fill = min(size - filled, len(generated))
        self.kept[filled : filled + fill] = generated[:fill].float()
        self.filled += fill
        rest = torch.arange(fill, len(generated))
        rest = rest[torch.rand(len(rest), generator=generator) < 0.5][:size]
        places = torch.randperm(size, generator=generator)[: len(rest)]
        shown[rest] = self.kept[places].to(generated.dtype)
        self.kept[places] = generated[rest].float()
        return shown
