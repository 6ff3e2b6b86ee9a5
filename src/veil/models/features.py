"""What features of images are: their shapes, and what a network for them may be made of; read without torch."""

from collections.abc import Sequence
from typing import Literal

Shape = tuple[int, int, int]
"""Channels, height and width of the features of an image: (C, h, w)."""
Norm = Literal["batch", "group"]
Head = Literal["fc", "pool"]
STRIDE = 4
"""Sides of images are multiples of it; maps have as many times fewer places on a side."""


def is_vector(shape: Sequence[int]) -> bool:
    """Whether features (C, h, w) have no places, only values."""
    return tuple(shape[1:]) == (1, 1)


def values_of(shape: Sequence[int]) -> int:
    """How many values features (C, h, w) are."""
    return shape[0] * shape[1] * shape[2]
