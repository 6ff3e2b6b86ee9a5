"""Folders of images whose outputs must keep every bit: what encryption and transformation share.

Images are read, changed in batches (`veil.jobs.image_batches`), and written without loss. Every file is decoded again
after it was written, and compared, because the file is what counts. A file that does not hold the pixels is removed,
and its image fails.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor

from veil import images
from veil.images import ImageError, Photo
from veil.images.marks import Mark
from veil.images.resizing import resize
from veil.jobs import folders, image_batches
from veil.jobs.folders import FolderResult
from veil.jobs.image_batches import FAILS, Batch, ReadImage
from veil.jobs.job import Digest, Job, Run
from veil.jobs.row_formats import DoneRow, Row, RowFormat
from veil.jobs.stream import Stages, as_written, stream

FORMATS = tuple(name for name, stored in images.FORMATS.items() if stored.lossless)
R = TypeVar("R")

_PIXELS = 1 << 18  # that are changed together at most


class ImageRow(DoneRow):
    """Row of an image that was changed; size and channels (1 or 3) are those of the image as it was read."""

    width: int
    height: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Output:
    """How images are written.

    Attributes:
        format: one of `FORMATS`.
        size: side that they are resized to first; None leaves them as they are.
        limits: of an image before that.
    """

    format: str = "png"
    size: int | None = None
    limits: images.Limits = images.LIMITS

    def checked(self, harm: str, most: int | None = None) -> "Output":
        """Itself.

        Args:
            harm: what changed pixels would do, for the message.
            most: pixels that are changed at most; those of ``limits`` if it is None.

        Raises:
            ValueError: for a format that loses, or a size out of range.
        """
        if self.format not in FORMATS:
            jpeg = self.format in ("jpeg", "jpg")
            reason = f"JPEG changes pixels: {harm}" if jpeg else f"there is no format {self.format!r}"
            raise ValueError(f"{reason}; take {', '.join(FORMATS)}")
        most = self.limits.max_pixels if most is None else min(most, self.limits.max_pixels)
        if self.size is not None and not 1 <= self.size * self.size <= most:
            raise ValueError(f"images of {self.size}×{self.size} pixels are out of range: from 1 pixel to {most:,}")
        return self

    @property
    def suffix(self) -> str:
        """Of the files, with its dot."""
        return images.FORMATS[self.format].suffix


@dataclass(frozen=True, kw_only=True)
class Lossless(Generic[R]):
    """A job that changes images and writes them without loss.

    Attributes:
        change: changes a batch, in the thread that calls `run`.
        output: how images are written.
        settings: see `veil.jobs.folders.Job`.
        rows: format of its rows.
        describe: further fields of a row, from the changed image (3, H', W').
        mark: what files say of themselves where images are encrypted.
    """

    change: Batch
    output: Output
    settings: Mapping[str, Any]
    rows: RowFormat[R]
    describe: Callable[[Tensor], Mapping[str, Any]] = lambda changed: {}
    mark: Mark | None = None

    def prepare(self, photo: Photo) -> tuple[Tensor, list[str]]:
        """A photo as uint8 (3, H, W), ready to be changed, and notes of what was converted."""
        if (side := self.output.size) is None:
            return image_batches.three_colours(photo)
        return image_batches.three_colours(photo, (side, side), partial(resize, side=side))

    def write(self, image: ReadImage, changed: Tensor) -> tuple[Row, Digest]:
        """Writes an image, and returns its row."""
        digest = save(changed, image.item.out, self.output.format, self.mark)
        about = {"width": image.width, "height": image.height, "channels": image.channels}
        return image.row({**about, **self.describe(changed)}), digest


def run(inputs: Sequence[Path], out: Path, lossless: Lossless[R], run: Run) -> FolderResult[R]:
    """Changes files and folders of images into ``out``; goes on where an earlier run stopped.

    Raises:
        folders.FolderError: where the job cannot start or go on.
    """
    stages = Stages(
        read=partial(image_batches.read, prepare=lossless.prepare, limits=lossless.output.limits),
        change=image_batches.in_batches(lossless.change, pixels=_PIXELS), write=lossless.write, row=as_written,
        fails=FAILS,
    )  # fmt: skip
    job = Job(
        work=partial(stream, stages), suffixes=images.SUFFIXES, suffix=lossless.output.suffix,
        settings=lossless.settings, rows=lossless.rows, synced=False,
    )  # fmt: skip
    return folders.run(inputs, out, job, run)


def save(pixels: Tensor, out: Path, format: str, mark: Mark | None = None) -> Digest:
    """Writes an image, uint8 (1 or 3, height, width), and decodes it again.

    Raises:
        ImageError: where it cannot be written, or the file holds other pixels, which is then removed.
    """
    data = images.encode(Photo(pixels), format, mark=mark)
    digest = image_batches.write(out, data)
    decoded = images.load(out, limits=images.Limits(max_pixels=pixels[0].numel())).pixels
    if decoded.shape[1:] != pixels.shape[1:] or not bool((decoded == pixels).all()):  # WebP makes grey three colours
        out.unlink(missing_ok=True)
        raise ImageError("the written file, decoded again, holds other pixels; it was removed")
    return digest
