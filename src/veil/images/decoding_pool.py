"""Processes that decode photos for this one, and are killed when that takes too long.

They are started when the first photo needs one, reused, and end with this process. They are plain subprocesses of
Python, not of `multiprocessing`: started from any thread beside torch, from a notebook and without a guard around the
main program, they import Pillow and NumPy but neither torch nor the caller's modules. The caller's import path is
passed on without the current folder, where a file named ``numpy.py`` could lie.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from veil.images.decoders import Arrays
from veil.images.decoding_messages import READY, BadReply, Request, read_exactly, read_reply, write_request
from veil.images.photo import ImageError

MOST = 4
"""Processes at most."""
_START_SECONDS, _LAST_SECONDS = 120.0, 1.0
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from veil.images.decoding_process import main; "
# One thread each: as many photos are decoded at once as there are callers.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


def command() -> list[str]:
    """What starts a decoding process."""
    path = [os.path.abspath(entry) for entry in sys.path if entry]  # noqa: PTH100 - as imports resolve them
    path.append(str(Path(__file__).resolve().parents[2]))  # where this Veil is, if that is the current folder
    program = f"{_PROGRAM}main({os.getpid()})"
    return [sys.executable, "-I", "-S", "-c", program, json.dumps(path)]


class DecodingProcess:
    """One process. It belongs to one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        """Starts it.

        Raises:
            ImageError: where it does not start.
        """
        own_group = {"process_group": 0} if os.name == "posix" else {}  # Ctrl-C is for this process alone
        try:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT, **own_group,
            )  # fmt: skip
        except OSError as error:
            raise ImageError(f"the process that decodes photos does not start ({error.strerror})") from error
        self._requests, self._replies = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        try:
            with self._killed_after(_START_SECONDS):
                ready = read_exactly(self._replies, len(READY)) == READY
        except (EOFError, OSError):
            ready = False
        if not ready:
            self.end()
            raise ImageError(f"the process that decodes photos does not start ({self._fate()})")

    def decode(self, request: Request, data: bytes) -> Arrays:
        """The photo.

        Raises:
            ImageError: for a file that cannot be decoded. Where ``usable`` is false afterwards, the process ended.
        """
        try:
            with self._killed_after(request.seconds) as late:
                write_request(self._requests, request, data)
                return read_reply(self._replies, request.max_pixels)
        except (EOFError, OSError, BadReply) as error:
            self.end(patience=0 if isinstance(error, BadReply) else _LAST_SECONDS)
            if late.is_set() or self._process.returncode == -getattr(signal, "SIGALRM", 0):
                raise ImageError(f"decoding took more than {request.seconds:.3g} seconds, and was ended") from None
            raise ImageError(f"its decoder crashed ({self._fate()})") from None

    @property
    def usable(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def end(self, patience: float = 0) -> None:
        """Kills the process, and waits until it is gone.

        Args:
            patience: seconds in which it may end by itself, so that its exit status says why.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._process.kill()
        self._process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Closes this side of the pipes: the process ends when no other process holds them."""
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):  # what was not sent cannot be
                pipe.close()
        if self._process.returncode is None:
            self._process.returncode = 0  # of another process's child, for which this one cannot wait

    @contextmanager
    def _killed_after(self, seconds: float) -> Iterator[threading.Event]:
        """Kills the process if the block takes longer, which ends the block; the event says whether it did."""
        late, lock, over = threading.Event(), threading.Lock(), False

        def kill() -> None:
            with lock:
                if not over:
                    late.set()
                    self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            with lock:
                over = True
            timer.cancel()

    def _fate(self) -> str:
        status = self._process.returncode
        if status is None or status >= 0:
            return f"exit status {status}"
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"


class DecodingPool:
    """At most ``most`` processes, for any number of threads."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._forget()

    def _forget(self) -> None:
        self._free: list[DecodingProcess] = []
        self._lock, self._places = threading.Lock(), threading.Semaphore(self.most)

    def decode(self, request: Request, data: bytes) -> Arrays:
        """The photo. A process that ended is replaced when the next photo needs it.

        Raises:
            ImageError: for a file that cannot be decoded, within its time and memory.
        """
        with self._places:
            process = self._taken() or DecodingProcess(command())
            try:
                return process.decode(request, data)
            except BaseException as error:
                if not isinstance(error, ImageError):
                    process.end()  # an answer would still be on its way
                raise
            finally:
                if process.usable:
                    with self._lock:
                        self._free.append(process)

    def _taken(self) -> DecodingProcess | None:
        """A process that waits; those that were killed meanwhile are dropped."""
        with self._lock:
            while self._free:
                process = self._free.pop()
                if process.usable:
                    return process
                process.end()
        return None

    def end(self) -> None:
        """Ends the processes that wait."""
        with self._lock:
            while self._free:
                self._free.pop().end()

    def let_go(self) -> None:
        """Forgets the processes, which belong to the process that this one was forked from."""
        for process in self._free:
            process.let_go()
        self._forget()


POOL = DecodingPool()
"""Of this process."""
atexit.register(POOL.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.let_go)
