"""A command of Veil whose power is cut: it ends amid its writing, and what had not reached the disk is taken back.

    python benchmarks/power_cut.py LOG EVENT -- encrypt photos -o out …

No machine is switched off. This script runs a command, notes every rename, removal and synchronisation of files in a
log, and kills itself at the given one. `take_back` then does to the files what a disk may do that lost power: a file
keeps only what was synchronised, or more of it; renames and removals of a folder that was not synchronised since are
undone from some point on. They are undone in their order, as a journal of a file system keeps it.

What another library writes by itself (safetensors, SQLite) is not noted; such a file counts as never synchronised.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any, TextIO

KEPT = "kept"  # folder beside the log: what renames replaced and removals removed


class Disk:
    """Stands between a program and `os`, for paths below one folder.

    Args:
        root: folder that is watched.
        log: file for a line per event; its folder takes what is replaced.
        last: event at which the process is killed.
    """

    def __init__(self, root: Path, log: Path, last: int) -> None:
        self.root, self.last = os.path.realpath(root), last
        self.kept = log.parent / KEPT
        self.kept.mkdir()
        self.log: TextIO = log.open("w", encoding="utf-8")
        self.events, self.lock = 0, RLock()
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in ("fsync", "replace", "unlink")}

    def install(self) -> None:
        """Puts itself in the place of the functions that it notes."""
        for name, function in (("fsync", self.fsync), ("replace", self.replace), ("unlink", self.unlink)):
            setattr(os, name, function)
        for other, name in (("rename", "replace"), ("remove", "unlink")):
            setattr(os, other, getattr(os, name))

    def fsync(self, handle: Any) -> None:
        """Notes how much of a file is on the disk now, or that a folder is."""
        number = handle if isinstance(handle, int) else handle.fileno()
        with self.lock:
            self._event()
            self._real["fsync"](number)
            state = os.fstat(number)
            self._note(what="sync", inode=state.st_ino, bytes=state.st_size)

    def replace(self, source: Any, target: Any, **more: Any) -> None:
        """Renames; what was there before is kept aside."""
        with self.lock:
            if not (self._is_watched(source) or self._is_watched(target)):
                self._real["replace"](source, target, **more)
                return
            self._event()
            before = self._keep(target)
            self._real["replace"](source, target, **more)
            self._note(what="rename", source=_path(source), target=_path(target), before=before, folder=_folder(target))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        """Removes; what was there is kept aside."""
        whole = path if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink() / os.fsdecode(path)
        with self.lock:
            if not self._is_watched(whole) or not os.path.lexists(whole):
                self._real["unlink"](path, dir_fd=dir_fd)
                return
            self._event()
            before = self._keep(whole)
            self._real["unlink"](path, dir_fd=dir_fd)
            self._note(what="unlink", target=_path(whole), before=before, folder=_folder(whole))

    def _event(self) -> None:
        self.events += 1
        if self.events == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _keep(self, path: Any) -> str | None:
        if not Path(os.fsdecode(path)).is_file():
            return None
        copy = self.kept / str(self.events)
        os.link(path, copy)
        return str(copy)

    def _is_watched(self, path: Any) -> bool:
        return os.path.realpath(os.fsdecode(path)).startswith(self.root + os.sep)

    def _note(self, **fields: object) -> None:
        self.log.write(json.dumps(fields) + "\n")
        self.log.flush()


def _path(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links stay links


def _folder(path: Any) -> int:
    """The inode of the folder in which a path lies."""
    return Path(os.path.realpath(os.fsdecode(path))).parent.stat().st_ino


def take_back(root: Path, log: Path, before: dict[int, int], random: Random) -> None:
    """Does to the files below ``root`` what a disk may do that lost power.

    Args:
        log: of the process that was killed.
        before: size of every file by inode when it was started; those were on the disk.
        random: chooses how much is lost.
    """
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    synced = before | {event["inode"]: event["bytes"] for event in events if event["what"] == "sync"}
    changes = [(place, event) for place, event in enumerate(events) if event["what"] != "sync"]
    durable = 0  # changes that have reached the disk for certain
    for number, (place, change) in enumerate(changes, 1):
        if any(event.get("inode") == change["folder"] for event in events[place:]):
            durable = number
    for _, change in reversed(changes[random.randint(durable, len(changes)) :]):
        _undo(change)
    for file in root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            state = file.stat()
            safe = min(synced.get(state.st_ino, 0), state.st_size)
            os.truncate(file, random.choice((safe, safe, state.st_size, random.randint(safe, state.st_size))))


def _undo(change: dict[str, Any]) -> None:
    target = Path(change["target"])
    if change["what"] == "rename" and os.path.lexists(target):
        source = Path(change["source"])
        shutil.rmtree(source, ignore_errors=True)  # a folder of that name now was made later, so it is undone, too
        source.parent.mkdir(parents=True, exist_ok=True)
        target.rename(source)
    if change["before"] is not None and target.parent.is_dir():
        with contextlib.suppress(FileExistsError):
            os.link(change["before"], target)


def sizes(root: Path) -> dict[int, int]:
    """Size of every file below a folder, by inode."""
    return {state.st_ino: state.st_size for state in _states(root)}


def _states(root: Path) -> Iterator[os.stat_result]:
    for file in root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            yield file.stat()


def main() -> None:
    """Runs the command below the current folder."""
    log, last, _, *words = sys.argv[1:]
    Disk(Path.cwd(), Path(log), int(last)).install()
    from veil.cli import main as veil

    veil(words)


if __name__ == "__main__":
    main()
