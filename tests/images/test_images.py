"""Reading and writing photos: closed forms, Pillow and NumPy as references, and a corpus of broken files."""

import base64
import errno
import os
import stat
import struct
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from odd_images import ENTITIES, corpus, picture, png, srgb_profile, with_segment
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin

from veil.images import (
    FORMATS,
    MAX_PIXELS,
    SUFFIXES,
    ImageError,
    Limits,
    Metadata,
    Photo,
    content_digest,
    encode,
    load,
    quantise,
    save,
    to_float,
)
from veil.images.metadata import cleaned_exif, cleaned_xmp, orientation

LOSSLESS = [name for name, chosen in FORMATS.items() if chosen.lossless]
SECRET_THUMBNAIL = b"\xff\xd8\xff\xe0the unprotected photo, small\xff\xd9"
SECRET_MAKER = b"maker note with a place"
SECRET_BASE64 = base64.b64encode(b"the unprotected photo in XMP" * 3)


def photo(channels: int = 3, alpha: bool = False, height: int = 13, width: int = 21, seed: int = 0) -> Photo:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (channels, height, width), generator=generator, dtype=torch.uint8)
    transparency = torch.randint(0, 256, (height, width), generator=generator, dtype=torch.uint8)
    return Photo(pixels, transparency if alpha else None)


def loaded(folder: Path, content: bytes | Image.Image, format: str = "PNG", **options: object) -> Photo:
    """The photo that a file of these bytes, or of this picture written by Pillow, is read as."""
    path = folder / "photo"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path, format, **options)
    return load(path)


def channels_last(photo: Photo) -> np.ndarray:
    return photo.pixels.permute(1, 2, 0).numpy()


class TestRounding:
    @given(st.lists(st.floats(-2, 3, width=32), min_size=1))
    def test_quantise_is_within_half_a_level(self, values: list[float]) -> None:
        x = torch.tensor(values, dtype=torch.float64)
        levels = quantise(x)
        assert levels.dtype == torch.uint8
        assert levels.shape == x.shape
        assert ((levels - x.clamp(0, 1) * 255).abs() <= 0.5 + 1e-9).all()

    @pytest.mark.parametrize(
        ("value", "level"),
        [(0.0, 0), (1.0, 255), (0.999, 255), (0.0019, 0), (0.002, 1), (-3.0, 0), (7.0, 255)],
    )
    def test_quantise_rounds_to_nearest_and_clamps(self, value: float, level: int) -> None:
        assert quantise(torch.tensor(value)).item() == level

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_round_trip_keeps_every_level(self, dtype: torch.dtype) -> None:
        levels = torch.arange(256, dtype=torch.uint8)
        floats = to_float(levels)
        assert floats.dtype == torch.float32
        assert (floats.min(), floats.max()) == (0, 1)
        assert torch.equal(quantise(floats.to(dtype)), levels)

    def test_half_precision_is_widened_before_it_multiplies(self) -> None:
        x = torch.linspace(0, 1, 1000).to(torch.bfloat16)
        assert torch.equal(quantise(x), quantise(x.double()))

    def test_infinity_is_clamped_and_nan_refused(self) -> None:
        assert quantise(torch.tensor([float("inf"), -float("inf")])).tolist() == [255, 0]
        with pytest.raises(ValueError, match="NaN"):
            quantise(torch.tensor([0.5, float("nan")]))

    def test_wrong_types_are_refused(self) -> None:
        with pytest.raises(TypeError):
            quantise(torch.zeros(3, dtype=torch.uint8))
        with pytest.raises(TypeError):
            to_float(torch.zeros(3))
        with pytest.raises(TypeError):
            content_digest(torch.zeros(3))

    def test_digest_sees_content_and_shape_but_not_strides(self) -> None:
        pixels = photo().pixels
        assert len(content_digest(pixels)) == 32
        assert content_digest(pixels) == content_digest(pixels.transpose(1, 2).contiguous().transpose(1, 2))
        assert content_digest(pixels) != content_digest(pixels.reshape(3, 21, 13))
        changed = pixels.clone()
        changed[0, 0, 0] += 1
        assert content_digest(pixels) != content_digest(changed)


class TestPhoto:
    def test_with_pixels_keeps_the_rest(self) -> None:
        original = photo(1, alpha=True)
        other = original.with_pixels(photo(3, seed=1).pixels)
        assert other.alpha is original.alpha
        assert (other.height, other.width) == (13, 21)

    @pytest.mark.parametrize(
        "pixels",
        [
            torch.zeros(3, 4, 4),
            torch.zeros(2, 4, 4, dtype=torch.uint8),
            torch.zeros(4, 4, dtype=torch.uint8),
            torch.zeros(3, 0, 4, dtype=torch.uint8),
        ],
    )
    def test_wrong_pixels_are_refused(self, pixels: torch.Tensor) -> None:
        with pytest.raises(ValueError):
            Photo(pixels)

    def test_sizes_must_agree(self) -> None:
        with pytest.raises(ValueError, match="expected 13 × 21"):
            photo().with_pixels(photo(height=14).pixels)
        with pytest.raises(ValueError, match="alpha"):
            Photo(photo().pixels, torch.zeros(2, 2, dtype=torch.uint8))


