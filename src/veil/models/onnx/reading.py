"""ONNX files as protobuf messages, counted before they are parsed.

Two bytes of a message can become a hundred bytes of objects. So the fields of a file are counted first, by the numbers
in it alone: a file of many small parts, or of parts within parts, is refused before it takes memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil.runtime import foreign
from veil.runtime.errors import UserError

if TYPE_CHECKING:
    from onnx import ModelProto


class OnnxMissing(UserError, ImportError):
    """The extra ``onnx`` is not installed."""


class OnnxRefused(ValueError):
    """An ONNX file is not read; the message says why and goes on from the file's name."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an ONNX file may take.

    Attributes:
        file: bytes of the file.
        fields: of the message, and of all messages in it.
        numbers: bytes of whole numbers that are stored in a short form, which takes up to eight times as much memory.
        nodes: of the graph.
        value: bytes of one value between operators, for one image.
        values: bytes of all of them together, for one image.
        multiplications: that one image takes.
    """

    file: int = 1 << 29
    fields: int = 500_000
    numbers: int = 1 << 24
    nodes: int = 20_000
    value: int = 1 << 30
    values: int = 1 << 32
    multiplications: int = 250_000_000_000


LIMITS = Limits()
_DEEPEST = 12  # messages within messages: a tensor in a node of a graph is the fourth
_SHORT = {3, 4, 5, 13, 14, 17, 18}  # types of whole numbers of variable length, as descriptors number them


def package() -> Any:
    """The package ``onnx``.

    Raises:
        OnnxMissing: where it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.shape_inference
    except ImportError as error:
        raise OnnxMissing('a card with architecture = "onnx" needs more packages: pip install "veil[onnx]"') from error
    return onnx


def read(file: Path, limits: Limits = LIMITS) -> ModelProto:
    """The message in a file.

    Raises:
        FileNotFoundError, Unreadable: as `foreign.bytes_of` does.
        OnnxMissing: where the extra is not installed.
        OnnxRefused: where it is no such message, or holds too much.
    """
    onnx = package()
    from google.protobuf.message import DecodeError

    data = foreign.bytes_of(file, limits.file)
    _count(memoryview(data), onnx.ModelProto.DESCRIPTOR, limits)
    try:
        model: ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise OnnxRefused("it is damaged or cut off") from None
    return model


def _count(data: memoryview, descriptor: Any, limits: Limits) -> None:
    """Refuses a message of more fields, or deeper ones, than are read. Takes nothing apart but its numbers."""
    waiting = [(0, len(data), descriptor, 0)]
    fields = numbers = 0
    while waiting:
        at, end, message, depth = waiting.pop()
        if depth > _DEEPEST:
            raise OnnxRefused("it holds messages within messages, too deep")
        while at < end:
            key, at = _number(data, at, end)
            fields += 1
            if fields > limits.fields:
                raise OnnxRefused(f"it holds more than {limits.fields:,} fields")
            kind = key & 7
            if kind == 0:
                _, at = _number(data, at, end)
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            elif kind == 2:
                length, at = _number(data, at, end)
                field = message.fields_by_number.get(key >> 3)
                if field is not None and field.message_type is not None and at + length <= end:
                    waiting.append((at, at + length, field.message_type, depth + 1))
                elif field is not None and field.type in _SHORT:
                    numbers += length
                at += length
            else:
                raise OnnxRefused("it is no ONNX message")
            if at > end:
                raise OnnxRefused("it is damaged or cut off")
    if numbers > limits.numbers:
        raise OnnxRefused(f"it holds {numbers:,} bytes of numbers in short form; weights belong into raw data")


def _number(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where the next field begins."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise OnnxRefused("it is damaged or cut off")
