"""Images of any kind, and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from veil.images import ImageError, Photo
from veil.images.conversion import convert, to_pillow

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_arrays_come_back_as_they_were(shape: tuple[int, ...]) -> None:
    array = RANDOM.integers(0, 256, shape, np.uint8)
    converted = convert(array)
    assert (converted.photo.height, converted.photo.width) == (5, 7)
    assert np.array_equal(converted.back(converted.photo), array)
    assert not np.shares_memory(converted.photo.pixels.numpy(), array)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pillow_images_come_back_as_they_were(mode: str) -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (5, 7, 4), np.uint8), "RGBA").convert(mode)
    converted = convert(image)
    back = converted.back(converted.photo)
    assert back.mode == mode
    assert np.array_equal(np.asarray(back), np.asarray(image))


def test_pillow_images_are_read_as_their_file_would_be(tmp_path: Path) -> None:
    """Turned as EXIF says, palettes and CMYK as colours."""
    image = Image.fromarray(RANDOM.integers(0, 256, (4, 6, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert convert(opened).photo.pixels.equal(convert(tmp_path / "turned.png").photo.pixels)
        assert (convert(opened).photo.height, convert(opened).photo.width) == (6, 4)
    assert convert(image.convert("CMYK")).photo.pixels.shape == (3, 4, 6)
    assert convert(image.quantize(4)).photo.pixels.shape == (3, 4, 6)


def test_tensors_and_photos() -> None:
    pixels = torch.randint(256, (3, 4, 5), dtype=torch.uint8)
    converted = convert(pixels)
    assert converted.back(converted.photo).equal(pixels)
    photo = Photo(pixels)
    assert convert(photo).photo is photo
    assert to_pillow(photo).size == (5, 4)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), torch.zeros(3, 4, 4), torch.zeros(4, 4), 7, None]
)
def test_what_is_no_image_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="uint8"):
        convert(wrong)  # type: ignore[arg-type]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no such file"):
        convert(tmp_path / "none.png")
