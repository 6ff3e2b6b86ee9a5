"""One command: started, interrupted, started again, and compared with what it leaves undisturbed.

Commands run in copies of this process, which has imported the libraries that they need: a start takes a moment, and a
kill hits work, not imports. Veil itself is imported anew in every copy, as in a process of its own.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import power_cut
from benchmark import Row
from kill_jobs import Job

SAID = "said.txt"
_TIMES = {"seconds", "date", "command", "hardware", "versions", "run", "modified_ns"}
_TIME_ON_A_PAGE = re.compile(r"(?<= rows in )[^·]*(?= · )")
_STARTS = 60  # of a command after which it will not end any more
_TEXTS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads, ".jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
}  # fmt: skip


class Case:
    """A job, and what it leaves when nothing interrupts it.

    Args:
        data: folder of the data.
        place: a new folder to work in.
        random: draws the moments.
    """

    def __init__(self, job: Job, data: Path, place: Path, random: Random) -> None:
        self.job, self.data, self.place, self.random = job, data, place, random
        place.mkdir()
        for module in (
            "torch",
            "scipy.stats",
            "matplotlib.figure",
            "typer",
            "rich.progress",
            "safetensors.torch",
            "jinja2",
        ):
            __import__(module)
        began = time.monotonic()
        whole = self._fresh("whole")
        self.status = self._wait(self._start(whole))
        self.seconds = round(time.monotonic() - began, 2)
        self.left, self.space = left(whole), _bytes(whole)
        if self.status not in (0, 1, 3) or not self.left:
            raise RuntimeError(f"{job.words} fails undisturbed: {(whole / SAID).read_text()[-500:]}")

    def killed(self, times: int) -> Row:
        """SIGKILL at random moments, as often as said; a command that ends before one begins anew elsewhere."""
        began, kills, starts, differences = time.monotonic(), 0, 0, list[str]()
        while kills < times and not differences:
            folder = self._fresh("killed")
            for _ in range(_STARTS):
                starts += 1
                child = self._start(folder)
                if kills < times:
                    time.sleep(self.random.uniform(0, self.seconds))
                    os.kill(child, signal.SIGKILL)
                if self._wait(child) != -signal.SIGKILL:
                    break
                kills += 1
            differences = self._differences(folder)
        return self._row("kill", began, kills, starts, differences)

    def power_cut(self, times: int) -> Row:
        """Power cuts at random renames and synchronisations, each of a run that began anew or was cut before."""
        began, cuts, starts, differences = time.monotonic(), 0, 0, list[str]()
        folder, log = self._fresh("counted"), self.place / "log"
        self._wait(self._start(folder, self._noted(folder, log, 0)))
        events = len((log / "events").read_text().splitlines())
        while cuts < times and not differences:
            folder = self._fresh("cut")
            for _ in range(_STARTS):
                starts += 1
                before = power_cut.sizes(folder)
                last = self.random.randint(1, events) if cuts < times else 0
                if self._wait(self._start(folder, self._noted(folder, log, last))) != -signal.SIGKILL:
                    break
                power_cut.take_back(folder, log / "events", before, self.random)
                cuts += 1
            differences = self._differences(folder)
        return self._row("power cut", began, cuts, starts, differences)

    def two_at_once(self) -> Row:
        """The same command twice at the same time; whoever is refused says so in a line."""
        began = time.monotonic()
        folder = self._fresh("two")
        children = [self._start(folder, said=f"{SAID}.{number}") for number in range(2)]
        statuses = [self._wait(child) for child in children]
        self._wait(self._start(folder))
        return self._row("two at once", began, 1, 3, self._differences(folder)) | {"statuses": statuses}

    def bad_disks(self) -> Iterator[Row]:
        """A disk that becomes full, and one that is read-only; given again when it is neither."""
        for kind, options in (("full disk", "size={}"), ("read-only disk", "ro,size={}")):
            began = time.monotonic()
            folder = self._fresh("disk")
            small = max(4096, int(self.space * self.random.uniform(0.2, 0.8)))  # tmpfs gives whole pages
            # The folder itself is the small file system; the data are links out of it.
            with _mounted(folder, "size=64m") as mount:
                if mount is None:
                    continue
                self._link(folder)
                mount(options.format(small))
                (self.place / "disk.txt").unlink(missing_ok=True)
                status = self._wait(self._start(folder, said=self.place / "disk.txt"))
                mount("rw,size=512m")
                shutil.copyfile(self.place / "disk.txt", folder / f"{SAID}.0")
                self._wait(self._start(folder))
                differences = self._differences(folder)
                if status == 0:
                    differences.append("it did not fail")
                yield self._row(kind, began, 1, 2, differences) | {"statuses": [status]}

    def _row(self, kind: str, began: float, interruptions: int, starts: int, differences: list[str]) -> Row:
        return {
            "job": self.place.name, "words": " ".join(self.job.words), "kind": kind,
            "interruptions": interruptions, "starts": starts, "same": not differences,
            "differences": differences[:5], "seconds": round(time.monotonic() - began, 2),
            "error": "; ".join(differences[:5]) or None,
        }  # fmt: skip

    def _fresh(self, name: str) -> Path:
        folder = self.place / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._link(folder)
        return folder

    def _link(self, folder: Path) -> None:
        for entry in self.data.iterdir():
            (folder / entry.name).symlink_to(entry)

    def _start(self, folder: Path, prepared: Callable[[], object] = lambda: None, said: str | Path = SAID) -> int:
        """Starts the command in a copy of this process, and returns its number; what it says goes to a file."""
        sys.stdout.flush()
        if child := os.fork():
            return child
        status = 70
        try:
            os.chdir(folder)
            handle = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            prepared()
            status = _veil(self.job.words)
        finally:
            os._exit(status)

    def _noted(self, folder: Path, log: Path, last: int) -> Callable[[], None]:
        shutil.rmtree(log, ignore_errors=True)
        log.mkdir()
        return lambda: power_cut.Disk(folder, log / "events", last).install()

    @staticmethod
    def _wait(child: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _differences(self, folder: Path) -> list[str]:
        """What is not as undisturbed, and whether anything was a traceback."""
        found = left(folder)
        wrong = []
        for name in sorted(found.keys() | self.left.keys()):
            if found.get(name) != self.left.get(name):
                how = "missing" if name not in found else "left over" if name not in self.left else "different"
                wrong.append(f"{name} is {how}")
        said = "".join(file.read_text(errors="replace") for file in folder.glob(f"{SAID}*"))
        if "Traceback" in said:
            wrong.append(f"a traceback: {said.strip().splitlines()[-1][:200]}")
        return wrong


def in_a_copy(work: Callable[[], object]) -> None:
    """Does something in a copy of this process and waits for it. Who computes has threads, which copies would wait for.

    Raises:
        RuntimeError: where it fails there; the copy says why.
    """
    sys.stdout.flush()
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("the copy of this process failed")
        return
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _veil(words: tuple[str, ...]) -> int:
    for name in [name for name in sys.modules if name.partition(".")[0] == "veil"]:
        del sys.modules[name]
    from veil.cli import main

    try:
        main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 70
    return 0


def left(folder: Path) -> dict[str, Any]:
    """What a command left, by name: bytes, or the values of JSON and tables without times."""
    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if name.startswith("out") and file.is_file() and not file.is_symlink() and file.name != ".lock":
            found[name] = _content(file)
    return found


def _content(file: Path) -> Any:
    if file.suffix == ".csv":
        rows = [line.split(",") for line in file.read_text().splitlines()]
        kept = [place for place, name in enumerate(rows[0] if rows else []) if name not in _TIMES]
        return [[row[place] for place in kept if place < len(row)] for row in rows]
    if file.suffix == ".html":
        return _TIME_ON_A_PAGE.sub("", file.read_text())
    if file.suffix not in _TEXTS:
        return file.read_bytes()
    try:
        value = _TEXTS[file.suffix](file.read_text())
    except ValueError:
        return file.read_bytes()
    if isinstance(value, list):  # what says only that a process began is there for every start
        value = [row for row in value if not (isinstance(row, dict) and "about" in row)]
    return _timeless(value)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(inner) for name, inner in value.items() if name not in _TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def _bytes(folder: Path) -> int:
    """Of what a command left."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files if file.relative_to(folder).parts[0].startswith("out"))


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Callable[[str], None] | None]:
    """A file system in memory at a folder, as a function that mounts it with other options; None without the rights."""

    def again(changed: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{changed}", str(folder)], check=True, capture_output=True)

    command = ["mount", "-t", "tmpfs", "-o", options, "veil-kills", str(folder)]
    try:
        mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
        yield again if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)
