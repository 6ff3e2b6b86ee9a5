"""What a file claims is read from its bytes, and what no camera writes is refused before any decoder runs."""

import struct
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stalling_images import REFUSED, jpeg_scans, jpeg_segments, png_chunks, png_texts, small

from veil.images import ImageError, Limits, containers, decode, decoders, decoding, load, structure
from veil.images.containers import InMemory, OnDisk, Structure, check_exif
from veil.images.structure import examine

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")


def of(data: bytes) -> Structure:
    return examine(InMemory(data))


def unreachable(*_: object) -> None:
    raise AssertionError("a decoder was reached")


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_stall_are_refused_before_a_decoder_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make, message = REFUSED[name]
    for decoder in ("photo", "rgb"):
        monkeypatch.setattr(decoders, decoder, unreachable)
    monkeypatch.setattr(decoding.POOL, "decode", unreachable)
    (tmp_path / name).write_bytes(make())
    with pytest.raises(ImageError, match=message) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", FORMATS)
def test_sizes_are_those_of_the_decoder(tmp_path: Path, format: str) -> None:
    for side in (1, 7, 300):
        data = small(format, "L" if format == "GIF" else "RGB", side)
        (tmp_path / "photo").write_bytes(data)
        with (tmp_path / "photo").open("rb") as handle:
            on_disk = examine(OnDisk(handle, len(data)))
        assert of(data) == on_disk
        assert (on_disk.width, on_disk.height, on_disk.pixels) == (side, side, side * side)


def test_sizes_of_heic_and_of_older_headers() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = BytesIO()
    heif.from_pillow(Image.new("RGB", (70, 50))).save(buffer)
    assert of(buffer.getvalue()).pixels == 70 * 64  # coded in squares
    assert decode(buffer.getvalue(), limits=Limits(max_pixels=70 * 50)).pixels.shape == (3, 50, 70)
    assert of(b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 9, 5, 1, 24)).pixels == 45
    assert of(b"P6 # a comment\n 9\n5 255\n").pixels == 45
    assert of(b"P6 nothing").pixels is None


def test_only_small_and_simple_files_are_decoded_in_this_process() -> None:
    def here(data: bytes, seconds: float = 20) -> bool:
        return decoding._may_decode_here(of(data), len(data), Limits(seconds=seconds))

    assert here(small("PNG"))
    assert here(small("JPEG"))
    assert here(small("JPEG", progressive=True))
    assert not here(small("PNG"), seconds=1)  # the deadline holds for every file
    assert not any(here(small(format)) for format in ("WEBP", "TIFF", "BMP", "PPM"))
    assert not here(small("JPEG", side=2100))
    assert not here(small("PNG", side=2100))
    assert not here(jpeg_scans(scans=20))
    assert not here(png_texts(texts=9))
    assert not here(small("JPEG", icc_profile=bytes(5000)))
    assert not here(small("PNG", icc_profile=bytes(5000)))  # short only while it is packed


def test_what_real_files_have_is_far_below_the_limits() -> None:
    assert of(jpeg_scans(structure.MOST_SCANS - 6, side=64)).kind == "JPEG"
    assert of(jpeg_segments(structure.MOST_SEGMENTS - 20)).kind == "JPEG"
    assert of(png_chunks(structure.MOST_CHUNKS - 20)).kind == "PNG"
    assert decode(png_chunks(1000)).pixels.shape == (3, 64, 64)


def test_headers_are_refused_before_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is looked through on the disk, and takes no memory."""
    head = small("TIFF")
    monkeypatch.setattr(decoding, "_decoded", unreachable)
    with (tmp_path / "large.tiff").open("wb") as file:
        file.write(head)
        file.truncate(1 << 30)
    with pytest.raises(ImageError, match="1,073,741,824 bytes are more than a photo of 4,096 pixels needs"):
        load(tmp_path / "large.tiff")


def test_exif_may_be_short_or_broken_but_not_unpack_to_gigabytes() -> None:
    check_exif(b"")
    check_exif(b"Exif\0\0II*\0")
    check_exif(b"Exif\0\0nonsense that is no directory")
    with pytest.raises(ImageError, match=r"more than 4,194,304 bytes of EXIF"):
        check_exif(bytes(containers.MOST_EXIF + 1))
    with pytest.raises(ImageError, match="more than 4,096 entries"):
        check_exif(b"II*\0" + struct.pack("<IH", 8, 5000) + bytes(12 * 5000))


def test_a_damaged_further_page_does_not_cost_the_photo() -> None:
    data = small("TIFF") + b"\xff" * 100_000
    start = struct.unpack_from("<I", data, 4)[0]
    (entries,) = struct.unpack_from("<H", data, start)
    following = start + 2 + 12 * entries
    damaged = data[:following] + struct.pack("<I", len(data) - 90_000) + data[following + 4 :]
    assert decode(damaged).pixels.equal(decode(data).pixels)


@given(st.data())
def test_damaged_files_end_the_walk_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([small(f, "L" if f == "GIF" else "RGB", 9) for f in FORMATS])))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=12)):
        whole[at] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        assert of(bytes(whole[: data.draw(st.integers(0, len(whole)))])).pixels != 0
