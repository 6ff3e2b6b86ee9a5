"""Layers with unshared weights at every position, to invert ciphers with a separate key at every position.

For the attack with unshared weights (UWA; Sirichotedumrong, Kinoshita and Kiya, "On the security of pixel-based image
encryption for privacy-preserving deep neural networks", GCCE 2019), whose generator is `UnsharedPixels`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

NOISE = 0.01
_TOGETHER = 2**17  # numbers, half a megabyte of float32: calls cost little beside them, and a cache holds them


class _LocalProduct(torch.autograd.Function):
    """y[n, o] = Σᵢ weight[o, i]·x[n, i] + bias[o] at every position, of (N, I, H, W), (O, I, H, W) and (O, H, W).

    The matrices are tiny and many, and a batched matrix product is slow at that (`benchmarks/attacks.py`). Here each
    channel is one product, element by element, over all images and positions; for the gradient of the weights a few
    images at a time are one over all channels and positions. They are added up in place, so that no memory is taken
    beyond what the results and `_TOGETHER` numbers need.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        ctx.save_for_backward(x, weight)
        y = torch.addcmul(bias, x[:, :1], weight[:, 0])
        for i in range(1, weight.shape[1]):
            y.addcmul_(x[:, i : i + 1], weight[:, i])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_y = gradients[0].contiguous()
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = of_y[:, :1] * weight[0]
            for o in range(1, len(weight)):
                of_x.addcmul_(of_y[:, o : o + 1], weight[o])
        if ctx.needs_input_grad[1]:
            together = max(1, min(len(x), _TOGETHER // weight.numel()))
            sums = weight.new_zeros(together, *weight.shape)
            for some, images in zip(*(torch.split(values, together) for values in (of_y, x)), strict=True):
                sums[: len(images)].addcmul_(some.unsqueeze(2), images.unsqueeze(1))
            of_weight = sums.sum(0)
        if ctx.needs_input_grad[2]:
            of_bias = of_y.sum(0)
        return of_x, of_weight, of_bias


class LocallyConnected(nn.Module):
    """A 1×1 convolution whose weights are not shared: (N, inputs, height, width) to (N, outputs, height, width).

    At row y and column x the matrix is ``weight[:, :, y, x]`` and the bias ``bias[:, y, x]``. Both start uniformly
    within ±1 / √inputs, like PyTorch's convolutions.

    It computes in the type of its weights, even under autocast, because bfloat16 would round away what an exact
    inversion needs. It has no second derivative.

    Args:
        inputs, outputs: channels.
        height, width: of the images, in pixels.

    Raises:
        ValueError: for a number that is not positive; in use, for images of another shape.
    """

    def __init__(self, inputs: int, outputs: int, height: int, width: int) -> None:
        super().__init__()
        if min(inputs, outputs, height, width) < 1:
            raise ValueError(f"channels and sides are positive, not {inputs}, {outputs} and {height}×{width}")
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs, height, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs, height, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1:] != self.weight.shape[1:]:
            takes = ", ".join(map(str, self.weight.shape[1:]))
            raise ValueError(f"weights at every position take (N, {takes}), not {tuple(x.shape)}")
        return _LocalProduct.apply(x.to(self.weight.dtype), self.weight, self.bias)  # type: ignore[no-any-return,no-untyped-call]


class UnsharedPixels(nn.Module):
    """An affine map for every pixel, or block of pixels: images in [0, 1], (N, 3, height, width), to the same shape.

    With ``side`` 1 each pixel has 3×3 + 3 weights, which can undo any permutation of its colours and complement of its
    values exactly; with ``side`` 4 each block has 48×48 + 48, which can do so for the bytes of a block, though not for
    halves of bytes that Tanaka's cipher moves apart. The middle of the range, ½, is its zero, so that a complement is a
    change of sign. It starts at the identity plus normal noise of standard deviation `NOISE` / √inputs.

    The result is not clamped to [0, 1], because a clamp has no gradient outside; callers that write images clamp it.

    Each position learns from itself alone, so that a loss which is a mean over positions divides every gradient by
    their number. For a learning rate that suits images of all sizes, sum over positions and average over images.

    Args:
        height, width: of the images, multiples of ``side``, in pixels.
        side: of a block, in pixels.

    Raises:
        ValueError: for other numbers; in use, for images of another shape.
    """

    def __init__(self, height: int, width: int, side: int = 1) -> None:
        super().__init__()
        if side < 1 or height % side or width % side:
            raise ValueError(f"images of {height}×{width} do not divide into blocks of {side}×{side}")
        self.size = height, width
        self.unshuffle: nn.Module = nn.PixelUnshuffle(side) if side > 1 else nn.Identity()  # which would copy
        self.shuffle: nn.Module = nn.PixelShuffle(side) if side > 1 else nn.Identity()
        values = 3 * side**2
        self.maps = LocallyConnected(values, values, height // side, width // side)
        with torch.no_grad():
            nn.init.normal_(self.maps.weight, std=NOISE * values**-0.5)
            self.maps.weight.add_(torch.eye(values)[:, :, None, None])
            self.maps.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4 or images.shape[1:] != (3, *self.size):
            height, width = self.size
            raise ValueError(f"these weights are for images (N, 3, {height}, {width}), not {tuple(images.shape)}")
        return self.shuffle(self.maps(self.unshuffle(images - 0.5))) + 0.5  # type: ignore[no-any-return]