class TestRoundTrip:
    @pytest.mark.parametrize("alpha", [False, True])
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("format", LOSSLESS)
    @pytest.mark.parametrize("size", [(13, 21), (1, 1), (1, 40), (40, 1)])
    def test_lossless(self, tmp_path: Path, format: str, channels: int, alpha: bool, size: tuple[int, int]) -> None:
        original = photo(channels, alpha, *size)
        if alpha:
            original.alpha[0, 0] = 0  # WebP drops an alpha that is opaque throughout
        path = tmp_path / f"photo{FORMATS[format].suffix}"
        assert save(original, path, format) == ()
        back = load(path)
        expected = original.pixels.expand(3, -1, -1) if format == "webp" else original.pixels
        assert torch.equal(back.pixels, expected)
        assert (back.alpha is None) == (not alpha)
        assert not alpha or torch.equal(back.alpha, original.alpha)
        assert back.notes == ()
        assert back.metadata is None

    def test_colours_under_full_transparency_survive(self, tmp_path: Path) -> None:
        original = Photo(photo().pixels, torch.zeros(13, 21, dtype=torch.uint8))
        for format in LOSSLESS:
            save(original, tmp_path / "photo", format)
            assert torch.equal(load(tmp_path / "photo").pixels, original.pixels)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_jpeg_is_close_and_without_chroma_subsampling(self, tmp_path: Path, channels: int) -> None:
        smooth = np.asarray(picture("RGB", 40, 30).resize((80, 60), Image.Resampling.BICUBIC))[..., :channels]
        original = Photo(torch.from_numpy(smooth.copy()).permute(2, 0, 1).contiguous())
        assert save(original, tmp_path / "photo.jpg", "jpeg") == ()
        back = load(tmp_path / "photo.jpg")
        assert back.pixels.shape == original.pixels.shape
        assert (back.pixels.float() - original.pixels.float()).abs().mean() < 3
        if channels == 3:
            with Image.open(tmp_path / "photo.jpg") as image:
                assert JpegImagePlugin.get_sampling(image) == 0

    def test_jpeg_quality_matters(self) -> None:
        assert len(encode(photo(), "jpeg", quality=50)) < len(encode(photo(), "jpeg", quality=95))

    def test_jpeg_flattens_alpha_over_white_and_says_so(self, tmp_path: Path) -> None:
        for level, transparency in ((0, 0), (0, 255), (100, 128), (255, 77)):
            original = Photo(
                torch.full((3, 16, 16), level, dtype=torch.uint8),
                torch.full((16, 16), transparency, dtype=torch.uint8),
            )
            assert save(original, tmp_path / "photo.jpg", "jpeg") == ("alpha flattened over white",)
            expected = round(255 - (255 - level) * transparency / 255)
            assert abs(load(tmp_path / "photo.jpg").pixels.float() - expected).max() <= 1

    @pytest.mark.parametrize("format", FORMATS)
    def test_same_photo_same_bytes(self, format: str) -> None:
        kept = Metadata(cleaned_exif(private_exif("<")), cleaned_xmp(private_xmp()))
        for keep in (False, True):
            first, second = (
                encode(Photo(photo(3, True).pixels, photo(3, True).alpha, kept), format, keep_metadata=keep)
                for _ in range(2)
            )
            assert first == second

    def test_format_is_known_by_content_not_by_name(self, tmp_path: Path) -> None:
        save(photo(), tmp_path / "photo.jpg", "png")
        assert torch.equal(load(tmp_path / "photo.jpg").pixels, photo().pixels)

    def test_paths_may_be_text(self, tmp_path: Path) -> None:
        save(photo(), str(tmp_path / "photo.png"))
        assert torch.equal(load(str(tmp_path / "photo.png")).pixels, photo().pixels)

    def test_tables_agree(self) -> None:
        assert {chosen.suffix for chosen in FORMATS.values()} <= SUFFIXES
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in SUFFIXES)


