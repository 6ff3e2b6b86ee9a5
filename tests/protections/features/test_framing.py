"""What a client expects of photos, and what becomes of others."""

import pytest
import torch

from veil.images import ImageError, Photo
from veil.protections.features import framing


def photo(height: int, width: int) -> Photo:
    rows = torch.arange(height, dtype=torch.uint8)[:, None].expand(height, width)
    return Photo(rows.expand(3, -1, -1).contiguous())


def test_what_a_card_says_is_read_again_and_nonsense_is_not() -> None:
    training = framing.described("celeba", 178 / 218)
    assert framing.aspect_of(training) == pytest.approx(178 / 218, abs=1e-3)
    assert framing.described("celeba", None) == {}
    for wrong in (
        {},
        {"photos": 3},
        {"photos": {"aspect": "1"}},
        {"photos": {"aspect": 1e9}},
        {"photos": {"aspect": 0}},
    ):
        assert framing.aspect_of(wrong) is None


@pytest.mark.parametrize(("height", "width"), [(218, 178), (64, 64), (50, 34)])
def test_photos_of_about_that_shape_pass_and_are_not_checked_to_be_faces(height: int, width: int) -> None:
    given = photo(height, width)
    same, notes = framing.framed(given, 178 / 218)
    assert same is given
    assert notes == ["not checked to be a face"]


@pytest.mark.parametrize(("height", "width", "middle"), [(60, 80, (60, 49)), (300, 100, (122, 100))])
def test_a_landscape_is_refused_or_cropped(height: int, width: int, middle: tuple[int, int]) -> None:
    given = photo(height, width)
    with pytest.raises(ImageError, match="not framed like the faces that the client was trained with"):
        framing.framed(given, 178 / 218)
    cropped, notes = framing.framed(given, 178 / 218, "centre")
    assert (cropped.height, cropped.width) == middle
    assert notes[0] == f"its middle cut out, {middle[1]}×{middle[0]}"
    top = (height - middle[0]) // 2
    assert cropped.pixels[0, :, 0].tolist() == [row % 256 for row in range(top, top + middle[0])]


def test_a_client_that_does_not_say_refuses_nothing() -> None:
    assert framing.framed(photo(10, 90), None)[1] == ["not checked to be a face"]
