"""A corpus of broken and odd image files: what folders of photos hold in the end. Always the same files.

A reader must either read each as a picture or refuse it politely; nothing here may end a program.
"""

import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

MODES = (
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I;16", "I;16L", "I;16B", "I", "F"),
)
WRITERS = {
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG"},
    "webp": {"format": "WEBP"},
    "lossless.webp": {"format": "WEBP", "lossless": True},
    "tif": {"format": "TIFF"},
    "deflate.tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "lzw.tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "gif": {"format": "GIF"},
    "bmp": {"format": "BMP"},
    "ppm": {"format": "PPM"},
}
COMMON = ("png", "jpg", "webp", "tif", "lzw.tif", "gif", "bmp")
NAMES = (
    "with space.jpg",
    "'single'.jpg",
    'double".jpg',
    "two\nlines.jpg",
    "tab\there.jpg",
    "größe-写真-📷.jpg",
    "<b>&amp;.jpg",
    "-rf.jpg",
    "--help.jpg",
    "%s%n$HOME`ls`.jpg",
    "C:\\photo.jpg",
    "[red]rich[/red].jpg",
    ".hidden.jpg",
    "UPPER.JPG",
    "two.dots..jpg",
    "e\u0301.jpg",
    "\u202egpj.jpg",
    "x" * 240 + ".jpg",
    b"invalid-\xff\xfe.jpg".decode("utf-8", "surrogateescape"),
)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,31N"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'


def corpus(folder: Path) -> list[Path]:
    """Writes more than 300 files (and links, a pipe, a folder) into ``folder``; returns them sorted by name.

    What the file system or the rights of this process do not permit is left out: some names; the unreadable
    file where this is root; HEIC without pillow-heif.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    for name, content in _contents():
        path = folder / name
        assert name not in written, f"{name} written twice"
        try:
            path.write_bytes(content)
        except (OSError, ValueError):  # a name that this file system refuses
            continue
        written[name] = path
    for name, make in _not_files().items():
        path = folder / name
        with suppress(OSError, NotImplementedError):
            make(path)
            written[name] = path
    unreadable = folder / "unreadable.jpg"
    if os.name == "posix" and os.geteuid() != 0:
        unreadable.write_bytes(_encoded(picture("RGB"), "jpg"))
        unreadable.chmod(0)
        written[unreadable.name] = unreadable
    return [written[name] for name in sorted(written)]


def picture(mode: str, width: int = 24, height: int = 17, seed: int = 0) -> Image.Image:
    """A smooth ramp with noise in one of `MODES`, the same for the same arguments."""
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 4))
    ramp = np.add.outer(np.arange(height) * 5, np.arange(width) * 3)[..., None]
    values = ((ramp + noise) % 256).astype(np.uint8)
    bands = Image.getmodebands(mode) if mode != "RGBX" else 4
    grey = Image.fromarray(values[..., 0].copy())
    if mode in ("1", "P", "I", "F"):
        return grey.convert("RGB").convert(mode) if mode == "P" else grey.convert(mode)
    if mode == "PA":
        return Image.fromarray(values).convert("RGB").convert("P").convert("PA")
    if mode.startswith("I;16"):
        order = ">" if mode.endswith("B") else "<"
        wide = (values[..., 0].astype(np.uint16) * 257 + 3).astype(f"{order}u2")
        return Image.frombytes(mode, (width, height), wide.tobytes())
    return Image.frombytes(mode, (width, height), values[..., :bands].tobytes()) if bands > 1 else grey


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG made by hand: ``rows`` are the raw samples, ``chunks`` go before them. Sizes are not checked."""
    stride = len(rows) // height if rows else 0
    filtered = b"".join(b"\0" + rows[start : start + stride] for start in range(0, len(rows), max(stride, 1)))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    every = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in every
    )


