"""What this process and a decoding process write to each other: a line's length, a line of JSON, and bytes behind it.

A decoder may have been taken over by the file that it decodes. So a reply is data: numbers are checked before memory is
taken, and nothing is unpickled.
"""

import base64
import json
import struct
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from veil.images.decoders import Arrays
from veil.images.metadata import Metadata
from veil.images.photo import ImageError
from veil.runtime.foreign import parse_json

Manner = Literal["photo", "rgb"]
"""The function of `veil.images.decoders` that decodes."""
READY = b"ready"
_LENGTH = struct.Struct("<I")
_LONGEST = 1 << 20  # a line; metadata has at most 2 × 65,000 bytes
_LONGEST_TEXT = 5000


class BadReply(ValueError):
    """A reply that a sound decoding process never writes."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A file to decode, whose bytes follow.

    Attributes:
        size: of the file, in bytes.
        manner: how it is decoded.
        max_pixels: see `veil.images.Limits`.
        seconds: after which the process is ended.
        memory: bytes that decoding may take.
    """

    size: int
    manner: Manner
    max_pixels: int
    seconds: float
    memory: int


def write_request(pipe: BinaryIO, request: Request, data: bytes) -> None:
    """Sends a file."""
    _write_line(pipe, asdict(request))
    pipe.write(data)
    pipe.flush()


def read_request(pipe: BinaryIO) -> tuple[Request, bytes] | None:
    """Receives a file; None where there are no more."""
    line = _read_line(pipe)
    if line is None:
        return None
    request = Request(**line)
    return request, pipe.read(request.size)


def write_reply(pipe: BinaryIO, reply: Arrays | ImageError) -> None:
    """Sends a photo, or why there is none."""
    if isinstance(reply, ImageError):
        _write_line(pipe, {"error": str(reply)})
    else:
        about = {"shape": reply.pixels.shape, "alpha": reply.alpha is not None, "notes": reply.notes}
        _write_line(pipe, {"error": None, **about, "metadata": _packed(reply.metadata)})
        pipe.write(np.ascontiguousarray(reply.pixels).data)
        if reply.alpha is not None:
            pipe.write(np.ascontiguousarray(reply.alpha).data)
    pipe.flush()


def read_reply(pipe: BinaryIO, max_pixels: int) -> Arrays:
    """Receives a photo.

    Raises:
        ImageError: that the other process sent.
        BadReply: for a reply that makes no sense.
        EOFError: where the process ended.
    """
    line = _read_line(pipe)
    if line is None:
        raise EOFError
    try:
        if line["error"] is not None:
            raise ImageError(_printable(line["error"]))
        shape = _shape(line["shape"], max_pixels)
        notes = tuple(_printable(note) for note in line["notes"])
        metadata = _unpacked(line["metadata"])
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply(f"{type(error).__name__}: {error}") from error
    pixels = _read_array(pipe, shape)
    alpha = _read_array(pipe, shape[:2]) if line.get("alpha") is True else None
    return Arrays(pixels, alpha, metadata, notes)


def read_exactly(pipe: BinaryIO, length: int) -> bytes:
    """So many bytes.

    Raises:
        EOFError: where there are fewer.
    """
    data = pipe.read(length)
    if data is None or len(data) < length:
        raise EOFError
    return data


def _shape(value: Any, max_pixels: int) -> tuple[int, ...]:
    sound = isinstance(value, list) and len(value) in (2, 3) and all(type(side) is int and side > 0 for side in value)
    if not sound or value[0] * value[1] > max_pixels or value[2:] not in ([], [3]):
        raise BadReply(f"pixels of the shape {str(value)[:60]}")
    return tuple(value)


def _read_array(pipe: BinaryIO, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    array = np.empty(shape, np.uint8)
    rest = array.reshape(-1).data.cast("B")
    while rest:
        length = pipe.readinto(rest)  # type: ignore[attr-defined]
        if not length:
            raise EOFError
        rest = rest[length:]
    return array


def _write_line(pipe: BinaryIO, line: object) -> None:
    text = json.dumps(line).encode()
    pipe.write(_LENGTH.pack(len(text)) + text)


def _read_line(pipe: BinaryIO) -> dict[str, Any] | None:
    head = pipe.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST:
        raise BadReply(f"a line of {length:,} bytes")
    try:
        line = parse_json(read_exactly(pipe, length).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadReply("no JSON") from error
    if not isinstance(line, dict):
        raise BadReply("no object")
    return line


def _packed(metadata: Metadata | None) -> dict[str, str] | None:
    if metadata is None:
        return None
    blocks = {"exif": metadata.exif, "xmp": metadata.xmp}
    texts = {name: base64.b64encode(block).decode("ascii") for name, block in blocks.items() if block is not None}
    return {**texts, "artist": metadata.artist, "copyright": metadata.copyright}


def _unpacked(fields: dict[str, str] | None) -> Metadata | None:
    if fields is None:
        return None
    try:
        blocks = {name: base64.b64decode(fields[name], validate=True) for name in ("exif", "xmp") if name in fields}
    except ValueError as error:
        raise BadReply("metadata that is no base64") from error
    return Metadata(**blocks, artist=_printable(fields["artist"]), copyright=_printable(fields["copyright"]))


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST_TEXT]
