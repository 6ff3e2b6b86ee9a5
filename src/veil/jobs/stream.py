"""The way of files through a job: read ahead in threads, changed in the calling thread, written in threads behind it.

Three stages (`Stages`), and only the one in the middle sees more than one file at a time: it takes what was read as it
has room, a batch of equal shapes or as many photos as an engine works on, and gives back what is done, in any order. A
file that fails at any stage passes on as `Failed`.

**What waits is bounded**, so that memory grows neither with the folder nor with how many of its files are large:
`PIXELS` before the change and as many after it, and no more than ``ahead`` and ``behind`` files, beside those that
threads have in hand. A file of more pixels waits alone.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from typing import Generic, Protocol, TypeVar

from veil.jobs.job import Item
from veil.jobs.row_formats import Row

PIXELS = 1 << 24  # of colour images: 48 MB
FILES = 128


class Loaded(Protocol):
    """What was read of a file. ``pixels`` says how much memory it takes."""

    @property
    def item(self) -> Item: ...

    @property
    def pixels(self) -> int: ...


L = TypeVar("L", bound=Loaded)
C = TypeVar("C")
W = TypeVar("W")


@dataclass(frozen=True, eq=False)
class Failed:
    """A file that a stage could not do."""

    item: Item
    error: Exception


Change = Callable[[Iterator[L | Failed]], Iterator[tuple[L, C] | Failed]]
"""Takes what was read, and gives back what became of it; what failed before passes at once."""


@dataclass(frozen=True, kw_only=True)
class Stages(Generic[L, C, W]):
    """What happens to the files of a job.

    Attributes:
        read: in threads.
        change: in the calling thread, for many files.
        write: in threads; puts the output in its place.
        row: in the calling thread; the row of a file from what ``write`` returned.
        fails: what ``read`` and ``write`` raise where a file is at fault; anything else ends the job.
        ahead, behind: files that wait to be changed, and to be written.
    """

    read: Callable[[Item], L]
    change: Change[L, C]
    write: Callable[[L, C], W]
    row: Callable[[W], Row]
    fails: tuple[type[Exception], ...]
    ahead: int = FILES
    behind: int = FILES


def as_written(row: Row) -> Row:
    """``row`` of stages whose ``write`` returns it."""
    return row


def one_by_one(change: Callable[[L], C], fails: tuple[type[Exception], ...]) -> Change[L, C]:
    """Changes every file by itself.

    Args:
        fails: what ``change`` raises where a file is at fault.
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
    """The rows of ``items`` as they are done, or why there is none.

    Args:
        workers: threads that read, and as many that write.
    """
    gate, readers, writers = _Gate(PIXELS), ThreadPoolExecutor(workers), ThreadPoolExecutor(workers)
    waiting: deque[tuple[L, Future[W]]] = deque()  # to be written
    pixels = 0  # of all of them

    def settled() -> tuple[Item, Row | Exception]:
        nonlocal pixels
        loaded, written = waiting.popleft()
        pixels -= loaded.pixels
        try:
            return loaded.item, stages.row(written.result())
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
    items: Iterable[Item], stages: Stages[L, C, W], gate: _Gate, pool: ThreadPoolExecutor
) -> Iterator[L | Failed]:
    """What is read, in order, or why it was not."""

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
