"""What an encrypted image says of itself: by which cipher, and under which key, as the key's public fingerprint.

A network that was trained on encrypted images answers whatever it is shown: also plain images, and images under another
key, of which it knows nothing. So encrypted files carry a mark, and whoever asks a network compares it with the
network's card. It is one line of ASCII: in PNG a ``tEXt`` chunk, in TIFF the description, in WebP the EXIF description.
Other programs may drop it; pixels do not depend on it.

A mark is released with the image. It says which images were encrypted under one key, which whoever has two of them may
find out anyway; the fingerprint is derived from the key by HKDF under a label of its own, and does not help to find it
(`veil.protections.ciphers.keys.streams`). Marks come from files of strangers: they are compared, and nothing else.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from veil.runtime.files import open_regular

NO_KEY = "none"
"""In place of a fingerprint where every image had a key of its own, which nobody keeps."""
_NAME, _FINGERPRINT = r"[a-z0-9][a-z0-9_.:-]{0,63}", r"[0-9a-f]{16}"
_LINE = re.compile(rf"veil-encrypted cipher=({_NAME}) key=({_FINGERPRINT}|{NO_KEY})(?![0-9A-Za-z])", re.ASCII)
_MOST_CHUNKS, _LONGEST = 256, 1 << 16
_MOST_BYTES = 1 << 30
_PNG, _DESCRIPTION = b"\x89PNG\r\n\x1a\n", 0x010E


@dataclass(frozen=True)
class Mark:
    """How images are encrypted.

    Attributes:
        cipher: its name.
        key: fingerprint of the key; `NO_KEY` where every image had its own; None where nobody says.
    """

    cipher: str
    key: str | None = None

    @property
    def line(self) -> str | None:
        """The mark as files carry it; None where the cipher's name is none that a mark can hold."""
        text = f"veil-encrypted cipher={self.cipher} key={self.key or NO_KEY}"
        return text if _LINE.fullmatch(text) else None

    @property
    def words(self) -> str:
        """``encrypted by tanaka under the key 0123456789abcdef``."""
        if self.key is None:
            return f"encrypted by {self.cipher}"
        return f"encrypted by {self.cipher} under " + (
            "a key of every image's own" if self.key == NO_KEY else f"the key {self.key}"
        )


def of_file(path: Path) -> Mark | None:
    """The mark of an image file; None where it has none, or cannot be read."""
    try:
        with open_regular(path) as file:
            return of_bytes(file.read(_MOST_BYTES))
    except OSError:
        return None


def of_bytes(data: bytes) -> Mark | None:
    """The mark of an encoded image; None where it has none."""
    for text in _texts(data):
        if (match := _LINE.search(text[:_LONGEST].decode("latin-1"))) is not None:
            return Mark(match[1], match[2])
    return None


def _texts(data: bytes) -> Iterator[bytes]:
    """Where a mark may stand: never the pixels."""
    if data.startswith(_PNG):
        yield from (body for name, body in _chunks(data, len(_PNG), ">", "png") if name == b"tEXt")
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from (body for name, body in _chunks(data, 12, "<", "riff") if name == b"EXIF")
    elif data[:4] in (b"II*\0", b"MM\0*"):
        yield _tiff_description(data)


def _chunks(data: bytes, at: int, order: str, kind: str) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the first chunks of a PNG, or of a RIFF file."""
    for _ in range(_MOST_CHUNKS):
        head = data[at : at + 8]
        if len(head) < 8:
            return
        if kind == "png":
            length, name = struct.unpack(f"{order}I4s", head)
            following = at + 12 + length
        else:
            name, length = struct.unpack(f"{order}4sI", head)
            following = at + 8 + length + length % 2
        yield name, data[at + 8 : at + 8 + min(length, _LONGEST)]
        at = following


def _tiff_description(data: bytes) -> bytes:
    """The description in a TIFF's first directory; empty where there is none."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, first)
        for number in range(min(count, _MOST_CHUNKS)):
            tag, _, length, place = struct.unpack_from(f"{order}HHII", data, first + 2 + 12 * number)
            if tag == _DESCRIPTION:
                return data[place : place + min(length, _LONGEST)]
    except struct.error:
        pass
    return b""


def options(line: str, format: str) -> dict[str, object]:
    """What Pillow's encoder of a format is given, so that the file carries a line."""
    from PIL import Image, PngImagePlugin

    if format == "png":
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", line)
        return {"pnginfo": info}
    if format == "tiff":
        return {"tiffinfo": {_DESCRIPTION: line}}
    exif = Image.Exif()
    exif[_DESCRIPTION] = line
    return {"exif": exif.tobytes()}
