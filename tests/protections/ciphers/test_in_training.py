"""Ciphers as a training calls them: what they do to a batch; different keys follow from the generator alone."""

import pytest
import torch
from torch import Generator

from veil.protections import PROTECTIONS
from veil.protections.ciphers import PixelDifferent
from veil.protections.ciphers.keys import Key

BATCH = torch.randint(0, 256, (40, 3, 64, 64), dtype=torch.uint8, generator=Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["tanaka", "pixel-same"])
def test_a_keyed_cipher_encrypts_as_ever(name: str) -> None:
    cipher = PROTECTIONS[name].cipher(Key(bytes(32)))
    assert cipher(BATCH, Generator()).equal(cipher.encrypt(BATCH))


def test_different_keys_follow_from_the_generator() -> None:
    protect = PixelDifferent()
    first, again, other = (protect(BATCH, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.eq(other).all(0).any()
    folded = [torch.minimum(images, 255 - images).sort(1).values for images in (BATCH, first)]
    assert folded[0].equal(folded[1])


def test_different_keys_do_not_depend_on_threads() -> None:
    protect = PixelDifferent()
    batch = BATCH.repeat(20, 1, 1, 1)  # several pieces
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 4):
            torch.set_num_threads(number)
            found.append(protect(batch, Generator().manual_seed(0)))
    finally:
        torch.set_num_threads(threads)
    assert found[0].equal(found[1])
