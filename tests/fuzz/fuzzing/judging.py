"""What a reader did with one input, under limits of time and memory, and whether it may.

Time is that of the processor, so that a busy machine changes nothing; only a reader that waits is judged by the clock.
Both limits end the process by a signal: a reader that hangs in C cannot be interrupted otherwise. Memory is the
largest resident size while the input is read, of this process and its children, less what there was before.
"""

import re
import resource
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import veil
from veil.runtime.files import printable

VEIL = Path(veil.__file__).parent
LONGEST_MESSAGE = 2000
"""Characters of the line in which an input is refused."""
BEYOND = {signal.SIGPROF: "time", signal.SIGALRM: "hang"}
_WAITING = 20  # times the limit of processor time, by the clock
_BACKSTOP = 8 << 30  # bytes of address space above what there is: a failing input must not take the whole machine


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an input.

    Attributes:
        kind: ``read``, ``refused``; or a failure: ``exception``, ``message``, ``memory``, ``time``, ``hang`` or
            ``crash``.
        error: type and message of an exception.
        where: line of Veil's code that raised it, or called what raised it.
        seconds: of the processor.
        mebibytes: above what there was.
    """

    kind: str
    error: str = ""
    where: str = ""
    seconds: float = 0.0
    mebibytes: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the reader may not do that."""
        return self.kind not in ("read", "refused")

    @property
    def signature(self) -> str:
        """The same for inputs that most probably fail for one reason."""
        return f"{self.kind} {self.error.partition(':')[0]} {self.where}"

    @property
    def path(self) -> str:
        """The same for inputs that most probably took one way through the reader."""
        return f"{self.signature} {re.sub('[^a-z ]+', '#', self.error)[:60]}"

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What reading one input may take: seconds of the processor, and MiB above what there was."""

    seconds: float
    mebibytes: float


def judge(
    read: Callable[[Path], object], file: Path, refusals: tuple[type[BaseException], ...], limits: Limits
) -> Outcome:
    """Reads a file. The process ends by a signal of `BEYOND` where it takes too long."""
    before, began = _start_measuring(), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, limits.seconds)
    signal.setitimer(signal.ITIMER_REAL, _WAITING * limits.seconds)
    kind, error, where = "read", "", ""
    try:
        read(file)
    except BaseException as raised:
        kind, error, where = _exception(raised, refusals)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    taken = (_peak() - before) / 1024
    if taken > limits.mebibytes and kind in ("read", "refused"):
        kind = "memory"
    return Outcome(kind=kind, error=error, where=where, seconds=time.process_time() - began, mebibytes=taken)


def restrain() -> None:
    """Limits of the process itself: no dumps of memory, no large files, no end of address space."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 1 << 28),
        (resource.RLIMIT_AS, _status("VmSize") * 1024 + _BACKSTOP),
    ):
        resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
    for number in BEYOND:
        signal.signal(number, signal.SIG_DFL)


def _exception(raised: BaseException, refusals: tuple[type[BaseException], ...]) -> tuple[str, str, str]:
    frames = traceback.extract_tb(raised.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(VEIL)]
    where = f"{Path(own[-1].filename).relative_to(VEIL.parent)}:{own[-1].name}" if own else ""
    message = printable(str(raised))
    error = f"{type(raised).__name__}: {message[:LONGEST_MESSAGE]}"
    if not isinstance(raised, refusals) or not frames or not own or frames[-1] is not own[-1]:
        return "exception", error, where
    fits = message and "\n" not in message
    return ("refused" if fits else "message"), error, where


def _start_measuring() -> int:
    """KiB that this process and those that it started hold; their peaks begin anew."""
    for process in _processes():
        with suppress(OSError):
            (process / "clear_refs").write_text("5")
    return sum(_status("VmRSS", process) for process in _processes())


def _peak() -> int:
    return sum(_status("VmHWM", process) for process in _processes())


def _processes() -> list[Path]:
    """This process and its children: photos may be decoded in one."""
    numbers: list[str] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            numbers += (thread / "children").read_text().split()
    return [Path("/proc/self"), *(Path("/proc") / number for number in numbers)]


def _status(field: str, process: Path = Path("/proc/self")) -> int:
    """KiB of a field of a process's status; 0 where the process is no more."""
    with suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    return 0
