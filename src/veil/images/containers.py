"""The walks through TIFF, GIF, WebP, HEIC, BMP and PPM files for `veil.images.structure`, and through EXIF.

Formats: TIFF 6.0, section 2, and BigTIFF; GIF89a; RIFF of WebP (RFC 9649); ISO base media (ISO/IEC 14496-12) of HEIC.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

from veil.images.photo import ImageError

MOST_DIRECTORIES, MOST_ENTRIES = 1000, 4096
"""Of a TIFF file, and of one of its directories. Photos have one, or a few, with less than 100 entries."""
MOST_FRAMES = 1000
MOST_BLOCKS, BYTES_PER_BLOCK = 10_000, 64
"""Of a GIF file, which parts its pixels into blocks of 255 bytes."""
MOST_RIFF_CHUNKS = 10_000
MOST_BOXES, DEEPEST_BOX = 20_000, 8
"""Of a HEIC file. Phones write some 300, five deep."""
MOST_EXIF = 1 << 22
"""Bytes. A camera's EXIF has at most 64 KiB, with a preview in it."""
_VALUES_PER_BYTE = 4  # a directory's values may overlap; in photos they do not

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WIDTH, _HEIGHT = 256, 257
# Boxes that hold boxes, and the bytes before the first one; iinf's depend on its version.
_NESTED = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"dinf": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}


class Source(Protocol):
    """Bytes of a file, in memory or on disk."""

    @property
    def size(self) -> int: ...

    def at(self, place: int, length: int) -> bytes:
        """Those at a place; fewer where the file ends."""


@dataclass(frozen=True)
class InMemory:
    """The bytes of a file that was read."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def at(self, place: int, length: int) -> bytes:
        return self.data[place : place + length]


@dataclass(frozen=True)
class OnDisk:
    """An open file."""

    handle: BinaryIO
    size: int

    def at(self, place: int, length: int) -> bytes:
        if place >= self.size:
            return b""
        self.handle.seek(place)
        return self.handle.read(length)


@dataclass(frozen=True)
class Structure:
    """What a file claims to hold.

    Attributes:
        kind: its format.
        width, height: of its main picture; 0 where the header does not say.
        work: pixels that the decoder goes over at most, several times for several scans.
        simple: whether ``work`` bounds everything that decoding costs: one picture, coded plainly, short metadata.
    """

    kind: str
    width: int = 0
    height: int = 0
    work: int = 0
    simple: bool = False

    @property
    def pixels(self) -> int | None:
        """Of its main picture; None where the header does not say."""
        return self.width * self.height or None


class _Layout(NamedTuple):
    """Of TIFF or BigTIFF: struct formats and sizes of a directory's number of entries, an entry, and an offset."""

    order: str
    number: str
    entry: str
    offset: str

    @property
    def inline(self) -> int:
        return struct.calcsize(self.offset)


def _layout(head: bytes) -> _Layout | None:
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return None
    if 43 in head[2:4]:
        return _Layout(order, order + "Q", order + "HHQ8s", order + "Q")
    return _Layout(order, order + "H", order + "HHI4s", order + "I")


def tiff(source: Source) -> Structure:
    layout = _layout(source.at(0, 16))
    if layout is None:
        return Structure("TIFF")
    (offset,) = _unpack(layout.offset, source.at(8 if layout.inline == 8 else 4, layout.inline)) or (0,)
    seen: set[int] = set()
    claimed, sides = 0, (0, 0)
    while offset and offset not in seen and offset < source.size:
        seen.add(offset)
        if len(seen) > MOST_DIRECTORIES:
            raise ImageError(f"more than {MOST_DIRECTORIES:,} pages: only still pictures are supported")
        if len(seen) > 1 and _entries(source, layout, offset) > MOST_ENTRIES:
            break  # a damaged further page, which does not cost the photo
        values, size, offset = _directory(source, layout, offset)
        claimed += values
        if claimed > _VALUES_PER_BYTE * source.size + 2**16:
            raise ImageError(f"the directories of this TIFF file of {source.size:,} bytes claim more bytes than it has")
        sides = size if len(seen) == 1 else sides
    return Structure("TIFF", *sides)


def check_exif(block: bytes) -> None:
    """Refuses an EXIF block whose values overlap so that they unpack to many times its size.

    Raises:
        ImageError: for such a block, and for a long one.
    """
    if len(block) > MOST_EXIF:
        raise ImageError(f"more than {MOST_EXIF:,} bytes of EXIF")
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    source, layout = InMemory(block), _layout(block[:16])
    if layout is not None and layout.inline == 4:
        offsets = list(struct.unpack(layout.order + "I", block[4:8]))
        claimed = sum(_directory(source, layout, offset)[0] for offset in offsets)
        if claimed > _VALUES_PER_BYTE * len(block) + 2**16:
            raise ImageError(f"its {len(block):,} bytes of EXIF claim {claimed:,} bytes of values")


def _entries(source: Source, layout: _Layout, offset: int) -> int:
    """How many entries the directory at a place says that it has."""
    (number,) = _unpack(layout.number, source.at(offset, struct.calcsize(layout.number))) or (0,)
    return number


