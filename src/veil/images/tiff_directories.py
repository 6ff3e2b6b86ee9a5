"""Directories of tags, as EXIF blocks and TIFF files hold them: read with care, and packed anew.

Formats: TIFF 6.0 section 2, EXIF 3.0 (CIPA DC-008) section 4.6. Nothing here raises for damaged data: entries that
cannot be read are left out.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

SHORT, LONG, EXIF_POINTER = 3, 4, 0x8769
LONGEST_VALUE = 4096  # bytes of a value that are read
_PREFIX = b"Exif\0\0"
# Bytes of a value of each type; rationals (5, 10) are two numbers.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}
_CODES = {1: "B", 3: "H", 4: "I", 5: "I", 8: "h", 9: "i", 10: "i"}


class Entry(NamedTuple):
    """A tag with its value as bytes; ``length`` counts units of its ``type``."""

    tag: int
    type: int
    length: int
    value: bytes


def opened(block: bytes) -> tuple[bytes, str]:
    """An EXIF block without its prefix, or a TIFF file, and its byte order as `struct` has it; empty if it has none."""
    block = block.removeprefix(_PREFIX).removeprefix(_PREFIX)  # some writers put it twice
    return block, ">" if block.startswith(b"MM\0*") else "<" if block.startswith(b"II*\0") else ""


def first(block: bytes, order: str, longest: int = LONGEST_VALUE) -> Iterator[Entry]:
    """The entries of the first directory; see `directory`."""
    at = int(struct.unpack_from(order + "I", block, 4)[0]) if order and len(block) >= 8 else len(block)
    return directory(block, order, at, longest)


def first_and_exif(block: bytes, order: str) -> tuple[list[Entry], list[Entry]]:
    """The entries of the first directory and of the EXIF directory that it points to."""
    entries = list(first(block, order))
    pointers = [entry.value for entry in entries if entry.tag == EXIF_POINTER and len(entry.value) == 4]
    return entries, list(directory(block, order, struct.unpack(order + "I", pointers[0])[0])) if pointers else []


def directory(block: bytes, order: str, offset: int, longest: int = LONGEST_VALUE) -> Iterator[Entry]:
    """The entries of the directory at ``offset`` whose values lie within the block; the first of each tag.

    Values are cut off behind ``longest`` bytes: TIFF files hold whole pictures in them.
    """
    if offset < 8 or offset + 2 > len(block):
        return
    seen: set[int] = set()
    (entries,) = struct.unpack_from(order + "H", block, offset)
    for place in range(offset + 2, min(offset + 2 + 12 * entries, len(block) - 11), 12):
        tag, kind, count = struct.unpack_from(order + "HHI", block, place)
        size = count * _SIZES.get(kind, 0)
        start = place + 8 if size <= 4 else struct.unpack_from(order + "I", block, place + 8)[0]
        if size == 0 or start + size > len(block) or tag in seen:
            continue
        seen.add(tag)
        yield Entry(tag, kind, count, block[start : start + min(size, longest)])


def numbers(entry: Entry, order: str) -> tuple[int, ...] | None:
    """Whole numbers of an entry; a rational is two. None for text and other types."""
    code = _CODES.get(entry.type)
    if code is None:
        return None
    return struct.unpack(f"{order}{len(entry.value) // struct.calcsize('<' + code)}{code}", entry.value)


def packed_numbers(tag: int, kind: int, values: Sequence[int], order: str) -> Entry:
    """An entry of whole numbers; a rational is two."""
    value = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
    return Entry(tag, kind, len(value) // _SIZES[kind], value)


def block(entries: Sequence[Entry], inner: Sequence[Entry]) -> bytes:
    """An EXIF block, with its prefix, of a first directory and an EXIF directory, the least byte first."""
    return _PREFIX + b"II*\0" + struct.pack("<I", 8) + _packed_two(entries, inner, "<", 8)


def into_tiff(tiff: bytes, exif: bytes | None, further: Sequence[Entry] = ()) -> bytes:
    """A TIFF file with the tags of an EXIF block in it: a new first directory at the end takes the old one's place.

    (libtiff, which compresses for Pillow, does not write an EXIF directory.)

    Args:
        further: entries of the first directory in bytes, which have no order.
    """
    _, order = opened(tiff)
    entries = list(first(tiff, order, len(tiff)))
    taken, inner = {entry.tag for entry in entries}, list[Entry]()
    if exif is not None:
        theirs, their_order = opened(exif)
        outer, inner = (
            [entry if their_order == order else _swapped(entry) for entry in each]
            for each in first_and_exif(theirs, their_order)
        )
        entries += [entry for entry in outer if entry.tag not in taken and entry.tag != EXIF_POINTER]
    entries += further
    start = len(tiff) + len(tiff) % 2
    header = tiff[:4] + struct.pack(order + "I", start)
    return header + tiff[8:].ljust(start - 8, b"\0") + _packed_two(entries, inner, order, start)


def _swapped(entry: Entry) -> Entry:
    """The entry in the other byte order."""
    unit = 4 if entry.type in (5, 10) else _SIZES[entry.type]
    units = (entry.value[start : start + unit][::-1] for start in range(0, len(entry.value), unit))
    return entry._replace(value=b"".join(units))


def _packed_two(entries: Sequence[Entry], inner: Sequence[Entry], order: str, offset: int) -> bytes:
    """The first directory, to lie at ``offset``, and behind it the EXIF directory that it points to."""
    if not inner:
        return _packed(entries, order, offset)
    size = len(_packed([*entries, Entry(EXIF_POINTER, LONG, 1, bytes(4))], order, offset))
    pointer = Entry(EXIF_POINTER, LONG, 1, struct.pack(order + "I", offset + size))
    return _packed([*entries, pointer], order, offset) + _packed(inner, order, offset + size)


def _packed(entries: Sequence[Entry], order: str, offset: int) -> bytes:
    """One directory that lies at ``offset``, with its values behind it and no directory to follow."""
    table, values = struct.pack(order + "H", len(entries)), b""
    after = offset + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        field = value.ljust(4, b"\0")
        if len(value) > 4:
            field = struct.pack(order + "I", after + len(values))
            values += value + bytes(len(value) % 2)
        table += struct.pack(order + "HHI", tag, kind, count) + field
    return table + bytes(4) + values
