"""Small photo files that keep a decoder busy, or take its memory, for as long as their maker likes.

They are made when they are needed: none is a photo, and most are refused before a decoder sees them.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL import Image

SIDE = 64


def small(format: str, mode: str = "RGB", side: int = SIDE, **options: object) -> bytes:
    """A noisy picture in a format of Pillow."""
    channels = {"L": (), "RGB": (3,)}[mode]
    values = np.random.default_rng(0).integers(0, 256, (side, side, *channels), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(values).save(buffer, format, **options)
    return buffer.getvalue()


def tiff_pages(pages: int = 40_000) -> bytes:
    """A TIFF of many directories, all with the same pixel."""
    entries = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 278: 1, 279: 1}
    size = 2 + 12 * len(entries) + 4
    table = struct.pack("<H", len(entries))
    table += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    start = 12
    nexts = [start + size * (page + 1) for page in range(pages - 1)] + [0]
    return (
        b"II*\0" + struct.pack("<II", start, 0) + b"".join(table + struct.pack("<I", following) for following in nexts)
    )


def tiff_overlapping_values(entries: int = 2000, length: int = 2_000_000) -> bytes:
    """A TIFF of some megabytes whose entries all point to the same bytes: read, they are gigabytes."""
    table = b"".join(struct.pack("<HHII", 40_000 + number, 7, length, 16) for number in range(entries))
    start = 16 + length
    return b"II*\0" + struct.pack("<I", start) + bytes(8 + length) + struct.pack("<H", entries) + table + bytes(4)


def jpeg_with_overlapping_exif(segments: int = 20, entries: int = 4000) -> bytes:
    """A JPEG whose EXIF, in several segments, is about a megabyte and claims gigabytes of values."""
    length = segments * 60_000 - 12 * entries - 100
    head = b"II*\0" + struct.pack("<IH", 8, entries)
    table = b"".join(struct.pack("<HHII", 40_000 + number, 7, length, 8) for number in range(entries))
    block = (head + table + bytes(4)).ljust(segments * 60_000, b"\0")
    parts = [b"Exif\0\0" + block[start : start + 60_000] for start in range(0, len(block), 60_000)]
    return _with_segments(small("JPEG"), [(0xE1, part) for part in parts])


def jpeg_scans(scans: int = 1000, side: int = 2000) -> bytes:
    """A progressive JPEG with its last scan over and over."""
    buffer = BytesIO()
    Image.new("L", (side, side), 90).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def jpeg_segments(segments: int = 50_000) -> bytes:
    """A JPEG with many comments."""
    return _with_segments(small("JPEG"), [(0xFE, b"")] * segments)


def gif_frames(frames: int = 2_000_000) -> bytes:
    """A GIF of many frames of one pixel."""
    frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    return b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b";"


def gif_blocks(blocks: int = 2_000_000) -> bytes:
    """A GIF whose comment has many blocks of one byte."""
    comment = b"!\xfe" + b"\x01x" * blocks + b"\0"
    whole = small("GIF", "L")
    return whole[: 13 + 768] + comment + whole[13 + 768 :]


def png_chunks(chunks: int = 1_000_000) -> bytes:
    """A PNG with many empty chunks."""
    whole = small("PNG")
    return whole[:33] + _png_chunk(b"teSt", b"") * chunks + whole[33:]


def png_texts(texts: int = 60, length: int = 1_000_000) -> bytes:
    """A PNG whose short texts unpack to a megabyte each."""
    whole = small("PNG")
    packed = zlib.compress(bytes(length), 9)
    return (
        whole[:33] + b"".join(_png_chunk(b"zTXt", b"a%d\0\0" % number + packed) for number in range(texts)) + whole[33:]
    )


def webp_chunks(chunks: int = 500_000) -> bytes:
    """A WebP with many unknown chunks."""
    data = small("WEBP") + b"teSt\0\0\0\0" * chunks
    return b"RIFF" + struct.pack("<I", len(data) - 8) + data[8:]


def heic_boxes(boxes: int = 500_000) -> bytes:
    """A HEIC with many empty boxes."""
    return b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0\0\0\x08free" * boxes


def ppm_in_words(side: int = 3000) -> bytes:
    """A PPM in decimal numbers, which Pillow reads with a program of its own in Python."""
    return b"P3\n%d %d\n255\n" % (side, side) + b"0 " * (3 * side * side)


REFUSED: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "pages.tiff": (tiff_pages, "more than 1,000 pages"),
    "values.tiff": (tiff_overlapping_values, "claim"),
    "scans.jpg": (jpeg_scans, "more than 100 scans"),
    "segments.jpg": (jpeg_segments, "more than 2,000 segments"),
    "exif.jpg": (jpeg_with_overlapping_exif, "of EXIF claim"),
    "frames.gif": (gif_frames, "more than 1,000 frames"),
    "blocks.gif": (gif_blocks, "blocks in a GIF"),
    "chunks.png": (png_chunks, "chunks in a PNG"),
    "chunks.webp": (webp_chunks, "more than 10,000 chunks"),
    "boxes.heic": (heic_boxes, "more than 20,000 boxes"),
}
"""What makes each file that is refused by its structure, and a part of the message."""


def _with_segments(jpeg: bytes, segments: list[tuple[int, bytes]]) -> bytes:
    """The JPEG with segments of these markers behind its first two bytes."""
    packed = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return jpeg[:2] + packed + jpeg[2:]


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