class TestOrientation:
    @pytest.mark.parametrize("turn", range(1, 9))
    @pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
    def test_as_pillow_turns_it(self, tmp_path: Path, format: str, turn: int) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = turn
        mode = "RGB" if format == "JPEG" else "RGBA"
        options = {"lossless": True} if format == "WEBP" else {}
        read = loaded(tmp_path, picture(mode), format, exif=exif.tobytes(), **options)
        # From memory: Pillow 13 leaves the size of a memory-mapped TIFF as it was.
        with Image.open(BytesIO((tmp_path / "photo").read_bytes())) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(channels_last(read), expected[..., :3])
        assert mode == "RGB" or np.array_equal(read.alpha.numpy(), expected[..., 3])
        assert bool(read.notes) == (turn != 1)

    @pytest.mark.parametrize("turn", range(1, 9))
    def test_heic_is_turned_once(self, tmp_path: Path, turn: int) -> None:
        pillow_heif = pytest.importorskip("pillow_heif")
        corner = np.zeros((48, 64, 3), np.uint8)
        corner[:24, :16] = 255, 120, 30
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = turn
        heif = pillow_heif.from_pillow(Image.fromarray(corner))
        heif.info["exif"] = exif.tobytes()
        heif.save(tmp_path / "photo.heic", quality=95)
        reference = Image.fromarray(corner)
        reference.getexif()[ExifTags.Base.Orientation] = turn
        expected = np.asarray(ImageOps.exif_transpose(reference))
        read = channels_last(load(tmp_path / "photo.heic"))
        assert read.shape == expected.shape
        assert np.abs(read.astype(int) - expected).mean() < 2

    @pytest.mark.parametrize(
        "block", [b"", b"Exif\0\0", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"]
    )
    def test_nonsense_is_upright(self, block: bytes) -> None:
        assert orientation(block) == 1
        assert cleaned_exif(block) is None


class TestSamples:
    """Every kind of pixels, against what NumPy makes of the samples."""

    def test_16_bit_grey_rounds_to_nearest_at_every_value(self, tmp_path: Path) -> None:
        values = np.arange(65536).reshape(256, 256)
        read = loaded(tmp_path, png(256, 256, 16, 0, values.astype(">u2").tobytes()))
        assert np.array_equal(read.pixels[0].numpy(), np.round(values / 257))
        assert read.notes == ("16 bit reduced to 8",)
        assert read.alpha is None

    @pytest.mark.parametrize(("colour", "samples"), [(2, 3), (4, 2), (6, 4)])
    def test_16_bit_png(self, tmp_path: Path, colour: int, samples: int) -> None:
        values = np.random.default_rng(0).integers(0, 65536, (9, 14, samples))
        read = loaded(tmp_path, png(14, 9, 16, colour, values.astype(">u2").tobytes()))
        expected = np.round(values / 257).astype(np.uint8)
        channels = 1 if colour == 4 else 3
        assert np.array_equal(channels_last(read), expected[..., :channels])
        assert (read.alpha is None) == (colour == 2)
        assert read.alpha is None or np.array_equal(read.alpha.numpy(), expected[..., -1])
        assert read.notes == ("16 bit reduced to 8",)

    @pytest.mark.parametrize("compression", [None, "zlib"])
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("samples", [1, 3, 4])
    def test_16_bit_tiff(self, tmp_path: Path, samples: int, order: str, compression: str | None) -> None:
        tifffile = pytest.importorskip("tifffile")
        values = np.random.default_rng(0).integers(0, 65536, (9, 14, samples), dtype=np.uint16)
        tifffile.imwrite(
            tmp_path / "photo.tif",
            values[..., 0] if samples == 1 else values,
            photometric="minisblack" if samples == 1 else "rgb",
            extrasamples=["unassalpha"] if samples == 4 else None,
            byteorder=order,
            compression=compression,
        )
        read = load(tmp_path / "photo.tif")
        expected = np.round(values / 257).astype(np.uint8)
        assert np.array_equal(channels_last(read), expected[..., :3])
        assert samples < 4 or np.array_equal(read.alpha.numpy(), expected[..., 3])
        assert read.notes == ("16 bit reduced to 8",)

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
    def test_tiff_in_which_white_is_zero(self, tmp_path: Path, dtype: str) -> None:
        tifffile = pytest.importorskip("tifffile")
        levels = np.arange(60).reshape(6, 10) * 4
        values = levels / np.float32(255) if dtype == "float32" else levels * (257 if dtype == "uint16" else 1)
        tifffile.imwrite(tmp_path / "photo.tif", values.astype(dtype), photometric="miniswhite")
        assert np.array_equal(load(tmp_path / "photo.tif").pixels[0].numpy(), 255 - levels)

    def test_16_bit_tiff_in_planes_is_right_or_refused(self, tmp_path: Path) -> None:
        tifffile = pytest.importorskip("tifffile")
        values = np.random.default_rng(0).integers(0, 65536, (3, 9, 14), dtype=np.uint16)
        for compression in (None, "zlib"):
            tifffile.imwrite(
                tmp_path / "photo.tif",
                values,
                photometric="rgb",
                planarconfig="separate",
                compression=compression,
            )
            try:
                read = load(tmp_path / "photo.tif")
            except ImageError as error:
                assert "planes" in str(error)  # noqa: PT017
            else:
                assert np.abs(read.pixels.numpy() - values / 257).max() <= 1
                assert "reduced to 8" in read.notes[0]

    def test_floats_from_0_to_1(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).random((9, 14), dtype=np.float32)
        read = loaded(tmp_path, Image.fromarray(values), "TIFF")
        assert np.array_equal(read.pixels[0].numpy(), np.round(values * 255))
        assert "floating point" in read.notes[0]

    @pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), float("inf")])
    def test_other_floats_are_refused(self, tmp_path: Path, value: float) -> None:
        with pytest.raises(ImageError, match="0 to 1"):
            loaded(tmp_path, Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF")

    def test_32_bit_integers_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="32 bit integer"):
            loaded(tmp_path, Image.fromarray(np.full((4, 4), 7, np.int32)), "TIFF")

    @pytest.mark.parametrize("bits", [8, 10, 16])
    def test_deep_pgm_and_ppm(self, tmp_path: Path, bits: int) -> None:
        top = 2**bits - 1
        values = np.random.default_rng(0).integers(0, top + 1, (4, 5, 3))
        dtype = "u1" if bits == 8 else ">u2"
        colour = loaded(tmp_path, b"P6 5 4 %d\n" % top + values.astype(dtype).tobytes())
        grey = loaded(tmp_path, b"P5 5 4 %d\n" % top + values[..., 0].astype(dtype).tobytes())
        assert np.abs(channels_last(colour) - values * 255 / top).max() <= 0.5 + 1e-6
        assert np.abs(grey.pixels[0].numpy() - values[..., 0] * 255 / top).max() <= 0.51
        assert bool(colour.notes) == bool(grey.notes) == (bits > 8)

    def test_one_bit(self, tmp_path: Path) -> None:
        bits = picture("L").point(lambda level: 255 * (level > 100)).convert("1")
        read = loaded(tmp_path, bits)
        assert np.array_equal(read.pixels[0].numpy(), np.asarray(bits.convert("L")))
        assert set(read.pixels.unique().tolist()) == {0, 255}

    @pytest.mark.parametrize("transparency", [None, 3, bytes(range(0, 256, 2))])
    def test_palette(self, tmp_path: Path, transparency: int | bytes | None) -> None:
        source = picture("P")
        options = {} if transparency is None else {"transparency": transparency}
        read = loaded(tmp_path, source, **options)
        indices, palette = np.asarray(source), np.array(source.getpalette()).reshape(-1, 3)
        assert np.array_equal(channels_last(read), palette[indices])
        assert read.notes == ("palette expanded",)
        if transparency is None:
            assert read.alpha is None
        else:
            table = np.full(256, 255)
            if isinstance(transparency, int):
                table[transparency] = 0
            else:
                table[: len(transparency)] = list(transparency)
            assert np.array_equal(read.alpha.numpy(), table[indices])

    def test_grey_palette_stays_grey(self, tmp_path: Path) -> None:
        source = picture("L")
        for transparency in (None, 200):
            options = {} if transparency is None else {"transparency": transparency}
            read = loaded(tmp_path, source, "GIF", **options)
            assert np.array_equal(read.pixels[0].numpy(), np.asarray(source))
            assert len(read.pixels) == 1

    def test_transparent_gif(self, tmp_path: Path) -> None:
        source = Image.new("P", (4, 2))
        source.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        source.putdata([0, 1, 2, 0, 1, 2, 0, 1])
        read = loaded(tmp_path, source, "GIF", transparency=1)
        assert read.alpha.tolist() == [[255, 0, 255, 255], [0, 255, 255, 0]]
        assert read.pixels[:, 0, 2].tolist() == [0, 0, 255]

    @pytest.mark.parametrize(
        ("depth", "rows", "key", "levels", "alpha"),
        [
            (1, b"\x50", 1, [0, 255, 0, 255], [255, 0, 255, 0]),
            (2, b"\x1b", 2, [0, 85, 170, 255], [255, 255, 0, 255]),
            (4, b"\x01\x5f", 5, [0, 17, 85, 255], [255, 255, 0, 255]),
            (8, b"\x00\x05\x06\xff", 5, [0, 5, 6, 255], [255, 0, 255, 255]),
            (16, b"\0\0\1\1\1\2\xff\xff", 0x102, [0, 1, 1, 255], [255, 255, 0, 255]),
        ],
    )
    def test_grey_key(
        self, tmp_path: Path, depth: int, rows: bytes, key: int, levels: list[int], alpha: list[int]
    ) -> None:
        read = loaded(tmp_path, png(4, 1, depth, 0, rows, (b"tRNS", struct.pack(">H", key))))
        assert read.pixels.tolist() == [[levels]]
        assert read.alpha.tolist() == [alpha]

    @pytest.mark.parametrize("depth", [8, 16])
    def test_colour_key(self, tmp_path: Path, depth: int) -> None:
        values = np.array([[1, 2, 3], [1, 2, 4], [9, 2, 3]]) + (0 if depth == 8 else 256)
        rows = values.astype("u1" if depth == 8 else ">u2").tobytes()
        key = struct.pack(">3H", *values[0])
        read = loaded(tmp_path, png(3, 1, depth, 2, rows, (b"tRNS", key)))
        assert read.alpha.tolist() == [[0, 255, 255]]

    def test_heic(self, tmp_path: Path) -> None:
        pillow_heif = pytest.importorskip("pillow_heif")
        source = picture("RGBA", 64, 48)
        pillow_heif.from_pillow(source).save(tmp_path / "photo.heic", quality=-1, chroma=444)
        read = load(tmp_path / "photo.heic")
        assert np.abs(channels_last(read).astype(int) - np.asarray(source)[..., :3]).max() <= 3
        assert np.array_equal(read.alpha.numpy(), np.asarray(source)[..., 3])

    def test_heic_without_its_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        with pytest.raises(ImageError, match=r'pip install "veil\[heif\]"'):
            loaded(tmp_path, b"\0\0\0\x18ftypheic" + bytes(40))

    def test_the_main_picture_of_a_stereo_pair(self, tmp_path: Path) -> None:
        first, second = picture("RGB"), picture("RGB", seed=1)
        read = loaded(tmp_path, first, "MPO", save_all=True, append_images=[second])
        assert read.pixels.shape == (3, 17, 24)
        assert read.notes == ("only the main picture of the file read",)


