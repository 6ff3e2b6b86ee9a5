"""Shapes of features, and the options of their networks; read without torch."""

from collections.abc import Sequence
from typing import Literal

Shape = tuple[int, int, int]
"""Channels, height and width of the features of an image: (C, h, w)."""
Norm = Literal["batch", "group"]
Head = Literal["fc", "pool"]
STRIDE = 4
"""Sides of images are multiples of it; sides of maps are smaller by this factor."""


def is_vector(shape: Sequence[int]) -> bool:
    """Whether features (C, h, w) are a vector rather than maps."""
    return tuple(shape[1:]) == (1, 1)


def values_of(shape: Sequence[int]) -> int:
    """The number of values in features (C, h, w)."""
    return shape[0] * shape[1] * shape[2]