def srgb_profile() -> bytes:
    """An ICC profile, without the time at which it was made."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]


def with_segment(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG with one more application segment at its start."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def _contents() -> Iterator[tuple[str, bytes]]:
    yield from _modes()
    yield from _damaged()
    yield from _metadata()
    yield from _hand_made_png()
    yield from _moving()
    yield from _bombs()
    yield from _no_images()
    yield from _heic()
    for name in NAMES:
        yield name, _encoded(picture("RGB"), "jpg")


def _modes() -> Iterator[tuple[str, bytes]]:
    for mode in MODES:
        for suffix in WRITERS:
            with suppress(OSError, ValueError, KeyError):  # Pillow does not write every mode
                yield f"mode-{mode.replace(';', '-')}.{suffix}", _encoded(picture(mode), suffix)
    for width, height in ((1, 1), (1, 64), (64, 1), (2, 3), (63, 64)):
        for suffix in COMMON:
            yield f"size-{width}x{height}.{suffix}", _encoded(picture("RGB", width, height), suffix)
    yield "cmyk-adobe.jpg", with_segment(_encoded(picture("CMYK"), "jpg"), 0xEE, b"Adobe\0d\0\0\0\0\2")
    yield "progressive.jpg", _encoded(picture("RGB"), "jpg", progressive=True)
    yield "interlaced.gif", _encoded(picture("P"), "gif", interlace=1)
    yield "transparent.gif", _encoded(picture("P"), "gif", transparency=3)
    yield "right-content-wrong-suffix.jpg", _encoded(picture("RGB"), "png")
    yield "right-content-wrong-suffix.png", _encoded(picture("RGB"), "webp")
    yield "right-content-no-suffix", _encoded(picture("RGB"), "jpg")


def _damaged() -> Iterator[tuple[str, bytes]]:
    for suffix in COMMON:
        whole = _encoded(picture("RGB", 40, 30), suffix)
        for seed in range(14):
            yield f"mutated-{seed}.{suffix}", _mutated(whole, seed)
        for seed in range(6):
            yield f"header-mutated-{seed}.{suffix}", _mutated(whole[:64], seed, 3) + whole[64:]
        for length in (1, 4, 8, 12, 20, 33, 60, len(whole) // 2, len(whole) - 20, len(whole) - 1):
            yield f"truncated-{length}.{suffix}", whole[:length]
        yield f"trailing.{suffix}", whole + b"<html>" * 9
        yield f"zeros-behind.{suffix}", whole[: len(whole) // 2] + bytes(len(whole) // 2)


def _metadata() -> Iterator[tuple[str, bytes]]:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "Model"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0)})
    profile = srgb_profile()
    for suffix in ("png", "jpg", "webp", "tif"):
        image = picture("RGB", 40, 30)
        for turn in range(1, 9):
            exif[0x0112] = turn
            yield f"orientation-{turn}.{suffix}", _encoded(image, suffix, exif=exif.tobytes())
        for value in (0, 9, 65535):
            exif[0x0112] = value
            yield f"orientation-{value}.{suffix}", _encoded(image, suffix, exif=exif.tobytes())
        exif[0x0112] = 6
        block = exif.tobytes()
        if suffix != "tif":
            for seed in range(8):
                broken = b"Exif\0\0" + _mutated(block[6:], seed, 6)
                yield f"exif-mutated-{seed}.{suffix}", _encoded(image, suffix, exif=broken)
        whole = _encoded(image, suffix, exif=block, icc_profile=profile)
        for seed in range(5):
            yield f"rich-mutated-{seed}.{suffix}", _mutated(whole, seed, 12)
        yield f"icc-srgb.{suffix}", _encoded(image, suffix, icc_profile=profile)
        yield f"icc-mutated.{suffix}", _encoded(image, suffix, icc_profile=_mutated(profile, 1, 40))
        yield f"icc-truncated.{suffix}", _encoded(image, suffix, icc_profile=profile[:200])
        yield f"icc-nonsense.{suffix}", _encoded(image, suffix, icc_profile=b"no profile at all")
        yield f"icc-on-grey.{suffix}", _encoded(picture("L"), suffix, icc_profile=profile)
    for name, packet in {
        "gps": XMP,
        "entities": ENTITIES,
        "nonsense": b"<x><y>",
        "deep": b"<a>" * 9000,
    }.items():
        yield f"xmp-{name}.jpg", _encoded(picture("RGB"), "jpg", xmp=packet)
    jpeg = _encoded(picture("RGB"), "jpg")
    for marker in (0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE):
        for name, data in {
            "empty": b"",
            "jfif": b"JFIF\0",
            "exif": b"Exif\0\0II",
            "icc": b"ICC_PROFILE\0",
            "adobe": b"Adobe",
            "photoshop": b"Photoshop 3.0\0008BIM\4",
            "mpf": b"MPF\0MM\0*\0\0\0\x08",
        }.items():
            yield f"segment-{marker:02x}-{name}.jpg", with_segment(jpeg, marker, data)


def _hand_made_png() -> Iterator[tuple[str, bytes]]:
    random_bytes = random.Random(5).randbytes
    for name, depth, colour, samples, key in (
        ("grey16", 16, 0, 2, b"\1\2"),
        ("rgb16", 16, 2, 6, b"\1\2\3\4\5\6"),
        ("greyalpha16", 16, 4, 4, b""),
        ("rgba16", 16, 6, 8, b""),
        ("grey8", 8, 0, 1, b"\0\7"),
        ("rgb8", 8, 2, 3, b"\0\1\0\2\0\3"),
    ):
        chunks = ((b"tRNS", key),) if key else ()
        yield f"{name}.png", png(9, 5, depth, colour, random_bytes(9 * 5 * samples), *chunks)
    for depth in (1, 2, 4):
        yield f"grey{depth}-key.png", png(16, 5, depth, 0, random_bytes(2 * depth * 5), (b"tRNS", b"\0\1"))
    rows, colours = random_bytes(45), (b"PLTE", random_bytes(768))
    yield "palette.png", png(9, 5, 8, 3, rows, colours)
    yield "palette-alpha.png", png(9, 5, 8, 3, rows, colours, (b"tRNS", random_bytes(256)))
    yield "palette-one-key.png", png(9, 5, 8, 3, rows, colours, (b"tRNS", b"\xff\xff\0"))
    yield "palette-short.png", png(9, 5, 8, 3, rows, (b"PLTE", b"\1\2\3"))
    yield "palette-missing.png", png(9, 5, 8, 3, rows)
    yield "palette-alpha-too-long.png", png(9, 5, 8, 3, rows, colours, (b"tRNS", bytes(300)))
    grey = bytes(45)
    for name, chunk in {
        "text-transparency": (b"tEXt", b"transparency\0yes"),
        "text-icc": (b"tEXt", b"icc_profile\0yes"),
        "text-exif": (b"tEXt", b"exif\0yes"),
        "text-bomb": (b"zTXt", b"k\0\0" + zlib.compress(bytes(3_000_000))),
        "text-method": (b"zTXt", b"k\0\7abc"),
        "icc-bomb": (b"iCCP", b"k\0\0" + zlib.compress(bytes(3_000_000))),
        "icc-method": (b"iCCP", b"k\0\7abc"),
        "gamma-short": (b"gAMA", b"\0"),
        "chroma-short": (b"cHRM", b"\0"),
        "key-short": (b"tRNS", b""),
        "animation-short": (b"acTL", b"\0"),
        "animation-none": (b"acTL", bytes(8)),
        "unknown": (b"veIl", b"?"),
        "unknown-critical": (b"VEIL", b"?"),
    }.items():
        yield f"chunk-{name}.png", png(9, 5, 8, 0, grey, chunk)
    yield "checksum-text.png", png(9, 5, 8, 0, grey, (b"tEXt", b"a\0value")).replace(b"value", b"wrong")
    yield "zero-width.png", png(0, 5, 8, 0, b"")
    yield "zero-height.png", png(5, 0, 8, 0, b"")
    yield "no-rows.png", png(5, 5, 8, 0, b"")


def _moving() -> Iterator[tuple[str, bytes]]:
    frames = [picture("RGB", seed=seed) for seed in range(3)]
    more = {"save_all": True, "append_images": frames[1:]}
    yield "animated.gif", _encoded(frames[0], "gif", **more, duration=100)
    yield "animated.webp", _encoded(frames[0], "webp", **more, duration=100)
    yield "animated.png", _encoded(frames[0], "png", **more, duration=100)
    yield "animated-hidden-first.png", _encoded(frames[0], "png", **more, default_image=True)
    pages = bytearray(_encoded(frames[0], "tif", **more))
    yield "pages.tif", bytes(pages)
    (first,) = struct.unpack_from("<I", pages, 4)
    (entries,) = struct.unpack_from("<H", pages, first)
    for name, offset in {"behind-the-end": 2**31, "to-itself": first, "into-the-header": 1}.items():
        struct.pack_into("<I", pages, first + 2 + 12 * entries, offset)
        yield f"pages-{name}.tif", bytes(pages)
    buffer = BytesIO()
    frames[0].save(buffer, "MPO", **more)  # the last: it leaves its settings in the frames
    yield "stereo.jpg", buffer.getvalue()


def _bombs() -> Iterator[tuple[str, bytes]]:
    for side in (10_001, 20_000, 100_000):
        yield f"claims-{side}.png", png(side, side, 8, 2, b"")
    gif = bytearray(_encoded(picture("P"), "gif"))
    struct.pack_into("<HH", gif, 6, 65535, 65535)
    yield "claims-65535.gif", bytes(gif)
    bmp = bytearray(_encoded(picture("RGB"), "bmp"))
    struct.pack_into("<ii", bmp, 18, 2**31 - 1, -(2**31))
    yield "claims-2147483647.bmp", bytes(bmp)
    jpeg = _encoded(picture("RGB"), "jpg")
    start = jpeg.index(b"\xff\xc0")
    yield "claims-65535.jpg", jpeg[: start + 5] + b"\xff\xff\xff\xff" + jpeg[start + 9 :]
    webp = bytearray(_encoded(picture("RGB"), "lossless.webp"))
    struct.pack_into("<I", webp, 21, 2**28 - 1)
    yield "claims-16384.webp", bytes(webp)
    tiff = _encoded(picture("RGB"), "tif").replace(
        struct.pack("<HHIHH", 256, 4, 1, 24, 0), struct.pack("<HHII", 256, 4, 1, 2**31 - 1)
    )
    yield "claims-2147483647.tif", tiff
    yield "claims-1000000000.ppm", b"P6\n1000000000 1000000000\n255\n"


def _no_images() -> Iterator[tuple[str, bytes]]:
    yield "empty.jpg", b""
    yield "empty.png", b""
    yield "text.jpg", b"This is a text about a photo.\n" * 9
    yield "web-page.png", b"<!DOCTYPE html><title>404</title>"
    yield "drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    yield "postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n"
    yield "document.tif", b"%PDF-1.7\n%%EOF\n"
    yield "archive.webp", b"PK\3\4" + bytes(60)
    yield "program.gif", b"\x7fELF" + bytes(60)
    yield "zeros.bmp", bytes(500)
    yield "random.png", random.Random(9).randbytes(500)
    yield "sound.webp", b"RIFF\x20\0\0\0WAVEfmt " + bytes(60)
    yield "film.heic", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(60)
    for name, signature in {
        "png": b"\x89PNG\r\n\x1a\n",
        "jpg": b"\xff\xd8\xff",
        "gif": b"GIF89a",
        "bmp": b"BM",
        "tif": b"II*\0",
        "webp": b"RIFF\0\0\0\0WEBPVP8 ",
        "heic": b"\0\0\0\x18ftypheic",
        "ppm": b"P6 ",
    }.items():
        yield f"signature-only.{name}", signature
        yield f"signature-and-noise.{name}", signature + random.Random(3).randbytes(300)
    yield "words.ppm", b"P3\nten ten\n255\n"
    yield "ascii.ppm", b"P3\n2 2\n255\n" + b"1 2 3 " * 4
    yield "sixteen.ppm", b"P6\n2 2\n65535\n" + bytes(range(24))
    yield "sixteen.pgm", b"P5\n2 2\n65535\n" + bytes(range(8))


def _heic() -> Iterator[tuple[str, bytes]]:
    try:
        import pillow_heif
    except ImportError:
        return
    for mode in ("L", "RGB", "RGBA"):
        buffer = BytesIO()
        pillow_heif.from_pillow(picture(mode, 64, 48)).save(buffer, quality=60)
        yield f"mode-{mode}.heic", buffer.getvalue()
    whole = buffer.getvalue()
    for seed in range(6):
        yield f"mutated-{seed}.heic", _mutated(whole, seed)
    for length in (30, 200, len(whole) // 2, len(whole) - 1):
        yield f"truncated-{length}.heic", whole[:length]


def _not_files() -> dict[str, Callable[[Path], None]]:
    return {
        "folder.jpg": lambda path: path.mkdir(exist_ok=True),
        "link-to-itself.jpg": lambda path: path.symlink_to(path.name),
        "link-to-nothing.jpg": lambda path: path.symlink_to("nothing.jpg"),
        "link-to-folder.jpg": lambda path: path.symlink_to("folder.jpg"),
        "link-to-photo.jpg": lambda path: path.symlink_to("UPPER.JPG"),
        "pipe.jpg": lambda path: os.mkfifo(path),
    }


def _mutated(content: bytes, seed: int, changes: int = 8) -> bytes:
    """``content`` with some bytes replaced at places and by values that ``seed`` decides."""
    generator, changed = random.Random(seed), bytearray(content)
    for _ in range(changes):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(changed)


def _encoded(image: Image.Image, suffix: str, **options: object) -> bytes:
    buffer = BytesIO()
    options = {**WRITERS[suffix], **options}
    if options["format"] == "PNG" and (xmp := options.pop("xmp", None)):
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    image.save(buffer, **options)
    return buffer.getvalue()
