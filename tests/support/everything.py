"""Image files that hold everything: each forbidden field has a marker of its own, and so has each that may be kept."""

import struct
import zlib
from io import BytesIO

from PIL import ExifTags, Image, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from veil.images.tiff_directories import Entry, into_tiff

Base, IFD = ExifTags.Base, ExifTags.IFD
FORBIDDEN = "forbid-"
KEPT = ("Camera Maker", "Camera Model 5", "Lens Maker", "Lens 50mm f/1.8", "2026:01:02 03:04:05")
CREDIT = ("An Artist", "Copyright Holder")
FORMATS = ("jpeg", "png", "webp", "tiff", "heic")


def picture(width: int = 40, height: int = 30) -> Image.Image:
    """A small picture in colour."""
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")


def thumbnail() -> bytes:
    """A JPEG with a marker in it."""
    buffer = BytesIO()
    picture(8, 8).save(buffer, "JPEG", comment=f"{FORBIDDEN}thumbnail".encode())
    return buffer.getvalue()


def exif() -> Image.Exif:
    """An EXIF block: first directory, EXIF, place, interoperability, and tags that nobody knows."""
    block = Image.Exif()
    for tag, value in {Base.Make: KEPT[0], Base.Model: KEPT[1], Base.DateTime: KEPT[4], Base.XResolution: 300.0,
                       Base.ResolutionUnit: 2, Base.Artist: CREDIT[0], Base.Copyright: CREDIT[1],
                       Base.Orientation: 6}.items():  # fmt: skip
        block[tag] = value
    for tag in (Base.ImageDescription, Base.DocumentName, Base.Software, Base.HostComputer, Base.PageName, 0xC62F,
                0x4749 + 40, 0xFDE8, 0xC614):  # fmt: skip
        block[tag] = f"{FORBIDDEN}{tag}"
    for tag in range(0x9C9B, 0x9CA0):  # Windows: title, comment, author, keywords, subject
        block[tag] = f"{FORBIDDEN}{tag}".encode("utf-16-le")
    block[0x8649], block[0x83BB] = iptc_block(), iptc()
    inner = block.get_ifd(IFD.Exif)
    for tag, kept in {Base.ExposureTime: IFDRational(1, 125),
                      Base.FNumber: IFDRational(28, 10), Base.ISOSpeedRatings: 400, Base.Flash: 16,
                      Base.DateTimeOriginal: KEPT[4], Base.FocalLength: IFDRational(50, 1), Base.LensMake: KEPT[2],
                      Base.LensModel: KEPT[3], Base.MakerNote: f"{FORBIDDEN}maker".encode() + thumbnail(),
                      Base.UserComment: f"ASCII\0\0\0{FORBIDDEN}comment 52.5N".encode()}.items():  # fmt: skip
        inner[tag] = kept
    for tag in (Base.CameraOwnerName, Base.BodySerialNumber, Base.LensSerialNumber, Base.ImageUniqueID, 0xA436, 0xA437,
                0xA438, 0xA439, 0xA43A, Base.SpectralSensitivity, Base.RelatedSoundFile, Base.OffsetTime,
                Base.OffsetTimeOriginal, 0xFDE9):  # fmt: skip
        inner[tag] = f"{FORBIDDEN}{tag}"
    inner[IFD.Interop] = {1: f"{FORBIDDEN}interop"}
    block.get_ifd(IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = f"{FORBIDDEN}area".encode()
    block.get_ifd(IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return block


def iptc() -> bytes:
    """City, keywords, by-line and caption."""
    fields = ((0x5A, "city"), (0x19, "keyword"), (0x50, "byline"), (0x78, "caption"))
    return b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(FORBIDDEN + name)) + (FORBIDDEN + name).encode()
        for number, name in fields
    )


def iptc_block() -> bytes:
    """The same in Photoshop's block, as JPEG and TIFF hold it."""
    data = iptc()
    return b"8BIM\4\4\0\0" + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)


