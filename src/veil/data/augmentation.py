"""Augmentation of whole batches: pure functions of float [0, 1] NCHW images and an explicit generator.

Every image of a batch draws its own parameters; all of them are applied by a handful of tensor operations.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.empty(count).uniform_(low, high, generator=generator)


def random_resized_crop(
    images: Tensor,
    size: int,
    generator: Generator,
    *,
    area: tuple[float, float] = (0.3, 1.0),
    flip: bool = True,
) -> Tensor:
    """Crops a random part of each image and resizes it to ``size`` × ``size``; mirrors half of them.

    Szegedy et al. 2015 (https://arxiv.org/abs/1409.4842, section 6): area uniform in ``area``, aspect ratio
    log-uniform in 3/4 … 4/3. Bilinear without antialiasing, because crops are about as large as the result.
    """
    count = len(images)
    ratio = torch.exp(_uniform(count, math.log(3 / 4), math.log(4 / 3), generator))
    fraction = _uniform(count, *area, generator)
    width = (fraction * ratio).sqrt().clamp(max=1)
    height = (fraction / ratio).sqrt().clamp(max=1)
    # In the coordinates of affine_grid, where an image spans [-1, 1].
    left = _uniform(count, -1, 1, generator) * (1 - width)
    top = _uniform(count, -1, 1, generator) * (1 - height)
    if flip:
        width = width * torch.where(_uniform(count, 0, 1, generator) < 0.5, -1.0, 1.0)
    zero = torch.zeros(count)
    theta = torch.stack([torch.stack([width, zero, left], 1), torch.stack([zero, height, top], 1)], 1)
    grid = F.affine_grid(theta.to(images), [count, images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def colour_jitter(images: Tensor, generator: Generator, *, strength: float = 0.3) -> Tensor:
    """Scales brightness, contrast and saturation of each image by factors within 1 ± ``strength``."""
    shape = (-1, 1, 1, 1)
    brightness, contrast, saturation = (
        _uniform(len(images), 1 - strength, 1 + strength, generator).to(images).view(shape) for _ in range(3)
    )
    images = images * brightness
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * contrast
    grey = images.mean(1, keepdim=True)
    return (grey + (images - grey) * saturation).clamp(0, 1)


def cutmix(images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor, float]:
    """Pastes one random box of a shuffled batch into the batch (Yun et al. 2019, https://arxiv.org/abs/1905.04899).

    Returns:
        The mixed images, the labels of the pasted parts, and the share of each image that remains its own.
    """
    height, width = images.shape[-2:]
    order = torch.randperm(len(images), generator=generator)
    side = math.sqrt(1 - float(_uniform(1, 0, 1, generator)))
    box_h, box_w = round(height * side), round(width * side)
    top = int(torch.randint(0, height - box_h + 1, (1,), generator=generator))
    left = int(torch.randint(0, width - box_w + 1, (1,), generator=generator))
    mixed = images.clone()
    box = (..., slice(top, top + box_h), slice(left, left + box_w))
    mixed[box] = images[order][box]
    return mixed, labels[order], 1 - box_h * box_w / (height * width)


def crop_and_flip(images: Tensor, generator: Generator, *, padding: int = 4, flip: bool = True) -> Tensor:
    """Shifts each image by up to ``padding`` pixels, filled with black, and mirrors half of them.

    The augmentation of He et al. 2016 (https://arxiv.org/abs/1512.03385, section 4.2) for CIFAR: a random crop of the
    padded image, as large as it was.

    Args:
        images: (N, C, H, W) of any type, on any device; random numbers are the same on all devices.
        generator: on the CPU.
    """
    count, _, height, width = images.shape
    place = torch.arange(count, device=images.device)
    if padding:
        top, left = (torch.randint(2 * padding + 1, (count,), generator=generator).to(images.device) for _ in range(2))
        padded = F.pad(images, (padding,) * 4)
        images = padded.unfold(2, height, 1).unfold(3, width, 1)[place, :, top, left]
    if flip:
        mirrored = torch.rand(count, generator=generator).lt(0.5).to(images.device)
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    return images
