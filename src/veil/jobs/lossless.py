"""Folders of images that come out changed and must stay so, bit by bit: what encryption and transformation share.

An image is read, made three colours without transparency, resized if that is wanted, changed, and written without
loss. Every file is decoded again after it was written, and compared: what counts is the file. One that does not hold
the pixels is removed, and is a failure.

`run` is a `veil.jobs.folders` job for whatever changes a *batch*. Threads read images ahead and others write them; in
between, neighbouring images of one size are changed together. What waits on that way is bounded in pixels, so that
memory grows neither with the folder nor with how many images of it are large: `_AHEAD` pixels before the change and as
many after it, beside the images that threads have in hand. An image of more pixels waits alone.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Condition

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from veil import images
from veil.images import ImageError, Photo
from veil.images.resizing import resize
from veil.jobs import folders
from veil.jobs.folders import Item, Row
from veil.runtime.files import write_atomically

FORMATS = tuple(name for name, stored in images.FORMATS.items() if stored.lossless)
FAILS = (ImageError, OSError, MemoryError)
"""What reading and writing raise where a file is at fault."""
Change = Callable[[Tensor], Tensor]
"""uint8 (N, 3, H, W) to uint8 (N, 3, H', W') on the CPU; a ValueError refuses the images."""

_TOGETHER, _PIXELS = 64, 1 << 18  # images and pixels that are changed together at most
_AHEAD = 1 << 24  # pixels that wait to be changed, and to be written: 48 MB
_DEPTH = 128  # files that are read ahead, and that wait to be written


def suffix_of(format: str, harm: str) -> str:
    """The suffix of a lossless format, with its dot.

    Args:
        format: one of `FORMATS`.
        harm: what changed pixels would do, for the message.

    Raises:
        ValueError: for any other.
    """
    if format in FORMATS:
        return images.FORMATS[format].suffix
    reason = f"JPEG changes pixels: {harm}" if format in ("jpeg", "jpg") else f"there is no format {format!r}"
    raise ValueError(f"{reason}; take {', '.join(FORMATS)}")


def check_size(size: int | None, max_pixels: int) -> None:
    """Refuses a side that images are to be resized to.

    Raises:
        ValueError: where it is out of range.
    """
    if size is not None and not 1 <= size * size <= max_pixels:
        raise ValueError(f"images of {size}×{size} pixels are out of range: from 1 pixel to {max_pixels:,}")


def prepared(photo: Photo, size: int | None) -> tuple[Tensor, list[str]]:
    """uint8 (3, height, width), resized to ``size`` × ``size`` if it is given, and what was changed for that."""
    pixels, notes = images.over_white(photo).pixels, []
    if photo.alpha is not None:
        notes.append("alpha flattened over white")
    if len(pixels) == 1:
        pixels = pixels.expand(3, -1, -1)
        notes.append("grey became three equal colours")
    if size is not None and pixels.shape[1:] != (size, size):
        image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
        pixels = torch.from_numpy(np.array(resize(image, size))).permute(2, 0, 1).contiguous()
        notes.append(f"resized from {photo.width}×{photo.height} to {size}×{size}")
    return pixels, notes


def save(pixels: Tensor, out: Path, format: str) -> None:
    """Writes an image, uint8 (1 or 3, height, width), and decodes it again.

    Raises:
        ImageError: where it cannot be written, or the file holds other pixels, which is then removed.
    """
    data = images.encode(Photo(pixels), format)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, data, synced=False)
    except OSError as error:
        raise ImageError(f"the file cannot be written ({error.strerror})") from error
    decoded = images.load(out, max_pixels=pixels[0].numel()).pixels
    if decoded.shape[1:] != pixels.shape[1:] or not bool((decoded == pixels).all()):  # WebP makes grey three colours
        out.unlink(missing_ok=True)
        raise ImageError("the written file, decoded again, holds other pixels; it was removed")


def run(
    inputs: Sequence[Path],
    out: Path,
    change: Change,
    *,
    settings: Mapping[str, object],
    format: str,
    suffix: str,
    size: int | None,
    max_pixels: int,
    workers: int,
    described: Callable[[Tensor], Row] = lambda changed: {},
    started: Callable[[int, Sequence[Row], int], None],
    finished: Callable[[Row], None],
) -> list[Row]:
    """Changes files and folders of images into ``out``; goes on where an earlier run stopped.

    Args:
        change: what becomes of a batch. It runs in the thread that calls this.
        settings: see `veil.jobs.folders.run`.
        format, suffix: of the outputs; see `suffix_of`.
        size: resize images to ``size`` × ``size`` pixels first.
        max_pixels: of an image, before it is resized.
        workers: threads that read, and as many that write.
        described: further fields of a row, from the changed image (3, H', W').
        started, finished: see `veil.jobs.folders.run`.

    Returns:
        A row per image, in the order of the inputs.

    Raises:
        folders.FolderError: where the job cannot start or go on.
    """

    def read(item: Item) -> "_Read":
        begun = time.perf_counter()
        photo = images.load(item.source, max_pixels=max_pixels)
        source = folders.stamp(item.source)
        plain, notes = prepared(photo, size)
        about = {"width": photo.width, "height": photo.height, "channels": photo.pixels.shape[0]}
        return _Read(item, plain, about, [*photo.notes, *notes], source, begun)

    def write(image: "_Read", changed: Tensor) -> Row:
        save(changed, image.item.out, format)
        return {
            "file": image.item.name,
            "out": image.item.out_name,
            **image.about,
            **described(changed),
            "seconds": round(time.perf_counter() - image.begun, 3),
            "error": None,
            "notes": image.notes,
            "source": image.source,
        }

    return folders.run(
        inputs, out, lambda items: _work(items, read, change, write, workers),
        suffixes=images.SUFFIXES, suffix=suffix, settings=settings, synced=False, started=started, finished=finished,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Read:
    """An image on its way: prepared, what its row says of it as it was, and when that began."""

    item: Item
    plain: Tensor
    about: Row
    notes: list[str]
    source: dict[str, int]
    begun: float

    @property
    def pixels(self) -> int:
        return self.plain[0].numel()


def _work(
    items: Iterable[Item],
    read: Callable[[Item], _Read],
    change: Change,
    write: Callable[[_Read, Tensor], Row],
    workers: int,
) -> Iterator[tuple[Item, Row]]:
    """The rows of ``items``, as they are done."""
    gate, readers, writers = _Gate(_AHEAD), ThreadPoolExecutor(workers), ThreadPoolExecutor(workers)
    waiting: deque[tuple[_Read, Future[Row]]] = deque()  # to be written
    pixels = 0  # of all of them, before the change
    try:
        for taken in _batches(_read_ahead(items, read, gate, readers)):
            if isinstance(taken, _Failed):
                yield taken.item, folders.failure(taken.item, taken.error)
                continue
            for image, changed in zip(taken, _changed(change, [image.plain for image in taken]), strict=True):
                if isinstance(changed, Exception):
                    yield image.item, folders.failure(image.item, changed)
                else:
                    waiting.append((image, writers.submit(write, image, changed)))
                    pixels += image.pixels
            while waiting and (waiting[0][1].done() or pixels > _AHEAD or len(waiting) > _DEPTH):
                pixels -= waiting[0][0].pixels
                yield _row(*waiting.popleft())
        while waiting:
            yield _row(*waiting.popleft())
    finally:
        gate.open()
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)


def _row(image: _Read, written: Future[Row]) -> tuple[Item, Row]:
    try:
        return image.item, written.result()
    except FAILS as error:
        return image.item, folders.failure(image.item, error)


@dataclass(frozen=True, eq=False)
class _Failed:
    """A file that could not be read."""

    item: Item
    error: Exception


class _Gate:
    """Holds back those who read ahead while too many pixels wait; the file that comes next always passes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held, self.next, self.opened = 0, 0, False
        self.changed = Condition()

    def enter(self, place: int, pixels: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.opened or place == self.next or self.held + pixels <= self.most)
            self.held += pixels

    def leave(self, pixels: int) -> None:
        """The next one was taken; it is of no pixels where it could not be read."""
        with self.changed:
            self.held -= pixels
            self.next += 1
            self.changed.notify_all()

    def open(self) -> None:
        with self.changed:
            self.opened = True
            self.changed.notify_all()


