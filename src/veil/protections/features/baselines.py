"""Baselines of section 4.3 of Li et al. 2019: noise on the raw images, and no adversarial training.

The second one is `veil.protections.features.train` with ``epochs=0``: obfuscator and classifier, trained without any
defence. For the first one networks are trained in the same way, on images with Gaussian noise. The paper makes the
noise as strong as it takes for an image to become just unrecognisable, and gives no deviation.
"""

import torch
from torch import Generator, Tensor

from veil import images
from veil.runtime.seeds import seed_of


def noisy(batch: Tensor, deviation: float, seed: int) -> Tensor:
    """Images with Gaussian noise, rounded to 8 bits.

    An image's noise comes from the seed and the image's own content: the same in any batch.

    Args:
        batch: uint8 (N, 3, H, W).
        deviation: of the noise, for values in [0, 1].

    Raises:
        ValueError: for other images, and a negative deviation.
    """
    images.require_batch(batch, "noise is added to")
    if deviation < 0:
        raise ValueError(f"a deviation must not be negative, unlike {deviation}")
    noisy_batch = torch.empty_like(batch)
    for place, image in enumerate(batch):
        generator = Generator().manual_seed(seed_of("noisy", seed, images.content_digest(image)))
        noise = torch.empty(image.shape).normal_(0, deviation, generator=generator)
        noisy_batch[place] = images.quantise((images.to_float(image.cpu()) + noise).clamp(0, 1))
    return noisy_batch
