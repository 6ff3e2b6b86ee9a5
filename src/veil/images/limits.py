"""How much of a photo file is read at most. Can be read without any library for images."""

from dataclasses import dataclass

from veil.images.formats import MAX_PIXELS

SECONDS = 20.0
"""To decode a photo, besides those for its size."""
SECONDS_PER_MEGAPIXEL = 1.0
_LONGEST = 86_400.0
# A photo of four samples of 32 bits per pixel has 16; metadata and what an editor adds lie beside them.
_BYTES_PER_PIXEL, _BYTES_BESIDE = 16, 2**26
# 16-bit colour with alpha takes the most of all that was tried: between 32 and 48 bytes for a pixel.
_MEMORY_PER_PIXEL, _MEMORY_PER_BYTE, _MEMORY_BESIDE = 64, 4, 2**28
_PIXELS_OF_UNKNOWN = 2**24


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a photo file that somebody else may have made.

    Attributes:
        max_pixels: that are decoded; 4 to 16 bytes of memory are needed for each.
        seconds: to decode a photo, before `SECONDS_PER_MEGAPIXEL` are added; more than zero. Decoding that takes longer
            is ended.
    """

    max_pixels: int = MAX_PIXELS
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels must be at least 1, not {self.max_pixels}")
        if not 0 < self.seconds <= _LONGEST:
            raise ValueError(f"seconds must be above 0 and at most {_LONGEST:,.0f}, not {self.seconds:g}")

    def file_bytes(self, pixels: int | None = None) -> int:
        """The most bytes that a file of ``pixels``, or of any number within the limit, may have."""
        return _BYTES_PER_PIXEL * (self.max_pixels if pixels is None else pixels) + _BYTES_BESIDE

    def deadline(self, pixels: int | None) -> float:
        """Seconds to decode a photo; ``pixels`` is None where the header does not say."""
        return self.seconds + SECONDS_PER_MEGAPIXEL * self._expected(pixels) / 1e6

    def memory(self, pixels: int | None, file_bytes: int) -> int:
        """Bytes that decoding such a file may take."""
        return _MEMORY_PER_PIXEL * self._expected(pixels) + _MEMORY_PER_BYTE * file_bytes + _MEMORY_BESIDE

    def _expected(self, pixels: int | None) -> int:
        return min(self.max_pixels, _PIXELS_OF_UNKNOWN if pixels is None else pixels)


LIMITS = Limits()
"""Those of every reader that is told no others."""
