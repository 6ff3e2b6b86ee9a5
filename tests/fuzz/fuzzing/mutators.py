"""Changes of bytes that know no format: what damage, truncation and crafted lengths look like.

A mutator takes bytes, a random generator and all seeds of the reader, and returns other bytes. It is a pure function:
the same generator gives the same bytes.
"""

import struct
from collections.abc import Callable, Sequence
from random import Random

Mutator = Callable[[bytes, Random, Sequence[bytes]], bytes]
NUMBERS = (0, 1, -1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_WORDS = {"B": 1, "<H": 2, ">H": 2, "<I": 4, ">I": 4, "<Q": 8, ">Q": 8}
_LONGEST, _LARGEST = 1 << 16, 1 << 23  # bytes that are put in at once, and bytes of an input


def flip_bits(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """Some bits flipped."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def set_bytes(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A run of bytes replaced by random ones, or by one value."""
    at, length = _place(data, random)
    run = random.randbytes(length) if random.random() < 0.5 else bytes([random.choice((0, 10, 32, 127, 255))]) * length
    return data[:at] + run + data[at + length :]


def set_number(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A number somewhere replaced by an extreme one: counts, sizes and offsets are such numbers."""
    form = random.choice(list(_WORDS))
    width = _WORDS[form]
    if len(data) < width:
        return data + b"\xff"
    at, bits = random.randrange(len(data) - width + 1), 8 * width
    value = random.choice(NUMBERS) % 2**bits
    if random.random() < 0.3:
        value = (struct.unpack_from(form, data, at)[0] + random.choice((-1, 1, 16, 256))) % 2**bits
    return data[:at] + struct.pack(form, value) + data[at + width :]


def truncate(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """The end, or the beginning, cut off."""
    at = random.randrange(len(data) + 1)
    return data[:at] if random.random() < 0.9 else data[at:]


def extend(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """More behind the end."""
    return data + random.choice((b"\0", b"\xff", b" ", b"\n", data[-16:] or b"x")) * random.choice((1, 7, 1000))


def remove(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A run of bytes taken out."""
    at, length = _place(data, random)
    return data[:at] + data[at + length :]


def repeat(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A run of bytes that comes several times."""
    at, length = _place(data, random)
    run = data[at : at + length]
    times = min(random.choice((2, 2, 3, 100, 10_000)), _LONGEST // max(1, length) + 1)
    return data[:at] + run * times + data[at + length :]


def splice(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """The beginning of one seed and the end of another."""
    other = random.choice(seeds)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def insert(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A piece of a seed put in somewhere."""
    at, other = random.randrange(len(data) + 1), random.choice(seeds)
    start, length = _place(other, random)
    return data[:at] + other[start : start + length] + data[at:]


def swap(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """Two neighbouring pieces exchanged."""
    at, length = _place(data, random)
    middle = at + length // 2
    return data[:at] + data[middle : at + length] + data[at:middle] + data[at + length :]


GENERIC: tuple[Mutator, ...] = (
    flip_bits, set_bytes, set_number, truncate, extend, remove, repeat, splice, insert, swap,
)  # fmt: skip


def _place(data: bytes, random: Random) -> tuple[int, int]:
    """Where a run begins, and its length; short runs are more frequent."""
    if not data:
        return 0, 0
    at = random.randrange(len(data))
    return at, min(len(data) - at, 1 << random.randrange(1 + min(16, len(data).bit_length())))


def mutated(seed: bytes, structure: Mutator | None, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A seed after one to four changes; half of them by its structure, where it has one.

    A structure may not recognise what another change has damaged; then the change is a generic one.
    """
    data = seed
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        if structure is not None and random.random() < 0.5:
            try:
                data = structure(data, random, seeds)[:_LARGEST]
                continue
            except Exception:  # damaged already
                pass
        data = random.choice(GENERIC)(data, random, seeds)[:_LARGEST]
    return data