def xmp() -> bytes:
    """Persons with regions, places, keywords, serial numbers, history, thumbnails, and what may be kept."""
    f = FORBIDDEN
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="{f}toolkit">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><!-- {f}xmlcomment -->
<rdf:Description rdf:about="{f}about" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
 xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
 xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/" xmlns:own="http://example.org/own/"
 tiff:Make="{KEPT[0]}" tiff:Model="{KEPT[1]}" aux:Lens="{KEPT[3]}" aux:SerialNumber="{f}serial"
 aux:OwnerName="{f}owner" aux:LensSerialNumber="{f}lensserial" exif:FNumber="28/10"
 exif:DateTimeOriginal="2026-01-02T03:04:05+09:00" exif:ExposureTime="{f}nonumber" tiff:Software="{f}software"
 photoshop:City="{f}city" photoshop:Headline="{f}headline" Iptc4xmpCore:Location="{f}location"
 MicrosoftPhoto:CameraSerialNumber="{f}msserial" own:Unknown="{f}unknown" xmp:CreatorTool="{f}tool"
 exif:GPSLatitude="52,31N" xmp:Label="{f}label">
<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li>
<rdf:Description mwg-rs:Name="{f}person" mwg-rs:Type="Face"><mwg-rs:Area stArea:x="0.5"/></rdf:Description>
</rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>
<dc:subject><rdf:Bag><rdf:li>{f}keyword</rdf:li></rdf:Bag></dc:subject>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{f}description</rdf:li></rdf:Alt></dc:description>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{f}title</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>{CREDIT[0]}</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">{CREDIT[1]}</rdf:li></rdf:Alt></dc:rights>
<lr:hierarchicalSubject><rdf:Bag><rdf:li>{f}people|{f}name</rdf:li></rdf:Bag></lr:hierarchicalSubject>
<xmpMM:History><rdf:Seq><rdf:li>{f}history</rdf:li></rdf:Seq></xmpMM:History>
<own:Text>{f}text</own:Text>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


def jpeg() -> bytes:
    """With a comment, IPTC, and a second picture's worth of bytes behind the end."""
    buffer = BytesIO()
    picture().save(buffer, "JPEG", exif=exif(), xmp=xmp(), comment=f"{FORBIDDEN}jpegcomment".encode(), dpi=(72, 72))
    data, block = buffer.getvalue(), b"Photoshop 3.0\0" + iptc_block()
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    return data[:2] + segment + data[2:] + f"{FORBIDDEN}behind".encode()


def png() -> bytes:
    """With text of all three kinds, and a chunk that nobody knows."""
    buffer, info = BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("Comment", f"{FORBIDDEN}text")
    info.add_text("Author", f"{FORBIDDEN}ztext", zip=True)
    info.add_itxt("Description", f"{FORBIDDEN}itext", lang="en")
    info.add_itxt("XML:com.adobe.xmp", xmp().decode())
    info.add(b"prVt", f"{FORBIDDEN}chunk".encode())
    picture().save(buffer, "PNG", exif=exif(), pnginfo=info)
    return buffer.getvalue()


def webp() -> bytes:
    """With EXIF and XMP."""
    buffer = BytesIO()
    picture().save(buffer, "WEBP", exif=exif(), xmp=xmp(), lossless=True)
    return buffer.getvalue()


def tiff() -> bytes:
    """With tags of its own, XMP and IPTC among them."""
    buffer = BytesIO()
    picture().save(buffer, "TIFF")
    return into_tiff(buffer.getvalue(), exif().tobytes(), [Entry(700, 1, len(xmp()), xmp())])


def heic() -> bytes:
    """With EXIF and XMP; skips where pillow-heif is not installed."""
    import pytest

    pillow_heif = pytest.importorskip("pillow_heif")
    image, buffer = pillow_heif.from_pillow(picture(64, 64)), BytesIO()
    image.info["exif"], image.info["xmp"] = exif().tobytes(), xmp()
    image.save(buffer, quality=95)
    return bytes(buffer.getvalue())


def contents(data: bytes) -> bytes:
    """A file's bytes, and after them what its PNG chunks hold packed."""
    packed = [data]
    place = 8
    while data.startswith(b"\x89PNG") and place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, chunk = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if name in (b"zTXt", b"iTXt", b"iCCP") and b"x\x9c" in chunk:
            packed.append(zlib.decompressobj().decompress(chunk[chunk.index(b"x\x9c") :]))
        place += 12 + length
    return b"".join(packed)
