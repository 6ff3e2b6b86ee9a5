"""Images as programs hold them: what goes in comes out as the same kind, and nothing else is taken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn import images
from PIL import Image
from torch import Tensor

from veil.images import Photo, in_memory

PIXELS = images(1, 5, 7)[0]
ARRAY = PIXELS.permute(1, 2, 0).numpy()


def negative(pixels: Tensor) -> Tensor:
    assert pixels.ndim == 4
    assert pixels.is_contiguous()
    return 255 - pixels


@pytest.mark.parametrize(
    ("image", "read"),
    [
        (PIXELS, lambda found: found),
        (images(4, 5, 7), lambda found: found),
        (ARRAY, torch.from_numpy),
        (np.stack([ARRAY, ARRAY]), torch.from_numpy),
        (ARRAY[:, ::-1], torch.from_numpy),  # no block of memory
        (Image.fromarray(ARRAY), lambda found: torch.from_numpy(np.array(found))),
        (Photo(PIXELS), lambda found: found.pixels),
    ],
    ids=lambda value: "" if callable(value) else type(value).__name__,
)
def test_the_same_kind_comes_back(image: Any, read: Callable[[Any], Tensor]) -> None:
    found = in_memory.changed(image, negative)
    assert type(found) is type(image)
    before = read(image.copy() if isinstance(image, np.ndarray) else image)
    assert read(found).equal(255 - before)


def test_a_list_may_mix_kinds_and_sizes_and_neighbours_go_together() -> None:
    calls: list[int] = []

    def counted(pixels: Tensor) -> Tensor:
        calls.append(len(pixels))
        return 255 - pixels

    given = [PIXELS, Image.fromarray(ARRAY), images(2, 5, 7), images(1, 9, 9)[0], ARRAY]
    found = in_memory.changed(given, counted)
    assert calls == [4, 1, 1]
    assert [type(one) for one in found] == [type(one) for one in given]
    assert found[3].equal(255 - given[3])
    assert (found[4] == 255 - ARRAY).all()
    assert isinstance(in_memory.changed((PIXELS,), negative), tuple)
    assert in_memory.changed([], negative) == []


def test_grey_becomes_colour_and_transparency_white() -> None:
    grey = Image.new("L", (7, 5), 3)
    found = in_memory.changed(grey, negative)
    assert found.mode == "RGB"
    assert found.getpixel((0, 0)) == (252, 252, 252)
    assert in_memory.changed(PIXELS[:1], negative).shape == (3, 5, 7)
    assert in_memory.changed(Photo(PIXELS[:1]), negative).pixels.shape == (3, 5, 7)
    clear = Photo(PIXELS, alpha=torch.zeros(5, 7, dtype=torch.uint8))
    assert in_memory.changed(clear, negative).pixels.eq(0).all()


def test_a_path_becomes_a_pillow_image(tmp_path: Path) -> None:
    Image.fromarray(ARRAY).save(tmp_path / "a.png")
    found = in_memory.changed(tmp_path / "a.png", negative)
    assert np.array_equal(np.array(found), 255 - ARRAY)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (PIXELS.float(), "not torch.float32"),
        (images(2, 4, 4)[:, :1], r"\(1 or 3, H, W\), not torch.uint8 \(2, 1, 4, 4\)"),
        (ARRAY / 255.0, "float64"),
        (ARRAY[..., :2], r"\(H, W, 1, 3 or 4\)"),
        (3, "not int"),
    ],
)
def test_anything_else_is_refused(image: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        in_memory.changed(image, negative)
