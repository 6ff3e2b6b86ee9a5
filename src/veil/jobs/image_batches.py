"""Images that are read, brought to one form, and changed in batches: what ciphers, transformations and clients share.

`read` gives an image as networks and ciphers take it: three colours without transparency, resized if that is wanted.
`in_batches` changes neighbouring images of one size together, and so is a stage of `veil.jobs.stream`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from veil import images
from veil.images import ImageError, Photo
from veil.jobs.job import Item, stamp
from veil.jobs.row_formats import Row, Stamp
from veil.jobs.stream import Change, Failed

FAILS = (ImageError, OSError, MemoryError)
"""What reading and writing raise where a file is at fault."""
Batch = Callable[[Tensor], Tensor]
"""uint8 (N, 3, H, W) to N tensors of one shape, on the CPU; a ValueError refuses the images."""
Resize = Callable[[Image.Image], Image.Image]

TOGETHER = 64  # images that are changed together at most


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An image on its way.

    Attributes:
        item: the file.
        width, height, channels: as it was decoded.
        plain: uint8 (3, H, W), what is changed.
        notes: what was changed in it before that.
        source: of the file when it was read.
        begun: when that was, by `time.perf_counter`.
    """

    item: Item
    width: int
    height: int
    channels: int
    plain: Tensor
    notes: list[str]
    source: Stamp
    begun: float

    @property
    def pixels(self) -> int:
        """Of what is changed."""
        return self.plain[0].numel()

    def row(self, fields: Mapping[str, Any], notes: Sequence[str] = ()) -> Row:
        """The row of the image when its output is written.

        Args:
            fields: that it has besides those of every row.
            notes: more of them.
        """
        return {
            "file": self.item.name,
            "out": self.item.out_name,
            **fields,
            "seconds": round(time.perf_counter() - self.begun, 3),
            "error": None,
            "notes": [*self.notes, *notes],
            "source": self.source,
        }


def read(item: Item, prepare: Callable[[Photo], tuple[Tensor, list[str]]], *, max_pixels: int) -> ReadImage:
    """Reads an image.

    Args:
        prepare: makes of a photo what is changed, and says what it did for that.
        max_pixels: see `veil.images.load`.

    Raises:
        ImageError, OSError: where the file cannot be read.
    """
    begun = time.perf_counter()
    photo = images.load(item.source, max_pixels=max_pixels)
    source = stamp(item.source)
    plain, notes = prepare(photo)
    channels = photo.pixels.shape[0]
    return ReadImage(item, photo.width, photo.height, channels, plain, [*photo.notes, *notes], source, begun)


def three_colours(
    photo: Photo, size: tuple[int, int] | None = None, resize: Resize = lambda image: image
) -> tuple[Tensor, list[str]]:
    """A photo without transparency, uint8 (3, H, W), and what was changed for that.

    Args:
        size: (H, W) that it is to have; None: its own.
        resize: makes an image of that size.
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
    """Changes neighbouring images of one size together, as a stage; where a batch fails, only those at fault do.

    Args:
        together: images in a batch at most.
        pixels: the same for all pixels of a batch; one image may have more.
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
    """Neighbouring images of one size; what failed passes by."""
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