def _read_ahead(
    items: Iterable[Item], read: Callable[[Item], _Read], gate: _Gate, pool: ThreadPoolExecutor
) -> Iterator[_Read | _Failed]:
    """What is read, in order, or why it was not."""

    def guarded(numbered: tuple[int, Item]) -> _Read | _Failed:
        place, item = numbered
        try:
            image = read(item)
        except FAILS as error:
            return _Failed(item, error)
        gate.enter(place, image.pixels)
        return image

    futures: deque[Future[_Read | _Failed]] = deque()
    for numbered in enumerate(items):
        futures.append(pool.submit(guarded, numbered))
        if len(futures) > _DEPTH:
            yield _taken(futures.popleft(), gate)
    while futures:
        yield _taken(futures.popleft(), gate)


def _taken(future: Future[_Read | _Failed], gate: _Gate) -> _Read | _Failed:
    found = future.result()
    gate.leave(found.pixels if isinstance(found, _Read) else 0)
    return found


def _batches(found: Iterable[_Read | _Failed]) -> Iterator[list[_Read] | _Failed]:
    """Neighbouring images of one size, together; what failed passes by."""
    batch: list[_Read] = []
    for one in found:
        if isinstance(one, _Failed):
            yield one
            continue
        most = max(1, min(_TOGETHER, _PIXELS // one.pixels))
        if batch and batch[0].plain.shape != one.plain.shape:
            yield batch
            batch = []
        batch.append(one)
        if len(batch) >= most:
            yield batch
            batch = []
    if batch:
        yield batch


def _changed(change: Change, plain: Sequence[Tensor]) -> list[Tensor | Exception]:
    """The images changed together; where that fails one by one, so that only those at fault fail."""
    try:
        return list(change(torch.stack(list(plain))))
    except torch.OutOfMemoryError:
        problem: Exception = MemoryError()
    except (MemoryError, ValueError) as error:
        problem = error
    return [problem] if len(plain) == 1 else [_changed(change, [one])[0] for one in plain]
