"""Tanaka's cipher against a slow version of the paper's words, its key space, and what breaks it."""

import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from drawn import images

from veil.protections.ciphers import Tanaka, TanakaSettings, tanaka
from veil.protections.ciphers.keys import Key

KEY = Key(bytes(range(32)))
REFERENCE = TanakaSettings(reversal="permutation")


def slow(image: np.ndarray, permutation: list[int], reversal: list[bool]) -> np.ndarray:
    """The cipher on one image (height, width, 3) whose sides are multiples of 4."""
    out = np.empty_like(image)
    for top in range(0, image.shape[0], 4):
        for left in range(0, image.shape[1], 4):
            flat = [int(value) for value in image[top : top + 4, left : left + 4].reshape(-1)]
            nibbles = [value % 16 for value in flat] + [value // 16 for value in flat]
            nibbles = [15 - v if rev else v for v, rev in zip(nibbles, reversal, strict=True)]
            nibbles = [nibbles[source] for source in permutation]
            nibbles = [15 - v if rev else v for v, rev in zip(nibbles, reversal, strict=True)]
            merged = [nibbles[i] + 16 * nibbles[48 + i] for i in range(48)]
            out[top : top + 4, left : left + 4] = np.array(merged, np.uint8).reshape(4, 4, 3)
    return out


@pytest.mark.parametrize("settings", [TanakaSettings(), REFERENCE])
@pytest.mark.parametrize("size", [(4, 4), (12, 20), (7, 9), (1, 1)])
def test_is_the_papers(settings: TanakaSettings, size: tuple[int, int]) -> None:
    permutation = KEY.stream("tanaka", "permutation").permutation(96).tolist()
    if settings.reversal == "key":
        reversal = KEY.stream("tanaka", "reversal").bits(96).tolist()
    else:
        reversal = [entry > 48 for entry in permutation]
    plain = images(2, *size)
    encrypted = Tanaka(KEY, settings).encrypt(plain)
    for before, after in zip(plain, encrypted, strict=True):
        height, width = tanaka.encrypted_size(*size)
        edges = ((0, height - size[0]), (0, width - size[1]), (0, 0))
        padded = np.pad(before.permute(1, 2, 0).numpy(), edges, mode="edge")
        assert np.array_equal(after.permute(1, 2, 0).numpy(), slow(padded, permutation, reversal))


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        (TanakaSettings(), "8da562bff2ed528b"),
        (REFERENCE, "78b3f9f0cc19f04d"),
    ],
)
def test_encrypts_tomorrow_as_today(settings: TanakaSettings, digest: str) -> None:
    ramp = (torch.arange(2 * 3 * 10 * 9) * 37 % 256).to(torch.uint8).view(2, 3, 10, 9)
    encrypted = Tanaka(KEY, settings).encrypt(ramp)
    assert hashlib.sha256(encrypted.numpy().tobytes()).hexdigest()[:16] == digest


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="key, permutation"):
        TanakaSettings(reversal="none")  # type: ignore[arg-type]


def test_sizes_that_it_never_gives_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        Tanaka(KEY).decrypt(images(1, 8, 6))


def test_key_space() -> None:
    assert tanaka.key_space() == math.factorial(96) * 2**96
    assert tanaka.key_bits() == pytest.approx(594.277, abs=0.001)


@pytest.mark.parametrize("nibbles", [1, 2, 3, 4])
def test_equivalent_keys_are_counted(nibbles: int) -> None:
    found = set()
    for permutation in itertools.permutations(range(nibbles)):
        for reversal in itertools.product((0, 1), repeat=nibbles):
            shows = tuple(reversal[i] ^ reversal[permutation[i]] for i in range(nibbles))
            found.add((permutation, shows))
    assert tanaka.different_ciphers(nibbles) == len(found)


def nibbles_by_place(batch: torch.Tensor) -> np.ndarray:
    """(96, number of blocks)."""
    blocks = batch.unflatten(3, (-1, 4)).unflatten(2, (-1, 4)).permute(3, 5, 1, 0, 2, 4).reshape(48, -1).numpy()
    return np.concatenate([blocks & 15, blocks >> 4])


def test_one_known_image_gives_the_key() -> None:
    """The threat model's word for it: read off where each nibble went, and decrypt another image."""
    cipher = Tanaka(KEY)
    known, other = images(1, 32, 32, seed=1), images(1, 16, 16, seed=2)
    before, after = nibbles_by_place(known), nibbles_by_place(cipher.encrypt(known))
    places = {row.tobytes(): (i, 0) for i, row in enumerate(before)}
    places |= {(15 - row).tobytes(): (i, 15) for i, row in enumerate(before)}
    found = [places[row.tobytes()] for row in after]
    hidden, read = nibbles_by_place(cipher.encrypt(other)), np.empty((96, 16), np.uint8)
    for row, (place, flip) in zip(hidden, found, strict=True):
        read[place] = row ^ flip
    assert np.array_equal(read, nibbles_by_place(other))


def test_equal_blocks_stay_equal() -> None:
    flat = torch.tensor([10, 200, 30], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 12)
    encrypted = Tanaka(KEY).encrypt(flat)
    assert torch.equal(encrypted, encrypted[:, :, :4, :4].repeat(1, 1, 2, 3))
