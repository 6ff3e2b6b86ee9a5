"""EXIF and XMP: the orientation, and the metadata that may be kept.

A protected photo must not contain what the protection hides. So what is kept is built anew from a list of fields, and
nothing is ever copied from the file as it stands. The list says how and when a photo was taken: camera, lens,
exposure, aperture, sensitivity, focal length, flash, dates, resolution. Artist and copyright are kept where they are
asked for. Everything else goes: persons, places and time zones, keywords, serial numbers, owners, descriptions,
comments and all other free text, thumbnails, maker notes, whatever this list does not know.

A value is kept where it has the type and length that its field has: numbers are read and written again; dates must be
dates; names of cameras and lenses are short, and of printable ASCII. Colours are sRGB and the photo is upright when it
is written, so a profile and an orientation of the original would be wrong.

Formats: EXIF 3.0 (CIPA DC-008), XMP (ISO 16684-1). What cannot be read is left out; nothing here raises.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from veil.images import tiff_directories as tiff
from veil.images.tiff_directories import Entry

_ORIENTATION, _XMP, _ARTIST, _COPYRIGHT = 0x0112, 0x02BC, 0x013B, 0x8298
_ASCII, _UNDEFINED, _RATIONAL, _SRATIONAL = 2, 7, 5, 10
_TEXT, _DATE, _DIGITS = "text", "date", "digits"
_PATTERNS = {
    _TEXT: re.compile(r"[ -~]{1,64}"),
    _DATE: re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d"),
    _DIGITS: re.compile(r"\d{1,9}"),
}
_SHORTS, _INTEGERS = (tiff.SHORT,), (tiff.SHORT, tiff.LONG)
# Numbers by tag: types, and how many of them there are.
_Numbers = tuple[tuple[int, ...], int]
_FIRST: dict[int, str | _Numbers] = {
    0x010F: _TEXT, 0x0110: _TEXT,  # make and model of the camera
    0x011A: ((_RATIONAL,), 1), 0x011B: ((_RATIONAL,), 1), 0x0128: (_SHORTS, 1),  # resolution
    0x0132: _DATE,
}  # fmt: skip
_EXIF: dict[int, str | _Numbers] = {
    0x829A: ((_RATIONAL,), 1), 0x829D: ((_RATIONAL,), 1), 0x8822: (_SHORTS, 1),  # exposure, aperture, program
    0x8827: (_SHORTS, 1), 0x8830: (_SHORTS, 1),  # sensitivity and what it says
    **dict.fromkeys(range(0x8831, 0x8836), (_INTEGERS, 1)),  # sensitivities of further kinds
    0x9003: _DATE, 0x9004: _DATE, 0x9290: _DIGITS, 0x9291: _DIGITS, 0x9292: _DIGITS,  # dates, parts of seconds
    0x9201: ((_SRATIONAL,), 1), 0x9202: ((_RATIONAL,), 1), 0x9203: ((_SRATIONAL,), 1),  # the same as logarithms
    0x9204: ((_SRATIONAL,), 1), 0x9205: ((_RATIONAL,), 1),  # exposure bias, largest aperture
    0x9207: (_SHORTS, 1), 0x9208: (_SHORTS, 1), 0x9209: (_SHORTS, 1),  # metering, light, flash
    0x920A: ((_RATIONAL,), 1), 0xA405: (_SHORTS, 1), 0xA404: ((_RATIONAL,), 1),  # focal length, zoom
    0xA402: (_SHORTS, 1), 0xA403: (_SHORTS, 1), 0xA406: (_SHORTS, 1),  # modes of exposure, white balance, scene
    0xA432: ((_RATIONAL,), 4), 0xA433: _TEXT, 0xA434: _TEXT,  # the lens
}  # fmt: skip
_EXIF_VERSION = Entry(0x9000, _UNDEFINED, 4, b"0232")

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_NUMBER = re.compile(r"-?\d{1,10}(?:[./]\d{1,10})?")
_XMP_DATE = re.compile(r"(\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?")
_NAMESPACES = {
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
}
_PROPERTIES: dict[str, re.Pattern[str]] = {
    **dict.fromkeys(("tiff:Make", "tiff:Model", "aux:Lens", "exifEX:LensMake", "exifEX:LensModel"), _PATTERNS[_TEXT]),
    **dict.fromkeys(
        ("exif:ExposureTime", "exif:FNumber", "exif:FocalLength", "exif:FocalLengthIn35mmFilm", "exif:ApertureValue",
         "exif:ShutterSpeedValue", "exif:ExposureBiasValue", "exif:ExposureProgram", "exif:MeteringMode",
         "exifEX:PhotographicSensitivity", "tiff:XResolution", "tiff:YResolution", "tiff:ResolutionUnit"),
        _NUMBER,
    ),
    **dict.fromkeys(
        ("exif:DateTimeOriginal", "exif:DateTimeDigitized", "xmp:CreateDate", "xmp:ModifyDate",
         "photoshop:DateCreated"),
        _XMP_DATE,
    ),
}  # fmt: skip
_QUALIFIED = {f"{{{_NAMESPACES[name.partition(':')[0]]}}}{name.partition(':')[2]}": name for name in _PROPERTIES}
_LONGEST_PACKET, _LONGEST_CREDIT = 65_000, 256  # bytes; characters


@dataclass(frozen=True)
class Metadata:
    """The metadata of a photo that may be kept.

    Attributes:
        exif: a block that starts with ``Exif\\0\\0``.
        xmp: a packet in UTF-8.
        artist, copyright: kept where they are asked for.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    artist: str = ""
    copyright: str = ""

    def chosen(self, *, harmless: bool, credit: bool) -> "Metadata | None":
        """What is to be written; None where nothing is.

        Args:
            harmless: the fields of the list.
            credit: artist and copyright.
        """
        exif, xmp = (self.exif, self.xmp) if harmless else (None, None)
        if credit and (self.artist or self.copyright):
            exif = _credited(exif, {_ARTIST: self.artist, _COPYRIGHT: self.copyright})
        return Metadata(exif, xmp) if exif or xmp else None


