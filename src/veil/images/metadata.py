"""EXIF and XMP: the orientation, and the metadata that may be kept.

A protected photo must not contain what the protection hides. So `cleaned` works by a list of allowed tags, which
describe how and when the photo was taken. It removes the place (GPS and place names), thumbnails and previews (they
show the unprotected photo), and maker notes (they can contain both). It omits whatever cannot be read; nothing here
raises.

Formats: EXIF 3.0 (CIPA DC-008), TIFF 6.0 section 2; XMP (ISO 16684-1). Entries are copied as bytes, never
interpreted.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.dom import minidom

_ORIENTATION, _XMP, _EXIF_POINTER = 0x0112, 0x02BC, 0x8769
# Bytes of a value of each type; rationals (5, 10) are two numbers.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}
# First directory: document name to model, resolution, software, date, artist, host, copyright, rating,
# Windows titles.
_KEPT = frozenset(
    {0x010D, 0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C}
    | {0x4746, 0x4749, 0x8298, *range(0x9C9B, 0x9CA0)}
)
# EXIF directory: exposure, sensitivity, dates, lens and the rest, but for the maker note (0x927C), the colour
# space and size of the original (0xA001-0xA003), the interoperability pointer (0xA005), and tables of a
# maker's (0x8828, 0xA20C, 0xA302, 0xA40B).
_KEPT_EXIF = frozenset(
    {0x829A, 0x829D, 0x8822, 0x8824, 0x8827, 0x882A, 0x882B, *range(0x8830, 0x8836)}
    | {0xA000, *range(0x9000, 0x9500), *range(0xA20B, 0xA500)} - {0x927C, 0xA20C, 0xA302, 0xA40B}
)
# Previews hide in long values. JPEG holds 65 533 bytes of either kind.
_LONGEST_VALUE, _LONGEST_BLOCK = 4096, 65_000
_JPEG_START = b"\xff\xd8\xff"

_PRIVATE_NAMESPACES = (
    "http://ns.adobe.com/xap/1.0/g/img/",  # xmpGImg: thumbnails
    "http://ns.adobe.com/hdr-gain-map/",  # describes a second picture, which is not written
    "http://ns.adobe.com/xmp/note/",  # points to further XMP, which is not written
    "http://ns.google.com/photos/",  # whole originals, depth maps and sounds
)
_PRIVATE_NAMES = re.compile(
    r"gps|latitude|longitude|altitude|location|thumbnail"
    r"|^(city|state|country|countrycode|countryname|provincestate|sublocation|worldregion|orientation)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Metadata:
    """The metadata of a photo that may be kept: ``exif`` starts with ``Exif\\0\\0``, ``xmp`` is UTF-8."""

    exif: bytes | None
    xmp: bytes | None


class _Entry(NamedTuple):
    tag: int
    type: int
    length: int
    value: bytes


def cleaned(exif: object, xmp: object) -> Metadata | None:
    """The parts of a file's raw EXIF and XMP blocks that may be kept; None if nothing remains."""
    metadata = Metadata(
        cleaned_exif(exif) if isinstance(exif, bytes) else None,
        cleaned_xmp(xmp) if isinstance(xmp, bytes) else None,
    )
    return metadata if metadata.exif or metadata.xmp else None


def orientation(exif: object) -> int:
    """The EXIF orientation, 1 to 8, of a raw EXIF block (or a TIFF file); 1 if there is no valid one."""
    if not isinstance(exif, bytes):
        return 1
    block, order = _tiff(exif)
    for entry in _directory(block, order, _first(block, order)):
        if entry.tag == _ORIENTATION and entry.type in (1, 3, 4):
            value = int.from_bytes(entry.value[: _SIZES[entry.type]], "little" if order == "<" else "big")
            return value if 1 <= value <= 8 else 1
    return 1


def cleaned_exif(exif: bytes) -> bytes | None:
    """A new EXIF block with the kept tags of ``exif`` (a block or a TIFF file) and orientation 1."""
    block, order = _tiff(exif)
    first, inner = _directories(block, order)
    kept = [entry for entry in first if entry.tag in _KEPT and _harmless(entry)]
    inner = [entry for entry in inner if entry.tag in _KEPT_EXIF and _harmless(entry)]
    if not kept and not inner:
        return None
    kept.append(_Entry(_ORIENTATION, 3, 1, struct.pack(order + "H", 1)))
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    result = b"Exif\0\0" + header + _two_directories(kept, inner, order, 8)
    return result if len(result) <= _LONGEST_BLOCK else None


