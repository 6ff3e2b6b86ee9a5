"""Images that are read and changed in batches: what jobs with ciphers, transformations and clients share.

`read` reads an image in the form that networks and ciphers take: three colours without transparency, resized if wanted.
`in_batches` is a middle stage of `veil.jobs.stream` that changes neighbouring images of one size together.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from veil import images
from veil.images import ImageError, Photo
from veil.jobs.job import Digest, Item, digest_of, stamp
from veil.jobs.row_formats import Row, Stamp
from veil.jobs.stream import Change, Failed
from veil.runtime.files import write_atomically

FAILS = (ImageError, OSError, MemoryError)
"""Errors of reading and writing that concern one file."""
Batch = Callable[[Tensor], Tensor]
"""Takes uint8 (N, 3, H, W), returns N tensors of one shape on the CPU; raises a ValueError for images it refuses."""
Resize = Callable[[Image.Image], Image.Image]

TOGETHER = 64  # images that are changed together at most


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An image that was read.

    Attributes:
        item: the file.
        width, height, channels: of the decoded image.
        plain: uint8 (3, H, W), to be changed.
        notes: conversions between the file and ``plain``.
        source: size and time of the file when it was read.
        digest: of the decoded image, as rows have it.
        begun: when reading began, by `time.perf_counter`.
    """

    item: Item
    width: int
    height: int
    channels: int
    plain: Tensor
    notes: list[str]
    source: Stamp
    digest: str
    begun: float

    @property
    def pixels(self) -> int:
        """Pixels of ``plain``."""
        _, height, width = self.plain.shape  # not by indexing, which lets other threads go first: it is asked often
        return height * width

    def row(self, fields: Mapping[str, Any], notes: Sequence[str] = ()) -> Row:
        """The row of the image when its output is written.

        Args:
            fields: further fields of the job.
            notes: further notes.
        """
        return {
            "file": self.item.name,
            "out": self.item.out_name,
            **fields,
            "seconds": round(time.perf_counter() - self.begun, 3),
            "error": None,
            "notes": [*self.notes, *notes],
            "source": self.source,
            "pixels_sha256": self.digest,
        }


def read(item: Item, prepare: Callable[[Photo], tuple[Tensor, list[str]]], *, limits: images.Limits) -> ReadImage:
    """Reads an image.

    Args:
        prepare: turns a photo into ``plain``; returns it with notes.
        limits: see `veil.images.load`.

    Raises:
        ImageError, OSError: where the file cannot be read.
    """
    begun = time.perf_counter()
    photo = images.load(item.source, limits=limits)
    source = stamp(item.source)
    plain, notes = prepare(photo)
    channels, digest = photo.pixels.shape[0], images.content_digest(photo.pixels).hex()
    return ReadImage(item, photo.width, photo.height, channels, plain, [*photo.notes, *notes], source, digest, begun)


def write(out: Path, data: bytes) -> Digest:
    """Writes an output, and its folder where that is not there.

    Raises:
        ImageError: where it cannot be written.
    """
    try:
        try:
            write_atomically(out, data, synced=False)
        except FileNotFoundError:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, data, synced=False)
    except OSError as error:
        raise ImageError(f"the file cannot be written ({error.strerror})") from error
    return digest_of(data)


def three_colours(
    photo: Photo, size: tuple[int, int] | None = None, resize: Resize = lambda image: image
) -> tuple[Tensor, list[str]]:
    """A photo as uint8 (3, H, W) without transparency, and notes of what was converted.

    Args:
        size: wanted (H, W); None keeps the photo's own.
        resize: resizes an image to that size.
    """
    pixels, notes = images.over_white(photo).pixels, []
    if photo.alpha is not None:
        notes.append("alpha flattened over white")
    if len(pixels) == 1:
        pixels = pixels.expand(3, -1, -1)
        notes.append("grey became three equal colours")
    if size is not None and tuple(pixels.shape[1:]) != size:
        image = resize(Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        notes.append(f"resized from {photo.width}×{photo.height} to {size[1]}×{size[0]}")
    return pixels, notes


def in_batches(change: Batch, *, together: int = TOGETHER, pixels: int | None = None) -> Change[ReadImage, Tensor]:
    """A middle stage that changes neighbouring images of one size together.

    Where a batch fails, its images are changed one by one, so that only the images at fault fail.

    Args:
        together: images in a batch at most.
        pixels: pixels in a batch at most; an image of more is changed alone.
    """

    def changed(taken: Iterator[ReadImage | Failed]) -> Iterator[tuple[ReadImage, Tensor] | Failed]:
        for batch in _batches(taken, together, pixels):
            if isinstance(batch, Failed):
                yield batch
                continue
            results = _changed(change, [image.plain for image in batch])
            for image, result in zip(batch, results, strict=True):
                yield Failed(image.item, result) if isinstance(result, Exception) else (image, result)

    return changed


def _batches(
    taken: Iterator[ReadImage | Failed], together: int, pixels: int | None
) -> Iterator[list[ReadImage] | Failed]:
    """Batches of neighbouring images of one size; yields a `Failed` at once."""
    batch: list[ReadImage] = []
    for image in taken:
        if isinstance(image, Failed):
            yield image
            continue
        most = together if pixels is None else max(1, min(together, pixels // image.pixels))
        if batch and batch[0].plain.shape != image.plain.shape:
            yield batch
            batch = []
        batch.append(image)
        if len(batch) >= most:
            yield batch
            batch = []
    if batch:
        yield batch


def _changed(change: Batch, plain: Sequence[Tensor]) -> list[Tensor | Exception]:
    """The images changed together; where that fails one by one, so that only those at fault fail."""
    try:
        return list(change(torch.stack(list(plain))))
    except torch.OutOfMemoryError:
        problem: Exception = MemoryError()
    except (MemoryError, ValueError) as error:
        problem = error
    return [problem] if len(plain) == 1 else [_changed(change, [one])[0] for one in plain]
