"""Random crops and mirrors of whole batches, against one image at a time."""

import pytest
import torch
from torch import Generator
from torch.nn import functional as F

from veil.data.augmentation import crop_and_flip


@pytest.mark.parametrize(("padding", "flip"), [(4, True), (2, False), (0, True), (0, False)])
def test_every_image_is_a_crop_of_itself(padding: int, flip: bool) -> None:
    images = torch.randint(1, 256, (60, 3, 8, 10), dtype=torch.uint8)
    cropped = crop_and_flip(images, Generator().manual_seed(0), padding=padding, flip=flip)
    assert cropped.shape == images.shape
    assert cropped.dtype == torch.uint8
    found = set()
    for image, crop in zip(images, cropped, strict=True):
        padded = F.pad(image, (padding,) * 4)
        ways = [
            (top, left, mirrored)
            for top in range(2 * padding + 1) for left in range(2 * padding + 1) for mirrored in (False, True)
            if (piece := padded[:, top : top + 8, left : left + 10]).equal(crop.flip(2) if mirrored else crop)
            and piece.any()
        ]  # fmt: skip
        assert ways
        found.add(ways[0])
    assert len({way[2] for way in found}) == (2 if flip else 1)
    assert len({way[:2] for way in found}) > (5 if padding else 0)


def test_the_same_generator_gives_the_same_crops() -> None:
    images = torch.rand(20, 3, 8, 8)
    first, second = (crop_and_flip(images, Generator().manual_seed(3)) for _ in range(2))
    assert first.equal(second)
    assert not first.equal(crop_and_flip(images, Generator().manual_seed(4)))