def cleaned(exif: object, xmp: object) -> Metadata | None:
    """The parts of a file's raw EXIF and XMP blocks that may be kept; None if nothing remains."""
    exif, xmp = exif if isinstance(exif, bytes) else b"", xmp if isinstance(xmp, bytes) else b""
    packet = _parsed(xmp)
    block, order = tiff.opened(exif)
    credit = {entry.tag: _credit(entry.value.split(b"\0")[0]) for entry in tiff.first(block, order)
              if entry.tag in (_ARTIST, _COPYRIGHT) and entry.type in (_ASCII, 129)}  # fmt: skip
    metadata = Metadata(
        cleaned_exif(exif),
        _rebuilt(packet),
        credit.get(_ARTIST) or _listed(packet, "creator"),
        credit.get(_COPYRIGHT) or _listed(packet, "rights"),
    )
    return None if metadata == Metadata() else metadata


def orientation(exif: object) -> int:
    """The EXIF orientation, 1 to 8, of a raw EXIF block (or a TIFF file); 1 if there is no valid one."""
    block, order = tiff.opened(exif if isinstance(exif, bytes) else b"")
    for entry in tiff.first(block, order):
        if entry.tag == _ORIENTATION and entry.type in (1, *_INTEGERS):
            value = (tiff.numbers(entry, order) or (1,))[0]
            return value if 1 <= value <= 8 else 1
    return 1


def cleaned_exif(exif: bytes) -> bytes | None:
    """A new EXIF block with the kept fields of ``exif`` (a block or a TIFF file) and orientation 1."""
    block, order = tiff.opened(exif)
    first, inner = tiff.first_and_exif(block, order)
    kept = _kept(first, _FIRST, order)
    kept_inner = _kept(inner, _EXIF, order)
    return _block(kept, kept_inner) if kept or kept_inner else None


def cleaned_xmp(xmp: bytes) -> bytes | None:
    """A new packet with the kept properties; None if there are none, or the packet cannot be read."""
    return _rebuilt(_parsed(xmp))


