"""Streams against a slow implementation of the same definition in plain Python; their statistics; their speed."""

import copy
import hmac
import os
import pickle
import struct
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from veil.protections.ciphers.keys import Key, Stream, throwaway

SECRET = bytes(range(32))


def hkdf(secret: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 without salt, for at most 32 bytes."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:length]


def chacha20_block(key: bytes, counter: int, nonce: bytes = bytes(12)) -> bytes:
    """RFC 8439, section 2.3."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter]
    start += struct.unpack("<3I", nonce)
    state = list(start)

    def add_xor_turn(a: int, b: int, c: int, turn: int) -> None:
        state[a] = (state[a] + state[b]) & 0xFFFFFFFF
        mixed = state[c] ^ state[a]
        state[c] = (mixed << turn | mixed >> 32 - turn) & 0xFFFFFFFF

    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            add_xor_turn(a, b, d, 16)
            add_xor_turn(c, d, b, 12)
            add_xor_turn(a, b, d, 8)
            add_xor_turn(c, d, b, 7)
    return struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in zip(state, start, strict=True)))


class Reference:
    """The definition at the head of `veil.protections.ciphers.keys.streams`, value by value."""

    def __init__(self, secret: bytes, cipher: str, use: str) -> None:
        subkey = hkdf(secret, f"veil key 1 stream\0{cipher}\0{use}".encode(), 32)

        def endless() -> Iterator[int]:
            counter = 0
            while True:
                yield from chacha20_block(subkey, counter)
                counter += 1

        self.stream = endless()

    def bytes(self, n: int) -> bytes:
        return bytes(next(self.stream) for _ in range(n))

    def bits(self, n: int) -> list[bool]:
        return [bool(byte >> place & 1) for byte in self.bytes((n + 7) // 8) for place in range(8)][:n]

    def numbers(self, tops: list[int]) -> list[int]:
        found: dict[int, int] = {}
        size = next(size for size in (1, 2, 4, 8) if max(tops, default=0) < 256**size)
        while len(found) < len(tops):
            for k in [k for k in range(len(tops)) if k not in found]:
                number = int.from_bytes(self.bytes(size), "little") % 2 ** tops[k].bit_length()
                if number <= tops[k]:
                    found[k] = number
        return [found[k] for k in range(len(tops))]

    def integers(self, n: int, below: int) -> list[int]:
        return self.numbers([below - 1] * n)

    def permutation(self, n: int) -> list[int]:
        order = list(range(n))
        for k, v in enumerate(self.numbers([n - 1 - k for k in range(n - 1)])):
            order[n - 1 - k], order[v] = order[v], order[n - 1 - k]
        return order


def stream(use: str = "use", cipher: str = "test") -> Stream:
    return Key(SECRET).stream(cipher, use)


def reference(use: str = "use", cipher: str = "test") -> Reference:
    return Reference(SECRET, cipher, use)


def test_the_reference_is_right() -> None:
    """RFC 8439, section 2.3.2; RFC 5869, test case 3."""
    block = chacha20_block(SECRET, 1, bytes.fromhex("000000090000004a00000000"))
    assert block.hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c06803")
    assert hkdf(b"\x0b" * 22, b"", 32).hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


def test_vectors() -> None:
    """The same as in docs/keys.md."""
    key = Key(SECRET)
    assert key.fingerprint == hkdf(SECRET, b"veil key 1 fingerprint", 8).hex() == "7d5a0d340ea42b93"
    assert key.stream("pixel", "flips").bytes(16).hex() == Reference(SECRET, "pixel", "flips").bytes(16).hex()
    assert key.stream("pixel", "flips").bytes(16).hex() == "eb11019f16d53671ca8d308a9de8a0d7"
    assert key.stream("pixel", "flips").bits(12).int().tolist() == [1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0]
    assert key.stream("pixel", "colours").integers(10, 6).tolist() == [2, 2, 1, 2, 4, 0, 4, 0, 2, 2]
    assert key.stream("tanaka", "order").permutation(10).tolist() == [8, 0, 1, 3, 7, 6, 2, 5, 4, 9]


calls = st.one_of(
    st.tuples(st.just("bytes"), st.integers(0, 100)),
    st.tuples(st.just("bits"), st.integers(0, 300)),
    st.tuples(st.just("integers"), st.integers(0, 30), st.integers(1, 63).flatmap(lambda b: st.integers(1, 2**b))),
    st.tuples(st.just("permutation"), st.integers(0, 40)),
)


@given(secret=st.binary(min_size=32, max_size=32), use=st.text("az ~0", min_size=1), calls=st.lists(calls, max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_calls_in_any_order_are_the_references(secret: bytes, use: str, calls: list[tuple[str, int]]) -> None:
    ours, theirs = Key(secret).stream("any", use), Reference(secret, "any", use)
    for name, *arguments in calls:
        found, expected = getattr(ours, name)(*arguments), getattr(theirs, name)(*arguments)
        assert (found if name == "bytes" else found.tolist()) == expected, name


@pytest.mark.parametrize("below", [1, 2, 3, 256, 257, 2**16, 2**16 + 1, 2**32, 2**32 + 1, 2**63 - 1, 2**63])
def test_integers_of_every_word_size(below: int) -> None:
    assert stream().integers(20, below).tolist() == reference().integers(20, below)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 256, 257, 700])
def test_permutations_of_every_word_size(n: int) -> None:
    permuted = stream().permutation(n)
    assert permuted.tolist() == reference().permutation(n)
    assert permuted.sort().values.tolist() == list(range(n))


def test_kinds_and_shapes() -> None:
    drawn = stream()
    assert drawn.bits(13).dtype == torch.bool
    assert drawn.integers(5, 7).dtype == drawn.permutation(5).dtype == torch.int64
    assert drawn.bits(13).shape == (13,)
    assert drawn.bits(0).shape == drawn.integers(0, 5).shape == drawn.permutation(0).shape == (0,)
    drawn.bits(8).logical_not_()
    drawn.integers(8, 9).add_(1)


def test_wrong_numbers_are_refused() -> None:
    drawn = stream()
    for wrong in (drawn.bytes, drawn.bits, drawn.permutation, lambda n: drawn.integers(n, 5)):
        with pytest.raises(ValueError, match="-1 values"):
            wrong(-1)
    for below in (0, -1, 2**63 + 1):
        with pytest.raises(ValueError, match="below"):
            drawn.integers(1, below)


@pytest.mark.parametrize("name", ["", "über", "a\0b", "a\n", "\x7f"])
def test_names_are_printable_ascii(name: str) -> None:
    for wrong in ((name, "use"), ("cipher", name)):
        with pytest.raises(ValueError, match="printable ASCII"):
            Key(SECRET).stream(*wrong)


def test_domains_share_nothing() -> None:
    names = [("a", "b"), ("b", "a"), ("a", "bb"), ("ab", "b"), ("a b", "c"), ("a", "b c"), ("a", " b"), ("a ", "b")]
    bits = torch.stack([Key(secret).stream(*each).bits(20_000) for each in names for secret in (SECRET, SECRET[::-1])])
    alike = (2 * bits.double() - 1).corrcoef().fill_diagonal_(0)
    assert alike.abs().max() < 5 / 20_000**0.5
    assert len({tuple(row[:64].tolist()) for row in bits}) == 16


def test_bits_are_balanced() -> None:
    bits = stream().bits(1_000_000).view(-1, 8).double()
    assert (bits.mean() - 0.5).abs() < 4 * 0.5 / 1e6**0.5
    assert (bits.mean(0) - 0.5).abs().max() < 4 * 0.5 / 125_000**0.5


@pytest.mark.parametrize(("below", "limit"), [(2, 10.8), (3, 13.8), (6, 20.5), (200, 267.5)])
def test_integers_are_uniform(below: int, limit: float) -> None:
    """χ² against its 0.999 quantile; the key is fixed, so the result is too."""
    counts = stream("uniform").integers(60_000, below).bincount(minlength=below).double()
    expected = 60_000 / below
    assert float(((counts - expected) ** 2 / expected).sum()) < limit


def test_permutations_are_uniform() -> None:
    drawn = stream("shuffles")
    counts = Counter(tuple(drawn.permutation(3).tolist()) for _ in range(3000))
    assert len(counts) == 6
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 20.5


def test_large_outputs_are_fast() -> None:
    started = time.process_time()
    assert stream().bits(3 * 1024 * 1024 * 16).shape == (50_331_648,)
    assert time.process_time() - started < 1
    started = time.process_time()
    assert stream().integers(4_000_000, 6).max() == 5
    permuted = stream().permutation(1_000_000)
    assert time.process_time() - started < 4
    assert torch.equal(permuted.sort().values, torch.arange(1_000_000))


def test_throwaway_streams_differ() -> None:
    assert len({throwaway().bytes(16) for _ in range(10)}) == 10
    assert repr(throwaway()) == "Stream(throwaway)"
    assert repr(stream()) == "Stream(test, use)"


def test_a_stream_is_not_copied() -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            attempt(stream())


def test_a_stream_stays_in_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was forked would draw what its parent draws."""
    drawn = throwaway()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="in every process"):
        drawn.bits(8)