def into_tiff(tiff: bytes, kept: Metadata) -> bytes:
    """A TIFF file with ``kept`` in it: a new first directory at the end takes the place of the old one.

    (libtiff, which compresses for Pillow, does not write an EXIF directory.)
    """
    _, order = _tiff(tiff)
    entries = list(_directory(tiff, order, _first(tiff, order), len(tiff)))
    taken = {entry.tag for entry in entries}
    inner: list[_Entry] = []
    if kept.exif:
        block, theirs = _tiff(kept.exif)
        first, inner = (
            [entry if theirs == order else _swapped(entry) for entry in directory]
            for directory in _directories(block, theirs)
        )
        entries += [entry for entry in first if entry.tag not in taken and entry.tag != _EXIF_POINTER]
    if kept.xmp:
        entries.append(_Entry(_XMP, 1, len(kept.xmp), kept.xmp))
    start = len(tiff) + len(tiff) % 2
    header = tiff[:4] + struct.pack(order + "I", start)
    return header + tiff[8:].ljust(start - 8, b"\0") + _two_directories(entries, inner, order, start)


def cleaned_xmp(xmp: bytes) -> bytes | None:
    """The packet without place, thumbnails and long values; None if it cannot be parsed."""
    try:
        text = xmp.strip(b"\0 \r\n\t").decode("utf-8-sig")
        # Entities can only be declared in a document type, which XMP never has.
        if len(text) > _LONGEST_BLOCK or "<!DOCTYPE" in text or "<!ENTITY" in text:
            return None
        document: Any = minidom.parseString(text)
        for node in list(_nodes(document)):
            _clean_node(node)
        result = "".join(node.toxml() for node in document.childNodes).encode()
    except Exception:  # expat, Unicode, recursion: a packet that cannot be read is not kept
        return None
    return result if len(result) <= _LONGEST_BLOCK and b"gps" not in result.lower() else None


def _clean_node(node: Any) -> None:
    parent = node.parentNode
    packet = node.nodeType == node.PROCESSING_INSTRUCTION_NODE and node.target == "xpacket"
    if node.nodeType == node.ELEMENT_NODE:
        if _private(node):
            parent.removeChild(node)
            return
        attributes = [node.attributes.item(index) for index in range(node.attributes.length)]
        for attribute in attributes:
            if _private(attribute) or len(attribute.value) > _LONGEST_VALUE:
                node.removeAttributeNode(attribute)
    elif node.nodeType in (node.TEXT_NODE, node.CDATA_SECTION_NODE):
        if len(node.data) > _LONGEST_VALUE:
            parent.removeChild(node)
    elif node.nodeType != node.DOCUMENT_NODE and not packet:
        parent.removeChild(node)


def _private(node: Any) -> bool:
    namespace, name = node.namespaceURI or "", node.localName or node.nodeName
    return namespace.startswith(_PRIVATE_NAMESPACES) or bool(_PRIVATE_NAMES.search(name))


def _nodes(document: Any) -> Iterator[Any]:
    waiting = [document]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.childNodes)


def _tiff(block: bytes) -> tuple[bytes, str]:
    # Some writers put the prefix twice.
    block = block.removeprefix(b"Exif\0\0").removeprefix(b"Exif\0\0")
    return block, ">" if block.startswith(b"MM\0*") else "<" if block.startswith(b"II*\0") else ""


def _first(block: bytes, order: str) -> int:
    return int(struct.unpack_from(order + "I", block, 4)[0]) if order and len(block) >= 8 else len(block)


def _directories(block: bytes, order: str) -> tuple[list[_Entry], list[_Entry]]:
    """The entries of the first directory and of the EXIF directory that it points to."""
    first = list(_directory(block, order, _first(block, order)))
    pointers = [entry.value for entry in first if entry.tag == _EXIF_POINTER and len(entry.value) == 4]
    if not pointers:
        return first, []
    return first, list(_directory(block, order, struct.unpack(order + "I", pointers[0])[0]))


def _directory(block: bytes, order: str, offset: int, longest: int = _LONGEST_VALUE + 1) -> Iterator[_Entry]:
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
        yield _Entry(tag, kind, count, block[start : start + min(size, longest)])


def _harmless(entry: _Entry) -> bool:
    return len(entry.value) <= _LONGEST_VALUE and _JPEG_START not in entry.value


def _swapped(entry: _Entry) -> _Entry:
    """The entry in the other byte order."""
    unit = 4 if entry.type in (5, 10) else _SIZES[entry.type]
    numbers = (entry.value[start : start + unit][::-1] for start in range(0, len(entry.value), unit))
    return entry._replace(value=b"".join(numbers))


def _two_directories(first: list[_Entry], inner: list[_Entry], order: str, offset: int) -> bytes:
    """The first directory, to lie at ``offset``, and behind it the EXIF directory that it points to."""
    if not inner:
        return _packed(first, order, offset)
    size = len(_packed([*first, _Entry(_EXIF_POINTER, 4, 1, bytes(4))], order, offset))
    pointer = _Entry(_EXIF_POINTER, 4, 1, struct.pack(order + "I", offset + size))
    return _packed([*first, pointer], order, offset) + _packed(inner, order, offset + size)


def _packed(entries: list[_Entry], order: str, offset: int) -> bytes:
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
