"""The pipeline of folder jobs: threads read files ahead, the calling thread changes them, threads write the outputs.

A job has three stages (`Stages`). Only the middle one sees several files at a time. It takes files when it has room,
such as a batch of equal shapes, or as many photos as an engine works on, and returns them in any order. A file that
fails at a stage passes the later ones as `Failed`.

**Memory is bounded**, however many files there are, and however many of them are large: at most `PIXELS` wait to be
changed and as many wait to be written, and at most ``ahead`` and ``behind`` files. Each thread holds one file more. A
file of more pixels waits alone.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from typing import Generic, Protocol, TypeVar

from veil.jobs.job import Digest, Item
from veil.jobs.row_formats import Row

PIXELS = 1 << 24  # of colour images: 48 MB
FILES = 128


class Loaded(Protocol):
    """A file that was read. ``pixels`` says how much memory it takes."""

    @property
    def item(self) -> Item: ...

    @property
    def pixels(self) -> int: ...


L = TypeVar("L", bound=Loaded)
C = TypeVar("C")
W = TypeVar("W")


@dataclass(frozen=True, eq=False)
class Failed:
    """A file that failed at a stage."""

    item: Item
    error: Exception


Change = Callable[[Iterator[L | Failed]], Iterator[tuple[L, C] | Failed]]
"""Takes files that were read and yields them with their results; yields a `Failed` at once."""


@dataclass(frozen=True, kw_only=True)
class Stages(Generic[L, C, W]):
    """The three stages of a job, and what follows them.

    Attributes:
        read: runs in threads.
        change: runs in the calling thread, on many files.
        write: runs in threads; writes the output; returns what its row is made from, and the `Digest` of its bytes.
        row: runs in the calling thread; makes the row, but for that digest.
        fails: errors of ``read``, ``write`` and ``row`` that become the file's row; any other ends the job.
        ahead: files that wait to be changed at most.
        behind: files that wait to be written at most.
    """

    read: Callable[[Item], L]
    change: Change[L, C]
    write: Callable[[L, C], tuple[W, Digest]]
    row: Callable[[W], Row]
    fails: tuple[type[Exception], ...]
    ahead: int = FILES
    behind: int = FILES


def as_written(row: Row) -> Row:
    """The ``row`` of stages whose ``write`` makes the row."""
    return row


def one_by_one(change: Callable[[L], C], fails: tuple[type[Exception], ...]) -> Change[L, C]:
    """A middle stage that changes one file at a time.

    Args:
        fails: errors of ``change`` that become the file's row.
    """

    def changed(taken: Iterator[L | Failed]) -> Iterator[tuple[L, C] | Failed]:
        for loaded in taken:
            if isinstance(loaded, Failed):
                yield loaded
                continue
            try:
                result = change(loaded)
            except fails as error:
                yield Failed(loaded.item, error)
            else:
                yield loaded, result

    return changed


def stream(
    stages: Stages[L, C, W], items: Iterable[Item], workers: int
) -> Generator[tuple[Item, Row | Exception], None, None]:
    """Runs the stages on items; yields the row of each when it is done, or its error.

    Args:
        workers: threads that read, and as many that write.
    """
    gate, readers, writers = _Gate(PIXELS), ThreadPoolExecutor(workers), ThreadPoolExecutor(workers)
    waiting: deque[tuple[L, Future[tuple[W, Digest]]]] = deque()  # to be written
    pixels = 0  # of all of them

    def settled() -> tuple[Item, Row | Exception]:
        nonlocal pixels
        loaded, written = waiting.popleft()
        pixels -= loaded.pixels
        try:
            result, digest = written.result()
            return loaded.item, {**stages.row(result), "out_sha256": digest}
        except stages.fails as error:
            return loaded.item, error

    try:
        for done in stages.change(_read_ahead(items, stages, gate, readers)):
            if isinstance(done, Failed):
                yield done.item, done.error
                continue
            waiting.append((done[0], writers.submit(stages.write, *done)))
            pixels += done[0].pixels
            del done  # not to be held while the next one is waited for
            while waiting and (waiting[0][1].done() or pixels > PIXELS or len(waiting) > stages.behind):
                yield settled()
        while waiting:
            yield settled()
    finally:
        gate.open()
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)


class _Gate:
    """Makes reading threads wait while too many pixels wait to be changed; the next file always passes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held, self.next, self.opened = 0, 0, False
        self.changed = Condition()

    def enter(self, place: int, pixels: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.opened or place == self.next or self.held + pixels <= self.most)
            self.held += pixels

    def leave(self, pixels: int) -> None:
        """The next file was taken; it has no pixels where it could not be read."""
        with self.changed:
            self.held -= pixels
            self.next += 1
            self.changed.notify_all()

    def open(self) -> None:
        with self.changed:
            self.opened = True
            self.changed.notify_all()


def _read_ahead(
    items: Iterable[Item], stages: Stages[L, C, W], gate: _Gate, pool: ThreadPoolExecutor
) -> Iterator[L | Failed]:
    """Reads files ahead in threads; yields them in order."""

    def read(place: int, item: Item) -> L | Failed:
        try:
            loaded = stages.read(item)
        except stages.fails as error:
            return Failed(item, error)
        gate.enter(place, loaded.pixels)
        return loaded

    def taken() -> L | Failed:
        loaded = futures.popleft().result()
        gate.leave(0 if isinstance(loaded, Failed) else loaded.pixels)
        return loaded

    futures: deque[Future[L | Failed]] = deque()
    for place, item in enumerate(items):
        futures.append(pool.submit(read, place, item))
        if len(futures) > stages.ahead:
            yield taken()
    while futures:
        yield taken()