def _directory(source: Source, layout: _Layout, offset: int) -> tuple[int, tuple[int, int], int]:
    """Bytes of its values that lie elsewhere in the file, width and height, and the next directory's place."""
    number = _entries(source, layout, offset)
    if number > MOST_ENTRIES:
        raise ImageError(f"more than {MOST_ENTRIES:,} entries in a directory of its metadata")
    start, size = offset + struct.calcsize(layout.number), struct.calcsize(layout.entry)
    table = source.at(start, number * size)
    claimed, sides = 0, {_WIDTH: 0, _HEIGHT: 0}
    for tag, kind, count, value in struct.iter_unpack(layout.entry, table[: len(table) // size * size]):
        length = count * _SIZES.get(kind, 1)
        if length > layout.inline:
            (begins,) = struct.unpack(layout.offset, value)
            claimed += max(0, min(length, source.size - begins))  # what a damaged entry says is not read
        elif tag in sides and kind in (3, 4):
            sides[tag] = struct.unpack_from(layout.order + ("H" if kind == 3 else "I"), value)[0]
    (following,) = _unpack(layout.offset, source.at(start + number * size, layout.inline)) or (0,)
    return claimed, (sides[_WIDTH], sides[_HEIGHT]), following


def gif(source: Source) -> Structure:
    width, height, flags = _unpack("<HHB", source.at(6, 5)) or (0, 0, 0)
    place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    most, blocks, frames = MOST_BLOCKS + source.size // BYTES_PER_BLOCK, 0, 0
    while place < source.size:
        head = source.at(place, 10)
        if head[:1] == b",":
            frames += 1
            width, height = _larger((width, height), _unpack("<HH", head[5:9]))
            table = 3 << (head[9] & 7) + 1 if len(head) == 10 and head[9] & 0x80 else 0
            place += 11 + table
        elif head[:1] == b"!":
            place += 2
        elif head[:1] == b";":
            break
        parts = 0
        if head[:1] in (b",", b"!"):
            place, parts = _behind_blocks(source, place, most - blocks)
        else:  # Pillow looks for the next block byte by byte
            place += 1
        blocks += parts + 1
        if frames > MOST_FRAMES:
            raise ImageError(f"more than {MOST_FRAMES:,} frames: only still pictures are supported")
        if blocks > most:
            raise ImageError(f"more than {most:,} blocks in a GIF file of {source.size:,} bytes")
    return Structure("GIF", width, height)


def _behind_blocks(source: Source, place: int, most: int) -> tuple[int, int]:
    """The place behind a row of blocks that ends with an empty one, and their number, at most ``most`` + 1."""
    blocks = 0
    while (length := source.at(place, 1)) and length != b"\0" and blocks <= most:
        place += 1 + length[0]
        blocks += 1
    return place + 1, blocks


def webp(source: Source) -> Structure:
    place, chunks, sides = 12, 0, (0, 0)
    while len(head := source.at(place, 18)) >= 8:
        chunks += 1
        if chunks > MOST_RIFF_CHUNKS:
            raise ImageError(f"more than {MOST_RIFF_CHUNKS:,} chunks in a WebP file")
        sides = _larger(sides, _webp_sides(head))
        length = int.from_bytes(head[4:8], "little")
        place += 8 + length + length % 2
    return Structure("WebP", *sides)


def _webp_sides(head: bytes) -> tuple[int, int]:
    """Width and height of a chunk with pixels, from its first bytes; zeros of another."""
    name, body = head[:4], head[8:].ljust(10, b"\0")
    if name == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if name == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def heic(source: Source) -> Structure:
    sides = (0, 0)
    for boxes, (name, body) in enumerate(_boxes(source, 0, source.size, 0)):
        if boxes >= MOST_BOXES:
            raise ImageError(f"more than {MOST_BOXES:,} boxes in a HEIC file")
        if name == b"ispe":
            sides = _larger(sides, _unpack(">II", source.at(body + 4, 8)))
    return Structure("HEIC", *sides)


def _boxes(source: Source, place: int, end: int, depth: int) -> Iterator[tuple[bytes, int]]:
    """Name and place of the content of every box, with those inside."""
    if depth > DEEPEST_BOX:
        raise ImageError(f"boxes more than {DEEPEST_BOX} deep in a HEIC file")
    while place + 8 <= end and len(head := source.at(place, 16)) >= 8:
        length, name, body = int.from_bytes(head[:4]), head[4:8], place + 8
        if length == 1 and len(head) == 16:
            length, body = int.from_bytes(head[8:]), place + 16
        last = min(end, place + length) if length else end
        if last < body:
            return
        yield name, body
        if name == b"iinf":
            version = source.at(body, 1)
            yield from _boxes(source, body + (6 if version == b"\0" else 8), last, depth + 1)
        elif name in _NESTED:
            yield from _boxes(source, body + _NESTED[name], last, depth + 1)
        place = last


def bmp(source: Source) -> Structure:
    """Its header has sides of 16 bits (OS/2) or of 32, where a negative height is a picture upside down."""
    old = source.at(14, 4) == b"\x0c\0\0\0"
    sides = _unpack("<HH", source.at(18, 4)) if old else _unpack("<ii", source.at(18, 8))
    width, height = sides or (0, 0)
    return Structure("BMP", abs(width), abs(height))


def ppm(source: Source) -> Structure:
    match = re.match(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s", source.at(0, 4096))
    return Structure("PPM", int(match[1]), int(match[2])) if match else Structure("PPM")


def _unpack(layout: str, data: bytes) -> tuple[int, ...] | None:
    """The numbers; None where the file ends before them."""
    return struct.unpack(layout, data) if len(data) == struct.calcsize(layout) else None


def _larger(one: tuple[int, int], other: tuple[int, ...] | None) -> tuple[int, int]:
    return one if other is None or other[0] * other[1] <= one[0] * one[1] else (other[0], other[1])
