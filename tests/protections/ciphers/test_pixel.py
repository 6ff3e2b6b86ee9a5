"""Pixel-based encryption against a slow version of the paper's words, its colour orders, and what breaks it."""

import hashlib
from collections import Counter

import numpy as np
import pytest
import torch
from drawn import images

from veil.protections.ciphers import PixelDifferent, PixelSame, pixel
from veil.protections.ciphers.keys import Key, throwaway

KEY = Key(bytes(range(32)))


class Given:
    """A key and a stream whose complements and colour orders a test chooses."""

    def __init__(self, bits: list[bool], orders: list[int]) -> None:
        self._bits, self._orders = bits, orders

    def stream(self, cipher: str, use: str) -> "Given":
        return self

    def bits(self, n: int) -> torch.Tensor:
        assert n == len(self._bits)
        return torch.tensor(self._bits)

    def integers(self, n: int, below: int) -> torch.Tensor:
        assert (n, below) == (len(self._orders), 6)
        return torch.tensor(self._orders)


def slow(image: np.ndarray, bits: list[bool], orders: list[int]) -> np.ndarray:
    """The cipher on one image (3, height, width)."""
    _, height, width = image.shape
    signs = np.array(bits).reshape(image.shape)
    out = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            colours = [255 - int(v) if sign else int(v) for v, sign in zip(image[:, y, x], signs[:, y, x], strict=True)]
            out[:, y, x] = [colours[channel] for channel in pixel.ORDERS[orders[y * width + x]]]
    return out


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16)])
def test_is_the_papers(size: tuple[int, int]) -> None:
    height, width = size
    stream = KEY.stream("pixel", f"{height}x{width}")
    bits, orders = stream.bits(3 * height * width).tolist(), stream.integers(height * width, 6).tolist()
    plain = images(2, *size)
    for before, after in zip(plain, PixelSame(KEY).encrypt(plain), strict=True):
        assert np.array_equal(after.numpy(), slow(before.numpy(), bits, orders))


def test_encrypts_tomorrow_as_today() -> None:
    ramp = (torch.arange(2 * 3 * 10 * 9) * 37 % 256).to(torch.uint8).view(2, 3, 10, 9)
    encrypted = PixelSame(KEY).encrypt(ramp)
    assert hashlib.sha256(encrypted.numpy().tobytes()).hexdigest()[:16] == "b57da656e9910f1f"


def in_place(colours: list[int], order: tuple[int, ...]) -> list[int]:
    """The common mistake."""
    colours = list(colours)
    for channel, source in enumerate(order):
        colours[channel] = colours[source]
    return colours


@pytest.mark.parametrize("order", range(6))
def test_no_order_loses_a_colour(order: int) -> None:
    plain = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1)
    cipher = PixelSame(Given([False] * 3, [order]))
    encrypted = cipher.encrypt(plain)
    assert encrypted.flatten().tolist() == [(10, 20, 30)[channel] for channel in pixel.ORDERS[order]]
    assert torch.equal(cipher.decrypt(encrypted), plain)
    assert (sorted(in_place([10, 20, 30], pixel.ORDERS[order])) == [10, 20, 30]) == (order == 0)


def test_orders_are_all_there_are() -> None:
    assert len(set(pixel.ORDERS)) == 6
    with pytest.raises(ValueError, match="no order"):
        pixel.exchanges_of((0, 0, 1))


def test_sizes_have_keys_of_their_own_that_are_drawn_once() -> None:
    asked = []

    class Counting:
        def stream(self, cipher: str, use: str) -> object:
            asked.append((cipher, use))
            return KEY.stream(cipher, use)

    cipher = PixelSame(Counting())
    for side in (8, 9, 8, 8, 9):
        cipher.encrypt(images(1, side, side))
    assert asked == [("pixel", "8x8"), ("pixel", "9x9")]


def test_different_keys_are_thrown_away() -> None:
    plain, cipher = images(1, 16, 16).repeat(4, 1, 1, 1), PixelDifferent()
    first, again = cipher.encrypt(plain), cipher.encrypt(plain)
    seen = {image.numpy().tobytes() for image in (*first, *again)}
    assert len(seen) == 8
    with pytest.raises(ValueError, match="thrown away"):
        cipher.decrypt(first)


def test_different_keys_are_48_alike() -> None:
    """All 48 ways of a pixel turn up equally often (chi-square of 47 degrees of freedom: 110 is beyond 1 in 10⁶)."""
    pixels = 48_000
    plain = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1).expand(12, 3, 40, pixels // 480)
    stream = KEY.stream("test", "different")
    encrypted = PixelDifferent(lambda: stream).encrypt(plain)
    counts = Counter(map(tuple, encrypted.permute(0, 2, 3, 1).reshape(-1, 3).tolist()))
    assert len(counts) == 48
    assert sum((count - pixels / 48) ** 2 / (pixels / 48) for count in counts.values()) < 110


def test_different_keys_do_not_repeat_within_an_image() -> None:
    """Neighbours, and the same pixel of neighbouring images, agree in 1 of 48 cases."""
    plain = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1).expand(20, 3, 64, 64)
    stream = KEY.stream("test", "repeat")
    encrypted = PixelDifferent(lambda: stream).encrypt(plain)
    for one, other in (
        (encrypted[1:], encrypted[:-1]),
        (encrypted[:, :, 1:], encrypted[:, :, :-1]),
        (encrypted[..., 1:], encrypted[..., :-1]),
        (encrypted[..., 8:], encrypted[..., :-8]),
    ):
        assert (one == other).all(1).float().mean() == pytest.approx(1 / 48, rel=0.05)


@pytest.mark.parametrize("cipher", [PixelSame(KEY), PixelDifferent(throwaway)], ids=repr)
def test_features_show_without_a_key(cipher: PixelSame | PixelDifferent) -> None:
    """The threat model's word for it: min(v, 255 - v) stays, but for the order of colours."""
    plain = images(3, 24, 24)
    encrypted = cipher.encrypt(plain)
    features = [torch.where(v <= 127, v, 255 - v).sort(1).values for v in (plain, encrypted)]
    assert torch.equal(*features)


def test_key_space() -> None:
    assert pixel.key_space(1, 1) == 48
    assert pixel.key_space(32, 32) == 48**1024
    assert pixel.key_bits(32, 32) == pytest.approx(5719, abs=1)
