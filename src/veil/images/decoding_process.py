"""The process that decodes photos: reads files from standard input and writes pixels to standard output.

It takes away from itself what a decoder does not need: memory beyond what the photo may take (``RLIMIT_DATA``, where
the platform has it), writing files, dumping core. It ends itself, by a signal that no decoder can delay, one second
after its deadline, and when the process that started it has ended.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

from veil.images import decoders
from veil.images.decoders import Arrays
from veil.images.decoding_messages import READY, read_request, write_reply
from veil.images.photo import ImageError

_GRACE = 1.0  # seconds, in which the other process ends this one
_STATUS = Path("/proc/self/statm")  # of Linux: sizes in pages
_DATA_FIELD = 5


def main(parent: int) -> None:
    """Decodes what is asked for, until standard input ends.

    Args:
        parent: process that started this one.
    """
    requests, replies = _pipes()
    _give_up_rights()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    own = _memory()
    replies.write(READY)
    replies.flush()
    while (asked := read_request(requests)) is not None:
        request, data = asked
        del asked
        _limit_memory(own, request.memory)
        _limit_time(request.seconds + _GRACE)
        reply = _decoded(getattr(decoders, request.manner), data, request.max_pixels)
        del data
        _limit_time(0)
        _limit_memory(own, None)  # the next file may be larger
        write_reply(replies, reply)
        del reply


def _decoded(decode: "decoders.Decode", data: bytes, max_pixels: int) -> Arrays | ImageError:
    try:
        with decoders.memory_errors():
            return decode(data, max_pixels)
    except ImageError as error:
        return error


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input, and standard output, to which libraries that print cannot write any more."""
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1):
        os.dup2(nothing, handle)
    os.close(nothing)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it has ended. (Windows ends it by the end of standard input.)"""
    while os.name != "posix" or os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _give_up_rights() -> None:
    with contextlib.suppress(ImportError):
        import resource

        for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(limit, (0, 0))


def _memory() -> int | None:
    """Bytes of data that this process has; None where the platform does not say."""
    try:
        import resource

        return int(_STATUS.read_text(encoding="ascii").split()[_DATA_FIELD]) * resource.getpagesize()
    except (ImportError, OSError, ValueError, IndexError):
        return None


def _limit_memory(own: int | None, more: int | None) -> None:
    """Allows this process ``more`` bytes than the ``own`` that it began with; None takes that back."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        kind = resource.RLIMIT_AS if own is None else resource.RLIMIT_DATA
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard if more is None else (own or 0) + more, hard))


def _limit_time(seconds: float) -> None:
    """Lets the kernel end this process after so many seconds; 0 takes that back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]))
