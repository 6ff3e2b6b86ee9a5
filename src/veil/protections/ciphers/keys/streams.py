"""Secret random values from a key: bytes, bits, integers, permutations.

**Expansion**, version 1. Subkeys are derived by HKDF-SHA256 (RFC 5869) without salt, the secret being the input key
material; texts are ASCII, and ``\\0`` is a zero byte::

    fingerprint = HKDF(secret, info="veil key 1 fingerprint", 8 bytes), in hexadecimal digits
    subkey      = HKDF(secret, info="veil key 1 stream\\0" + cipher + "\\0" + use, 32 bytes)
    stream      = the key stream of ChaCha20 (RFC 8439) under subkey; nonce of zeros, block counter from 0

Every call takes the bytes that follow those of the call before:

- ``bytes(n)``: the next n bytes.
- ``bits(n)``: the next ⌈n/8⌉ bytes, each from its lowest bit to its highest; bits beyond n are dropped.
- Numbers v_k from 0 to t_k, for k = 0, 1, …: a word is the least of 1, 2, 4 and 8 bytes that holds the largest t_k,
  little endian. In rounds, every k that has no number yet, in ascending order, takes the next word and keeps its lowest
  b bits, b being the length of t_k in binary (0 for t_k = 0); this is v_k, unless it is larger than t_k.
- ``integers(n, below)``: n numbers with t_k = below − 1.
- ``permutation(n)``: n − 1 numbers with t_k = n − 1 − k; then, from the list 0, 1, …, n − 1, for every k in turn, swap
  the elements at n − 1 − k and v_k (Fisher and Yates).
"""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from veil.protections.ciphers.keys.secret import Hidden
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SIZE = 32


class Stream:
    """Secret random values, the same for the same key, cipher, use and order of calls; at most 256 GiB.

    Values are on the CPU. A stream is for one thread of the process that made it: two processes that go on with one
    stream would use the same values twice.
    """

    __slots__ = ("_generator", "_name", "_process")

    def __init__(self, subkey: Hidden, name: str) -> None:
        self._name = name
        self._generator = Cipher(algorithms.ChaCha20(subkey.reveal(), bytes(16)), mode=None).encryptor()
        self._process = os.getpid()

    def bytes(self, n: int) -> bytes:
        """The next ``n`` bytes."""
        if os.getpid() != self._process:
            raise RuntimeError("a stream belongs to the process that made it; make one in every process")
        return self._generator.update(bytes(_count(n)))

    def bits(self, n: int) -> Tensor:
        """Fair bits: bool (n,)."""
        drawn = np.frombuffer(self.bytes((_count(n) + 7) // 8), np.uint8)
        return torch.from_numpy(np.unpackbits(drawn, count=n, bitorder="little").view(np.bool_))

    def integers(self, n: int, below: int) -> Tensor:
        """Integers from 0 to ``below`` − 1, all equally likely: int64 (n,). ``below`` is 1 to 2⁶³."""
        if not 1 <= below <= 1 << 63:
            raise ValueError(f"integers are drawn below 1 to 2^63, not {below}")
        return torch.from_numpy(self._numbers(_count(n), np.array([below - 1], np.uint64)))

    def permutation(self, n: int) -> Tensor:
        """The numbers 0 to ``n`` − 1 in an order of which all are equally likely: int64 (n,)."""
        order = list(range(_count(n)))
        chosen = self._numbers(max(n - 1, 0), np.arange(n - 1, 0, -1, dtype=np.uint64))
        for i, j in zip(range(n - 1, 0, -1), chosen.tolist(), strict=True):
            order[i], order[j] = order[j], order[i]
        return torch.tensor(order, dtype=torch.int64)

    def _numbers(self, n: int, top: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Numbers from 0 to ``top``, that being one bound for all of them or ``n``."""
        if n == 0:
            return np.empty(0, np.int64)
        mask = top.copy()
        for shift in (1, 2, 4, 8, 16, 32):
            mask |= mask >> np.uint64(shift)
        word = next(f"<u{size}" for size in (1, 2, 4, 8) if int(top.max()) < 1 << 8 * size)
        tops, masks = (np.broadcast_to(a.astype(word), n) for a in (top, mask))
        values = self._words(n, word) & masks
        rejected = np.flatnonzero(values > tops)
        while rejected.size:
            again = self._words(rejected.size, word) & masks[rejected]
            values[rejected] = again
            rejected = rejected[again > tops[rejected]]
        numbers: NDArray[np.int64] = values.astype(np.int64)
        return numbers

    def _words(self, n: int, word: str) -> NDArray[Any]:
        drawn: NDArray[Any] = np.frombuffer(self.bytes(n * np.dtype(word).itemsize), word)
        return drawn

    def __repr__(self) -> str:
        return f"Stream({self._name})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a stream is not pickled or copied: make one from the key")


def throwaway() -> Stream:
    """A stream with a key of its own, which is lost with it: nobody can decrypt what it encrypts."""
    return Stream(Hidden(secrets.token_bytes(SIZE)), "throwaway")


def fingerprint(secret: Hidden) -> str:
    """16 hexadecimal digits of a key."""
    return _derive(secret, b"veil key 1 fingerprint", 8).reveal().hex()


def subkey(secret: Hidden, cipher: str, use: str) -> Hidden:
    """The key of a stream, 32 bytes.

    Raises:
        ValueError: where cipher and use are not in printable ASCII, or empty.
    """
    for name in (cipher, use):
        if not re.fullmatch(r"[ -~]+", name):
            raise ValueError(f"a stream is named in printable ASCII, not {name!r}")
    return _derive(secret, b"\0".join([b"veil key 1 stream", cipher.encode(), use.encode()]), SIZE)


def _count(n: int) -> int:
    if n < 0:
        raise ValueError(f"{n} values cannot be drawn")
    return n


def _derive(secret: Hidden, info: bytes, length: int) -> Hidden:
    return Hidden(HKDF(SHA256(), length, salt=None, info=info).derive(secret.reveal()))
