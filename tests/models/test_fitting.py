"""Which classifier reads which images: every pair of a card and a mark."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from veil.images.marks import NO_KEY, Mark
from veil.models.fitting import Misfit, neighbours, require

ONE, OTHER = "0123456789abcdef", "fedcba9876543210"
TANAKA, SAME, EACH = Mark("tanaka", ONE), Mark("pixel-same", ONE), Mark("pixel-different", NO_KEY)
SMOOTH = torch.arange(64, dtype=torch.uint8).repeat(3, 8, 1)
NOISE = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("reads", "mark", "pixels", "outcome"),
    [
        (None, None, SMOOTH, "fits"),
        (None, TANAKA, NOISE, "refused"),
        (None, Mark("transformation"), None, "refused"),
        (TANAKA, TANAKA, NOISE, "fits"),
        (TANAKA, Mark("tanaka", OTHER), NOISE, "refused"),
        (TANAKA, SAME, NOISE, "refused"),
        (TANAKA, None, SMOOTH, "refused"),
        (TANAKA, None, NOISE, "warned"),  # a file of an older version
        (TANAKA, None, None, "refused"),
        (Mark("tanaka"), TANAKA, NOISE, "warned"),  # a card of an older version
        (Mark("tanaka"), SAME, NOISE, "refused"),
        (EACH, EACH, NOISE, "fits"),
        (EACH, SAME, NOISE, "fits"),
        (EACH, None, SMOOTH, "warned"),
        (EACH, TANAKA, NOISE, "refused"),
        (Mark("transformation"), None, SMOOTH, "fits"),
        (Mark("transformation"), TANAKA, NOISE, "refused"),
    ],
)
def test_what_fits(reads: Mark | None, mark: Mark | None, pixels: Any, outcome: str) -> None:
    classifier: Any = SimpleNamespace(name="net", reads=reads)
    if outcome == "refused":
        with pytest.raises(Misfit, match="net was trained on"):
            require(classifier, mark, pixels)
    else:
        assert (require(classifier, mark, pixels) is None) == (outcome == "fits")


def test_neighbours_tell_photos_from_noise() -> None:
    assert neighbours(SMOOTH) > 0.9
    assert abs(neighbours(NOISE)) < 0.2
    assert neighbours(torch.zeros(3, 4, 4, dtype=torch.uint8)) == 1
    assert neighbours(torch.zeros(3, 4, 1, dtype=torch.uint8)) == 1