def tagged_profile(space: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.4, with a Lab connection space (ICC.1:2001-04)."""
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    white = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02400000, kind, space, b"Lab ")
    return (head + bytes(12) + b"acsp").ljust(68, b"\0") + white + bytes(48) + table + body


def ink_profile() -> bytes:
    """CMYK in which only black ink shows: L* falls from 100 to 0 with K, whatever C, M and Y are."""
    curve = bytes(range(256))
    corners = b"".join(bytes([255 - 255 * (index % 2), 128, 128]) for index in range(16))  # K runs fastest
    matrix = struct.pack(">9i", *(65536 * (index % 4 == 0) for index in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + curve * 4 + corners + curve * 3
    name = b"desc" + bytes(4) + struct.pack(">I", 10) + b"Only Black" + bytes(80)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    return tagged_profile(b"CMYK", b"prtr", {b"desc": name, b"wtpt": white, b"A2B0": table})


def swapped_profile() -> bytes:
    """The sRGB profile with its red and blue primaries exchanged."""
    changed = bytearray(srgb_profile())
    (count,) = struct.unpack_from(">I", changed, 128)
    places = {bytes(changed[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    changed[red + 4 : red + 12], changed[blue + 4 : blue + 12] = (
        changed[blue + 4 : blue + 12],
        changed[red + 4 : red + 12],
    )
    return bytes(changed)


class TestColour:
    @pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
    def test_srgb_profile_changes_nothing_and_is_not_mentioned(self, tmp_path: Path, format: str) -> None:
        with_profile = loaded(tmp_path, picture("RGB"), format, icc_profile=srgb_profile())
        without = loaded(tmp_path, picture("RGB"), format)
        assert torch.equal(with_profile.pixels, without.pixels)
        assert with_profile.notes == ()

    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_other_profile_is_converted_whatever_its_name(self, tmp_path: Path, mode: str) -> None:
        source = picture(mode)
        read = loaded(tmp_path, source, icc_profile=swapped_profile())
        values = np.asarray(source)
        assert np.abs(channels_last(read).astype(int) - values[..., 2::-1]).max() <= 1
        assert mode == "RGB" or np.array_equal(read.alpha.numpy(), values[..., 3])
        assert read.notes == ("colour profile 'sRGB built-in' converted to sRGB",)

    def test_grey_stays_grey_under_a_colour_profile(self, tmp_path: Path) -> None:
        for profile in (srgb_profile(), swapped_profile()):
            read = loaded(tmp_path, picture("L"), icc_profile=profile)
            assert np.abs(read.pixels[0].numpy().astype(int) - np.asarray(picture("L"))).max() <= 1

    def test_cmyk_by_its_profile(self, tmp_path: Path) -> None:
        inks = np.zeros((2, 2, 4), np.uint8)
        inks[0, 1, 0] = inks[1, 0, 3] = 255  # paper, cyan; black, black over magenta
        inks[1, 1, 1] = inks[1, 1, 3] = 255
        source = Image.frombytes("CMYK", (2, 2), inks.tobytes())
        read = loaded(tmp_path, source, "TIFF", icc_profile=ink_profile())
        assert read.notes == ("CMYK converted to sRGB by its colour profile 'Only Black'",)
        assert (read.pixels[:, 0] >= 254).all()  # by this profile cyan ink does not show
        assert (read.pixels[:, 1] <= 1).all()

    def test_cmyk_without_profile(self, tmp_path: Path) -> None:
        source = picture("CMYK")
        read = loaded(tmp_path, source, "TIFF")
        assert np.array_equal(channels_last(read), np.asarray(source.convert("RGB")))
        assert read.notes == ("CMYK converted to sRGB without a colour profile",)

    def test_cmyk_jpeg_in_adobes_inverted_form(self, tmp_path: Path) -> None:
        paper = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
        assert (loaded(tmp_path, paper, "JPEG").pixels > 250).all()
        black = Image.new("CMYK", (16, 16), (0, 0, 0, 255))
        assert (loaded(tmp_path, black, "JPEG").pixels < 5).all()

    def test_lab(self, tmp_path: Path) -> None:
        for lightness, level in ((0, 0), (255, 255)):
            source = Image.new("LAB", (4, 4), (lightness, 128, 128))
            read = loaded(tmp_path, source, "TIFF")
            assert (read.pixels.int() - level).abs().max() <= 2
            assert read.notes == ("CIELAB converted to sRGB",)

    def test_ycbcr_tiff(self, tmp_path: Path) -> None:
        source = picture("YCbCr")
        read = loaded(tmp_path, source, "TIFF")
        assert np.array_equal(channels_last(read), np.asarray(source.convert("RGB")))

    @pytest.mark.parametrize("profile", [b"nonsense", srgb_profile()[:200], ink_profile()])
    def test_profile_that_does_not_fit_is_left_out_with_a_note(self, tmp_path: Path, profile: bytes) -> None:
        read = loaded(tmp_path, picture("RGB"), icc_profile=profile)
        assert np.array_equal(channels_last(read), np.asarray(picture("RGB")))
        assert len(read.notes) == 1
        assert "left out" in read.notes[0]


def private_exif(order: str) -> bytes:
    """An EXIF block with all that must not leave: place, maker note, a thumbnail in a second directory."""

    def directory(at: int, entries: list[tuple[int, int, bytes]], following: int = 0) -> bytes:
        sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
        table, values, after = struct.pack(order + "H", len(entries)), b"", at + 6 + 12 * len(entries)
        for tag, kind, value in entries:
            field = value.ljust(4, b"\0")
            if len(value) > 4:
                field = struct.pack(order + "I", after + len(values))
                values += value
            table += struct.pack(order + "HHI", tag, kind, len(value) // sizes[kind]) + field
        return table + struct.pack(order + "I", following) + values

    def long(value: int) -> bytes:
        return struct.pack(order + "I", value)

    inner = [
        (0x829A, 5, struct.pack(order + "2I", 1, 125)),
        (0x9003, 2, b"2026:01:02 03:04:05\0"),
        (0x927C, 7, SECRET_MAKER),
        (0x9286, 7, b"ASCII\0\0\0a comment"),
        (0xA500, 7, SECRET_THUMBNAIL),
    ]
    place = [
        (1, 2, b"N\0"),
        (2, 5, struct.pack(order + "6I", 52, 1, 31, 1, 123456, 1000)),
        (29, 2, b"2026:01:02\0"),
    ]

    def first(inner_at: int, place_at: int, second_at: int) -> bytes:
        entries = [
            (0x010E, 2, b"A description\0"),
            (0x010F, 2, b"Maker\0"),
            (0x0112, 3, struct.pack(order + "H", 6)),
            (0x02BC, 1, private_xmp()),
            (0x8649, 7, b"8BIM" + SECRET_THUMBNAIL),
            (0x8769, 4, long(inner_at)),
            (0x8825, 4, long(place_at)),
        ]
        return directory(8, entries, second_at)

    size = len(first(0, 0, 0))
    inner_at = 8 + size
    place_at = inner_at + len(directory(inner_at, inner))
    second_at = place_at + len(directory(place_at, place))
    thumbnail = [(0x0103, 3, struct.pack(order + "H", 6)), (0x0201, 4, long(0)), (0x0202, 4, long(0))]
    behind = second_at + len(directory(second_at, thumbnail))
    thumbnail[1:] = [(0x0201, 4, long(behind)), (0x0202, 4, long(len(SECRET_THUMBNAIL)))]
    block = (b"II*\0" if order == "<" else b"MM\0*") + long(8) + first(inner_at, place_at, second_at)
    block += directory(inner_at, inner) + directory(place_at, place) + directory(second_at, thumbnail)
    return b"Exif\0\0" + block + SECRET_THUMBNAIL


def private_xmp() -> bytes:
    return (
        b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<!-- taken at 52.5 N -->
<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 exif:GPSLatitude="52,31.2N" exif:GPSLongitude="13,24.3E" tiff:Orientation="6" photoshop:City="Berlin">
<exif:GPSAltitude>34/1</exif:GPSAltitude>
<dc:creator><rdf:Seq><rdf:li>A. Person</rdf:li></rdf:Seq></dc:creator>
<xmp:Thumbnails><rdf:Alt><rdf:li xmpGImg:format="JPEG"><xmpGImg:image>"""
        + SECRET_BASE64
        + b"""</xmpGImg:image>
</rdf:li></rdf:Alt></xmp:Thumbnails>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
    )


def private_jpeg(order: str = "<") -> bytes:
    buffer = BytesIO()
    picture("RGB", 40, 30).save(
        buffer, "JPEG", exif=private_exif(order), xmp=private_xmp(), comment=b"taken in Berlin, Mitte"
    )
    iptc = b"Photoshop 3.0\0008BIM\4\4\0\0\0\0\0\x0b\x1c\x02\x5a\0\6Berlin\0"
    return with_segment(buffer.getvalue(), 0xED, iptc)


PRIVATE = (
    SECRET_THUMBNAIL[4:-2],
    SECRET_MAKER,
    SECRET_BASE64,
    b"GPS",
    b"Berlin",
    b"52,31",
    b"52.5 N",
    struct.pack("<6I", 52, 1, 31, 1, 123456, 1000),
    struct.pack(">6I", 52, 1, 31, 1, 123456, 1000),
)


class TestMetadata:
    def test_the_source_holds_what_is_to_vanish(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(private_jpeg())
        with Image.open(tmp_path / "photo.jpg") as image:
            exif = image.getexif()
            assert exif.get_ifd(ExifTags.IFD.GPSInfo)[2] == (52, 31, 123.456)
            assert ExifTags.Base.JpegIFOffset in exif.get_ifd(ExifTags.IFD.IFD1)
            assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == SECRET_MAKER
        assert sum(secret in private_jpeg() for secret in PRIVATE) == len(PRIVATE) - 1  # one byte order

    @pytest.mark.parametrize("format", FORMATS)
    def test_nothing_is_written_unless_asked_for(self, tmp_path: Path, format: str) -> None:
        content = encode(loaded(tmp_path, private_jpeg()), format)
        bare = encode(Photo(loaded(tmp_path, private_jpeg()).pixels), format)
        assert content == bare
        assert not any(secret in content for secret in (*PRIVATE, b"Maker", b"Person", b"Exif\0", b"xmpmeta"))

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("format", FORMATS)
    def test_kept_without_place_and_pictures(self, tmp_path: Path, format: str, order: str) -> None:
        source = loaded(tmp_path, private_jpeg(order))
        save(source, tmp_path / "kept", format, keep_metadata=True)
        content = (tmp_path / "kept").read_bytes()
        assert not any(secret in content for secret in PRIVATE)
        with Image.open(tmp_path / "kept") as image:
            exif = image.getexif()
            inner, second = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.IFD1)
        assert exif[ExifTags.Base.Make] == "Maker"
        assert ExifTags.Base.ImageDescription not in exif
        assert exif[ExifTags.Base.Orientation] == 1
        assert inner[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
        assert inner[ExifTags.Base.ExposureTime] == 1 / 125
        assert ExifTags.Base.UserComment not in inner
        assert ExifTags.Base.MakerNote not in inner
        assert ExifTags.Base.GPSInfo not in exif
        assert not second
        assert b"A. Person" not in content
        back = load(tmp_path / "kept")
        assert back.notes == ()
        assert format == "jpeg" or torch.equal(back.pixels, source.pixels)

    def test_kept_from_a_tiff(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Maker", "A camera"
        source = loaded(tmp_path, picture("RGB"), "TIFF", software="Darkroom", description="A cat", exif=exif)
        back = loaded(tmp_path, encode(source, "png", keep_metadata=True))
        with Image.open(tmp_path / "photo") as image:
            exif = image.getexif()
        assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.Model]) == ("Maker", "A camera")
        assert ExifTags.Base.Software not in exif
        assert ExifTags.Base.StripOffsets not in exif
        assert torch.equal(back.pixels, source.pixels)

    @pytest.mark.parametrize(
        "packet",
        [
            ENTITIES,
            b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
            '<?xml version="1.0" encoding="UTF-16"?><x/>'.encode("utf-16"),
            b"<x><y>",
            b"<a>" * 5000 + b"</a>" * 5000,
            b"\xff\xfe\x00",
            b"",
            b"<x>" + b"a" * 70_000 + b"</x>",
            b"<x>it speaks of GPS</x>",
            b"<rdf:Description xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>",
        ],
    )
    def test_xmp_that_is_not_to_be_trusted_is_dropped(self, packet: bytes) -> None:
        assert cleaned_xmp(packet) is None

    @given(st.data())
    def test_damaged_exif_never_raises(self, data: st.DataObject) -> None:
        block = bytearray(private_exif(data.draw(st.sampled_from("<>"))))
        for at in data.draw(st.lists(st.integers(6, len(block) - 1), max_size=12)):
            block[at] = data.draw(st.integers(0, 255))
        kept = cleaned_exif(bytes(block[: data.draw(st.integers(0, len(block)))]))
        assert 1 <= orientation(bytes(block)) <= 8
        assert kept is None or (len(kept) <= 65_000 and cleaned_exif(kept) == kept)

    def test_damaged_metadata_does_not_cost_the_photo(self, tmp_path: Path) -> None:
        good = png(9, 5, 8, 0, bytes(45), (b"tEXt", b"key\0value"))
        read = loaded(tmp_path, good.replace(b"value", b"wrong"))
        assert read.pixels.shape == (1, 5, 9)
        assert read.notes == ("damaged metadata left out",)


class TestRefusals:
    def refused(self, path: Path, match: str, max_pixels: int = MAX_PIXELS) -> None:
        with pytest.raises(ImageError, match=match) as caught:
            load(path, limits=Limits(max_pixels=max_pixels))
        assert "\n" not in str(caught.value)
        assert str(path) not in str(caught.value)

    def test_paths(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "none.jpg", "no such file")
        self.refused(tmp_path, "folder")
        self.refused(tmp_path / ("x" * 300), "too long")
        self.refused(tmp_path / "nul\0.jpg", "not valid")
        (tmp_path / "empty.jpg").write_bytes(b"")
        self.refused(tmp_path / "empty.jpg", "empty")
        self.refused(tmp_path / "empty.jpg" / "below.jpg", "no such file")

    @pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
    def test_links_and_pipes(self, tmp_path: Path) -> None:
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        self.refused(tmp_path / "loop.jpg", "leads back to itself")
        os.mkfifo(tmp_path / "pipe.jpg")
        self.refused(tmp_path / "pipe.jpg", "regular file")

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
    def test_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(private_jpeg())
        (tmp_path / "photo.jpg").chmod(0)
        self.refused(tmp_path / "photo.jpg", "permission denied")

    def test_permission_denied_in_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(*_: object) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        (tmp_path / "photo.jpg").write_bytes(private_jpeg())
        monkeypatch.setattr(os, "open", denied)
        self.refused(tmp_path / "photo.jpg", "permission denied")

    @pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
    def test_several_frames(self, tmp_path: Path, format: str) -> None:
        frames = [picture("RGB", seed=seed) for seed in range(3)]
        frames[0].save(tmp_path / "photo", format, save_all=True, append_images=frames[1:])
        self.refused(tmp_path / "photo", "3 (frames|pages)")

    def test_size_is_checked_before_decoding(self, tmp_path: Path) -> None:
        for side in (20_000, 100_000):
            (tmp_path / "photo.png").write_bytes(png(side, side, 8, 2, b""))
            self.refused(tmp_path / "photo.png", f"{side} × {side} pixels are more than the limit")
        save(photo(), tmp_path / "photo.png")
        self.refused(tmp_path / "photo.png", "21 × 13", max_pixels=13 * 21 - 1)
        assert load(tmp_path / "photo.png", limits=Limits(max_pixels=13 * 21)).width == 21
        assert Image.MAX_IMAGE_PIXELS != MAX_PIXELS  # Pillow's global limit is not ours to change

    def test_a_file_far_too_long_is_not_read(self, tmp_path: Path) -> None:
        with (tmp_path / "photo.png").open("wb") as file:
            file.truncate(2**27)
        self.refused(tmp_path / "photo.png", "more than a photo", max_pixels=1000)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
    def test_truncated(self, tmp_path: Path, format: str) -> None:
        buffer = BytesIO()
        picture("RGB", 64, 64).save(buffer, format)
        for part in (0.3, 0.6, 0.9):
            (tmp_path / "photo").write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * part)])
            self.refused(tmp_path / "photo", "damaged")

    def test_decoders_that_run_programs_are_not_reached(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
        self.refused(tmp_path / "photo.jpg", "not a photo in a format that Veil reads")

    def test_on_writing(self, tmp_path: Path) -> None:
        long = Photo(torch.zeros(1, 1, 65_501, dtype=torch.uint8))
        for format, limit in (("webp", 16383), ("jpeg", 65500)):
            with pytest.raises(ImageError, match=f"at most {limit}"):
                save(long, tmp_path / "photo", format)
        assert load_of(long, tmp_path).width == 65_501
        with pytest.raises(ImageError, match="unknown format 'bmp'"):
            save(photo(), tmp_path / "photo", "bmp")
        with pytest.raises(ImageError, match="quality"):
            save(photo(), tmp_path / "photo", "jpeg", quality=0)
        with pytest.raises(ImageError, match="cannot be written"):
            save(photo(), tmp_path / "no such folder" / "photo.png")
        with pytest.raises(ImageError, match="cannot be written"):
            save(photo(), tmp_path / "nul\0.png")


def load_of(photo: Photo, folder: Path) -> Photo:
    save(photo, folder / "photo.png")
    return load(folder / "photo.png")


class TestAtomicity:
    @pytest.mark.parametrize("failing", ["fsync", "replace"])
    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    def test_a_failing_write_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
    ) -> None:
        def fail(*_: object) -> None:
            parts = [path.name for path in tmp_path.iterdir() if path.name != "photo.png"]
            assert len(parts) == 1
            assert parts[0].startswith(".")
            assert parts[0].endswith(".part")
            raise error

        save(photo(), tmp_path / "photo.png")
        before = (tmp_path / "photo.png").read_bytes()
        if failing == "fsync":
            monkeypatch.setattr(os, "fsync", fail)
        else:
            monkeypatch.setattr(Path, "replace", fail)
        expected = ImageError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            save(photo(seed=1), tmp_path / "photo.png")
        assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
        assert (tmp_path / "photo.png").read_bytes() == before

    def test_target_is_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "photo.png").mkdir()
        with pytest.raises(ImageError, match="cannot be written"):
            save(photo(), tmp_path / "photo.png")
        assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]

    @pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
    def test_rights_are_those_of_any_new_file(self, tmp_path: Path) -> None:
        (tmp_path / "other").write_bytes(b"")
        save(photo(), tmp_path / "photo.png")
        rights = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "photo.png")}
        assert len(rights) == 1

    def test_longest_name(self, tmp_path: Path) -> None:
        save(photo(), tmp_path / ("x" * 251 + ".png"))
        assert len(list(tmp_path.iterdir())) == 1


class TestCorpus:
    def test_is_large_and_always_the_same(self, tmp_path: Path) -> None:
        first, second = corpus(tmp_path / "a"), corpus(tmp_path / "b")
        assert [path.name for path in first] == [path.name for path in second]
        assert sum(path.is_file() for path in first) >= 300
        assert all(
            one.read_bytes() == other.read_bytes() for one, other in zip(first, second, strict=True) if one.is_file()
        )

    def test_every_file_is_a_photo_or_refused(self, tmp_path: Path) -> None:
        files, start, read = corpus(tmp_path), time.perf_counter(), 0
        for file in files:
            try:
                one = load(file)
            except ImageError as error:
                message = str(error)
                assert message
                assert message.isprintable(), message
                assert len(message) < 200, message
            else:
                read += 1
                assert all(note.isprintable() for note in one.notes)
                for format in FORMATS if max(one.height, one.width) <= 64 else ():
                    assert encode(one, format, keep_metadata=True)
        assert 200 < read < len(files) - 100
        assert time.perf_counter() - start < 60

    def test_threads_see_the_same_and_no_warning_escapes(self, tmp_path: Path) -> None:
        def outcome(file: Path) -> str:
            try:
                one = load(file)
            except ImageError as error:
                return str(error)
            return content_digest(one.pixels).hex() + str(one.notes)

        files = corpus(tmp_path)
        filters = list(warnings.filters)
        serial = [outcome(file) for file in files]
        with ThreadPoolExecutor(8) as pool:
            parallel = list(pool.map(outcome, files * 2))
        assert parallel == serial * 2
        assert warnings.filters == filters
