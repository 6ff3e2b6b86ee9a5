"""Ciphers as a training takes them: a callable on a batch and a generator.

The images of a training with different keys get a fresh key each time that they are seen. Here these keys come from
the generator, that is from the seed of the training, so that a run that was stopped and goes on sees the same images as
one that was not. What leaves a client for good is encrypted by `veil encrypt`: its keys come from the operating system.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from veil.protections.ciphers.cipher import Cipher, Stream
from veil.protections.ciphers.keys import Key
from veil.protections.ciphers.pixel import PixelDifferent


def protection(cipher: Cipher) -> Callable[[Tensor, Generator], Tensor]:
    """What a training hands its batches to, uint8 (N, 3, H, W)."""
    if isinstance(cipher, PixelDifferent):
        return _different
    return lambda images, generator: cipher.encrypt(images)


def _different(images: Tensor, generator: Generator) -> Tensor:
    def stream() -> Stream:
        secret = torch.randint(256, (32,), generator=generator, dtype=torch.uint8)
        return Key(secret.numpy().tobytes()).stream("pixel", "image keys of a training")

    return PixelDifferent(stream).encrypt(images)
