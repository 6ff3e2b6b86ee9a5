"""Changes of chunks, segments, directories and frames of pictures; checksums and lengths fit afterwards.

They raise anything where the bytes are not of their format.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from random import Random

from fuzzing.mutators import GENERIC, NUMBERS


def png(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A chunk changed, repeated, removed, moved or put in; checksums fit."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    place = random.randrange(len(chunks))
    name, body = chunks[place]
    match random.randrange(6):
        case 0:
            del chunks[place]
        case 1:
            chunks[place : place + 1] = [chunks[place]] * random.choice((2, 5, 2000))
        case 2:
            random.shuffle(chunks)
        case 3:
            chunks.insert(place, random.choice(_png_chunks(random)))
        case _ if name == b"IHDR":
            fields = list(struct.unpack(">IIBBBBB", body))
            change = random.randrange(7)
            fields[change] = random.choice((0, 1, 7, 2**31 - 1, 4096, 65535)) if change < 2 else random.randrange(18)
            chunks[place] = name, struct.pack(">IIBBBBB", *fields)
        case _ if name == b"IDAT":
            raw = zlib.decompress(body)
            chunks[place] = name, zlib.compress(random.choice(GENERIC)(raw, random, [raw]))
        case _:
            chunks[place] = name, random.choice(GENERIC)(body, random, [body])
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return data[:8] + b"".join(parts)


@cache
def _bomb() -> bytes:
    """16 MiB of zeros, packed."""
    return zlib.compress(bytes(1 << 24), 9)


def _png_chunks(random: Random) -> list[tuple[bytes, bytes]]:
    bomb = _bomb()
    return [
        (b"zTXt", b"a\0\0" + bomb),
        (b"iCCP", b"a\0\0" + bomb),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb),
        (b"acTL", struct.pack(">II", random.choice((0, 2, 2**31 - 1)), 0)),
        (b"eXIf", b"II*\0\x08\0\0\0" + b"\xff" * 40),
        (b"tRNS", random.randbytes(random.choice((0, 1, 2, 6, 300)))),
        (b"PLTE", random.randbytes(random.choice((0, 3, 900)))),
        (b"gAMA", struct.pack(">I", random.choice((0, 1, 2**32 - 1)))),
        (b"IDAT", bomb),
        (b"IEND", b""),
        (b"cHRM", bytes(32)),
        (b"fcTL", bytes(26)),
        (b"fdAT", bytes(8) + bomb),
        (b"tEXt", b"a\0" + b"x" * 70_000),
        (b"ICCP", b""),
    ]


def jpeg(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A segment changed, repeated, removed or put in; lengths fit."""
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        segments.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    scan, place = data[at:], random.randrange(len(segments))
    marker, body = segments[place]
    match random.randrange(6):
        case 0:
            del segments[place]
        case 1:
            segments[place : place + 1] = [segments[place]] * random.choice((2, 5, 500))
        case 2:
            scan = scan[:-2] * random.choice((2, 10, 300)) + scan[-2:]
        case 3:
            extra = random.choice(
                (
                    (0xE1, b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 30),
                    (0xE2, b"ICC_PROFILE\0\1\2" + b"x" * 30),
                    (0xE2, b"MPF\0II*\0" + b"\xff" * 20),
                    (0xEE, b"Adobe\0\x64\0\0\0\0\2"),
                    (0xDD, b"\0\1"),
                    (0xFE, b"x" * 60_000),
                    (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x" + b"<x" * 9000),
                )
            )
            segments.insert(place, extra)
        case _ if 0xC0 <= marker <= 0xC2 and len(body) > 5:
            changed = bytearray(body)
            changed[random.randrange(min(len(changed), 15))] = random.choice((0, 1, 2, 4, 0x11, 0x22, 0x41, 0xFF))
            segments[place] = marker, bytes(changed)
        case _:
            segments[place] = marker, random.choice(GENERIC)(body, random, [body])[:65000]
    return data[:2] + b"".join(bytes([0xFF, m]) + struct.pack(">H", len(b) + 2) + b for m, b in segments) + scan


def tiff(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """An entry of a directory changed, or the next directory's place: also back, to the same one."""
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    changed = bytearray(data)
    if random.random() < 0.2:
        following = random.choice((at, 8, 0, len(data), len(data) - 1, 2**32 - 1))
        struct.pack_into(order + "I", changed, at + 2 + 12 * count, following)
        return bytes(changed)
    entry = at + 2 + 12 * random.randrange(count)
    match random.randrange(4):
        case 0:
            struct.pack_into(
                order + "H",
                changed,
                entry,
                random.choice((256, 257, 258, 259, 262, 273, 277, 278, 279, 317, 339, 34665, 34675, 330)),
            )
        case 1:
            struct.pack_into(order + "H", changed, entry + 2, random.randrange(20))
        case 2:
            struct.pack_into(order + "I", changed, entry + 4, random.choice((0, 1, 2, 1000, 2**16, 2**31, 2**32 - 1)))
        case _:
            struct.pack_into(
                order + "I", changed, entry + 8, random.choice((0, 1, 2, 5, 8, at, 4096, 2**31, 2**32 - 1))
            )
    return bytes(changed)


def gif(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """Its one frame many times, or a number of its head or its frame changed."""
    at = data.find(b"\x2c")
    if random.random() < 0.3:
        return data[:at] + data[at:-1] * random.choice((2, 50, 2000)) + b";"
    changed = bytearray(data)
    struct.pack_into(
        "<H", changed, random.choice((6, 8, at + 1, at + 3, at + 5, at + 7)), random.choice(NUMBERS) % 2**16
    )
    return bytes(changed)


def riff(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A chunk of a WebP file repeated, removed or changed; lengths fit."""
    source, chunks = io.BytesIO(data[12:]), []
    while len(head := source.read(8)) == 8:
        length = struct.unpack("<I", head[4:])[0]
        chunks.append((head[:4], source.read(length + length % 2)[:length]))
    place = random.randrange(len(chunks))
    name, body = chunks[place]
    match random.randrange(4):
        case 0:
            chunks[place : place + 1] = [chunks[place]] * random.choice((0, 2, 300))
        case 1:
            chunks.insert(
                place,
                random.choice(
                    (
                        (b"ANIM", bytes(6)),
                        (b"EXIF", b"II*\0" + b"\xff" * 30),
                        (b"ICCP", b"x" * 99),
                        (b"VP8X", b"\xff" * 10),
                        (b"ALPH", b"\1\2"),
                    )
                ),
            )
        case _:
            chunks[place] = name, random.choice(GENERIC)(body, random, [body])
    parts = [name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for name, body in chunks]
    whole = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(whole)) + whole
