"""What a photo file claims to hold, read from its bytes before any decoder runs.

A small file can keep a decoder busy for minutes: thousands of pages, frames, scans or segments, or directories whose
values overlap and unpack to gigabytes. `examine` walks through the containers, which costs far less than decoding, and
refuses what no camera and no editor writes. Every limit is at least ten times what real photos have. It also tells how
much work the decoder has, so that `veil.images.decoding` can choose where it decodes.

This is no parser that judges: where a file is damaged the walk ends, and the decoder says what is wrong.

Formats: JPEG (ITU-T T.81, annex B), PNG (third edition, section 5), and those of `veil.images.containers`.
"""

import re
import struct
import zlib
from collections.abc import Callable, Mapping

from veil.images import containers
from veil.images.containers import InMemory, Source, Structure
from veil.images.photo import ImageError

SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "PPM": rb"P[1-6]\s",
    "HEIC": rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
}
"""Regular expressions of the first bytes, by format."""

# JPEG: encoders write 1 to 17 scans; segments of 64 KB hold metadata and tables.
MOST_SCANS, MOST_SEGMENTS = 100, 2000
# PNG: encoders write parts of at least 4 KiB; other chunks are a dozen.
MOST_CHUNKS, BYTES_PER_CHUNK = 10_000, 1024
# What a decoder is given in this process; see the head of `veil.images.decoding`.
_SHORT_PROFILE, _SHORT_EXIF, _FEW_TEXTS = 4096, 65_536, 8
_LONG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)  # no restart marker, no stuffed byte
_WINDOW = 1 << 20
_SOS, _EOI, _TABLES = 0xDA, 0xD9, {0xC4, 0xC8, 0xCC}


def kind_of(data: bytes) -> str:
    """The format of a file, by its first bytes.

    Raises:
        ImageError: for a format that is not read.
    """
    for kind, signature in SIGNATURES.items():
        if re.match(signature, data, re.DOTALL):
            return kind
    raise ImageError(f"not a photo in a format that Veil reads ({', '.join(SIGNATURES)})")


def examine(source: Source) -> Structure:
    """What a file holds, without decoding it.

    Raises:
        ImageError: for a format that is not read, and for a file beyond a limit.
    """
    kind = kind_of(source.at(0, 16))
    return _WALKS[kind](source)


def _jpeg(source: Source) -> Structure:
    place, scans, segments, sizes = 2, 0, 0, [(0, 0)]
    profile, exif, baseline = 0, b"", True
    while (found := _next_marker(source, place)) is not None:
        marker, place = found
        if marker == _EOI:
            break
        if marker in (0x01, 0xD8):
            continue
        head = source.at(place, 20)
        if len(head) < 2 or (length := int.from_bytes(head[:2])) < 2:
            break
        segments += 1
        if segments > MOST_SEGMENTS:
            raise ImageError(f"more than {MOST_SEGMENTS:,} segments in a JPEG file")
        if marker == _SOS:
            scans += 1
            if scans > MOST_SCANS:
                raise ImageError(f"more than {MOST_SCANS} scans in a JPEG file")
        elif 0xC0 <= marker <= 0xCF and marker not in _TABLES and len(head) >= 7:
            sizes.append((int.from_bytes(head[5:7]), int.from_bytes(head[3:5])))
            baseline &= marker in (0xC0, 0xC1, 0xC2)
        elif marker == 0xE1 and head[2:8] == b"Exif\0\0":
            exif += source.at(place + 8, length - 8)
            if len(exif) > containers.MOST_EXIF:
                break
        elif marker == 0xE2 and head[2:14] == b"ICC_PROFILE\0":
            profile += length
        place += length
    containers.check_exif(exif)
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    blocks = (width + 31) // 32 * ((height + 31) // 32) * 1024
    return Structure(
        "JPEG", width, height, work=blocks * (scans + 1),
        simple=baseline and profile <= _SHORT_PROFILE and len(exif) <= _SHORT_EXIF,
    )  # fmt: skip


def _next_marker(source: Source, place: int) -> tuple[int, int] | None:
    """The next marker that a segment follows, and the place behind it."""
    length = 64  # most markers follow at once; pixels are long
    while place < source.size:
        window = source.at(place, length)
        if match := _LONG_MARKER.search(window):
            return match[1][0], place + match.end()
        if len(window) < 2:
            return None
        place += len(window) - 1  # the window may end within a marker
        length = min(8 * length, _WINDOW)
    return None


def _png(source: Source) -> Structure:
    place, chunks, texts, width, height = 8, 0, 0, 0, 0
    simple = True
    most = MOST_CHUNKS + source.size // BYTES_PER_CHUNK
    while len(head := source.at(place, 16)) >= 12:
        length, name = int.from_bytes(head[:4]), head[4:8]
        chunks += 1
        if chunks > most:
            raise ImageError(f"more than {most:,} chunks in a PNG file of {source.size:,} bytes")
        if name == b"IHDR":
            width, height = struct.unpack(">II", source.at(place + 8, 8).ljust(8, b"\0"))
        elif name == b"iCCP":
            simple &= length <= _SHORT_PROFILE and _short_profile(source.at(place + 8, length))
        elif name == b"eXIf":
            simple &= length <= _SHORT_EXIF
            containers.check_exif(source.at(place + 8, min(length, containers.MOST_EXIF + 1)))
        elif name in (b"zTXt", b"iTXt", b"tEXt"):
            texts += 1
        elif name == b"acTL":
            simple = False
        place += 12 + length
        if name == b"IEND":
            break
    return Structure("PNG", width, height, work=2 * width * height, simple=simple and texts <= _FEW_TEXTS)


def _short_profile(chunk: bytes) -> bool:
    """Whether the colour profile in an ``iCCP`` chunk is short when it is unpacked."""
    _, _, packed = chunk.partition(b"\0")
    try:
        return len(zlib.decompressobj().decompress(packed[1:], _SHORT_PROFILE + 1)) <= _SHORT_PROFILE
    except zlib.error:
        return True


_WALKS: Mapping[str, Callable[[Source], Structure]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WebP": containers.webp,
    "TIFF": containers.tiff,
    "GIF": containers.gif,
    "BMP": containers.bmp,
    "PPM": containers.ppm,
    "HEIC": containers.heic,
}

__all__ = ["SIGNATURES", "InMemory", "Source", "Structure", "examine", "kind_of"]