def into_tiff(content: bytes, kept: Metadata) -> bytes:
    """A TIFF file with ``kept`` in it."""
    packet = [] if kept.xmp is None else [Entry(_XMP, 1, len(kept.xmp), kept.xmp)]
    return tiff.into_tiff(content, kept.exif, packet)


def _kept(entries: list[Entry], fields: Mapping[int, str | _Numbers], order: str) -> list[Entry]:
    built = (_built(entry, fields[entry.tag], order) for entry in entries if entry.tag in fields)
    return [entry for entry in built if entry is not None]


def _built(entry: Entry, wanted: str | _Numbers, order: str) -> Entry | None:
    """The entry made anew; None where it is not as its field wants it."""
    if isinstance(wanted, str):
        text = entry.value.split(b"\0")[0].decode("latin-1").strip() if entry.type == _ASCII else ""
        return _text(entry.tag, text) if _PATTERNS[wanted].fullmatch(text) else None
    types, count = wanted
    values = tiff.numbers(entry, order) if entry.type in types and entry.length == count else None
    return None if values is None else tiff.packed_numbers(entry.tag, entry.type, values, "<")


def _text(tag: int, text: str) -> Entry:
    value = text.encode() + b"\0"
    return Entry(tag, _ASCII, len(value), value)


def _block(first: list[Entry], inner: list[Entry]) -> bytes:
    upright = tiff.packed_numbers(_ORIENTATION, tiff.SHORT, [1], "<")
    return tiff.block([*first, upright], [*inner, _EXIF_VERSION] if inner else [])


def _credited(exif: bytes | None, credit: Mapping[int, str]) -> bytes:
    """A block of ours, or a new one, with artist and copyright in it."""
    block, order = tiff.opened(exif or b"")
    first, inner = tiff.first_and_exif(block, order)
    kept = _kept(first, _FIRST, order) + [_text(tag, text) for tag, text in credit.items() if text]
    return _block(kept, _kept(inner, _EXIF, order))


def _credit(text: bytes | str) -> str:
    """Artist or copyright in one line; cut off where it is long."""
    if isinstance(text, bytes):
        try:
            return _credit(text.decode("utf-8"))
        except UnicodeDecodeError:
            return _credit(text.decode("latin-1"))
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:_LONGEST_CREDIT]


def _parsed(xmp: bytes) -> list[Any]:
    """The descriptions of an XMP packet; none where it cannot be read."""
    try:
        text = xmp.strip(b"\0 \r\n\t").decode("utf-8-sig")
        # Entities can only be declared in a document type, which XMP never has.
        if not text or len(text) > _LONGEST_PACKET or "<!DOCTYPE" in text or "<!ENTITY" in text:
            return []
        return list(ElementTree.fromstring(text).iterfind(f".//{_RDF}Description"))
    except Exception:  # expat, Unicode, recursion: a packet that cannot be read is not kept
        return []


def _rebuilt(descriptions: list[Any]) -> bytes | None:
    """A packet with the properties of the list, as attributes of one description."""
    found: dict[str, str] = {}
    for description in descriptions:
        simple = {child.tag: child.text or "" for child in description if not len(child)}
        for qualified, value in {**simple, **description.attrib}.items():
            name = _QUALIFIED.get(qualified, "")
            match = _PROPERTIES[name].fullmatch(value.strip()) if name else None
            if match:
                found.setdefault(name, match[1] if match.re is _XMP_DATE else match[0])
    if not found:
        return None
    prefixes = dict.fromkeys(name.partition(":")[0] for name in found)
    namespaces = "".join(f' xmlns:{prefix}="{_NAMESPACES[prefix]}"' for prefix in prefixes)
    properties = "".join(f" {name}={quoteattr(value)}" for name, value in found.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF[1:-1]}">'
        f'<rdf:Description rdf:about=""{namespaces}{properties}/></rdf:RDF></x:xmpmeta>'
    ).encode()


def _listed(descriptions: list[Any], name: str) -> str:
    """The texts of a property of Dublin Core, which is a list."""
    texts = (item.text for each in descriptions for item in each.findall(f"{_DC}{name}/*/{_RDF}li"))
    return _credit("; ".join(text for text in texts if text))
