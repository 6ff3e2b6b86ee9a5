"""How alike two photos look, whatever became of their size, format and noise.

A *sketch* is a photo in grey at 16×16 pixels, without its mean and of unit length. The product of two sketches is the
correlation of what they show: near 1 for a photo and its copy after re-compression or scaling, lower for others.
Cropping and turning change it.
"""

import weakref
from collections.abc import Iterable
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
VALUES = SIDE * SIDE
_AT_ONCE = 10_000  # sketches that are compared at once: 10 MB


def sketch(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a photo shows, float32 (256,) of unit length; zeros for a photo of one grey.

    Args:
        pixels: uint8, (H, W) or (H, W, 3).
    """
    grey = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.array(grey, np.float32).ravel()
    values -= values.mean()
    length = float(np.linalg.norm(values))
    return np.divide(values, length if length > 0 else 1, dtype=np.float32)


class Sketches:
    """Sketches of many photos, in a temporary file and not in memory."""

    def __init__(self, sketches: Iterable[NDArray[np.float32]]) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - it lasts as long as the object
        weakref.finalize(self, self._file.close)
        self.count = 0
        for each in sketches:
            self._file.write(each.astype(np.float32).tobytes())
            self.count += 1

    def nearest(self, wanted: NDArray[np.float32]) -> list[tuple[float, int]]:
        """The two that look most alike: correlation and number, the best first; fewer where there are fewer."""
        best: list[tuple[float, int]] = []
        self._file.seek(0)
        for start in range(0, self.count, _AT_ONCE):
            some = np.frombuffer(self._file.read(_AT_ONCE * VALUES * 4), np.float32).reshape(-1, VALUES)
            correlations = some @ wanted
            leading = np.argsort(-correlations, kind="stable")[:2]
            best = sorted([*best, *((float(correlations[n]), start + int(n)) for n in leading)], reverse=True)[:2]
        return best
