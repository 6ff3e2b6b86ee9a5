"""What `--keep-metadata` keeps: a list of harmless fields, and of everything else not a byte. Read from the files."""

from pathlib import Path

import cards
import everything
import pytest
from commands import rows_of, veil
from everything import CREDIT, FORBIDDEN, FORMATS, KEPT, Base
from PIL import ExifTags, Image

from veil.images import decode, encode
from veil.images.metadata import Metadata, cleaned, cleaned_exif, cleaned_xmp
from veil.images.tiff_directories import Entry, block

WRITTEN = ("png", "jpeg", "webp", "tiff")
WIDE = [form.encode(code) for form in (FORBIDDEN,) for code in ("ascii", "utf-16-le", "utf-16-be")]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(cards.write(tmp_path_factory.mktemp("card")))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that hold everything."""
    folder = tmp_path_factory.mktemp("photos")
    for form in FORMATS:
        try:
            (folder / f"{form}.{form}").write_bytes(getattr(everything, form)())
        except pytest.skip.Exception:
            continue
    return folder


def test_the_sources_hold_what_is_to_vanish(photos: Path) -> None:
    """Else the tests below would show nothing."""
    for file in photos.iterdir():
        content = everything.contents(file.read_bytes())
        least = 30 if file.suffix != ".heic" else 15
        assert content.count(FORBIDDEN.encode()) > least, file
        assert all(kept.encode() in content for kept in (*KEPT[:2], *CREDIT)), file


@pytest.mark.parametrize(
    "keep", [(), ("--keep-metadata",), ("--keep-copyright",), ("--keep-metadata", "--keep-copyright")]
)
@pytest.mark.parametrize("form", WRITTEN)
def test_nothing_else_is_in_the_files(
    photos: Path, card: str, form: str, keep: tuple[str, ...], tmp_path: Path
) -> None:
    """REVIEW S7. 7c1583f kept UserComment, descriptions, serial numbers, persons and keywords in XMP."""
    out = tmp_path / "out"
    command = ("protect", photos, "-o", out, "-m", card, "--format", form, "--max-iterations", 1, "--retries", 0)
    assert veil(*command, *keep) in (0, 3)
    rows = rows_of(out)
    assert len(rows) == len(list(photos.iterdir()))
    for row in rows:
        content = everything.contents((out / row["out"]).read_bytes())
        assert not any(marker in content for marker in (*WIDE, b"52,31", b"+09:00", b"GPS", b"8BIM", b"MakerNote"))
        for texts, option in ((KEPT, "--keep-metadata"), (CREDIT, "--keep-copyright")):
            assert all((text.encode() in content) == (option in keep) for text in texts), (row["file"], option)


@pytest.mark.parametrize("form", WRITTEN)
def test_the_kept_fields_have_their_values(photos: Path, form: str, tmp_path: Path) -> None:
    for file in photos.iterdir():
        kept = tmp_path / f"{file.name}.{form}"
        kept.write_bytes(encode(decode(file.read_bytes()), form, keep_metadata=True, keep_copyright=True))
        with Image.open(kept) as image:
            exif, inner = image.getexif(), image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert (exif[Base.Make], exif[Base.Model], exif[Base.Artist]) == (*KEPT[:2], CREDIT[0])
        assert (exif[Base.XResolution], exif[Base.Orientation]) == (300, 1)
        assert (inner[Base.FNumber], inner[Base.ISOSpeedRatings], inner[Base.Flash]) == (2.8, 400, 16)
        assert (inner[Base.ExposureTime], inner[Base.FocalLength]) == (pytest.approx(1 / 125), 50)
        assert (inner[Base.LensModel], inner[Base.DateTimeOriginal]) == (KEPT[3], KEPT[4])
        again = decode(kept.read_bytes())
        assert again.metadata is not None
        assert again.metadata.chosen(harmless=True, credit=False) is not None


@pytest.mark.parametrize(
    "entry",
    [
        Entry(Base.Make, 2, 66, b"x" * 65 + b"\0"), Entry(Base.Make, 2, 9, b"tab\there\0"),
        Entry(Base.Make, 7, 2, b"ab"),
        Entry(Base.Model, 2, 6, b"gr\xf6\xdfe\0"), Entry(Base.Model, 2, 3, b"  \0"),
        Entry(Base.DateTime, 2, 20, b"in Berlin, 2 January"),
        Entry(Base.DateTime, 2, 24, b"2026:01:02 03:04:05 CET\0"), Entry(Base.XResolution, 2, 8, b"Ada L.\0\0"),
        Entry(Base.XResolution, 5, 2, b"Ada Lovelace 181"), Entry(Base.ResolutionUnit, 3, 4, b"Ada L.\0\0"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_as_its_field_is_goes(entry: Entry) -> None:
    """A field of the list is no place to hide text in."""
    assert cleaned_exif(block([entry], [])) is None


def test_what_stands_behind_the_end_of_a_text_goes() -> None:
    exif = Image.Exif()
    exif[Base.Make] = f"Maker\0{FORBIDDEN}"
    kept = cleaned_exif(exif.tobytes())
    assert kept is not None
    assert b"Maker\0" in kept
    assert FORBIDDEN.encode() not in kept


def test_xmp_is_built_anew() -> None:
    kept = cleaned_xmp(everything.xmp())
    assert kept is not None
    assert b'exif:DateTimeOriginal="2026-01-02T03:04:05"' in kept
    assert b'aux:Lens="Lens 50mm f/1.8"' in kept
    assert b"exif:ExposureTime" not in kept  # its value is no number
    assert cleaned_xmp(kept) == kept


def test_credit_may_stand_in_either_block() -> None:
    """Of pictures without EXIF, XMP names the artist."""
    found = cleaned(None, everything.xmp())
    assert found is not None
    assert (found.artist, found.copyright) == CREDIT
    assert Metadata(artist="A. Person").chosen(harmless=True, credit=False) is None
    chosen = Metadata(artist="A. Person").chosen(harmless=False, credit=True)
    assert chosen is not None
    assert b"A. Person" in (chosen.exif or b"")
