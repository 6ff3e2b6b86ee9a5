"""Files written whole or not at all, files read without waiting, and paths as text that can be shown.

A file is written under a temporary name beside its own, and renamed when it is whole. The name cannot be guessed, and
the file is created, never opened: what others put there is neither followed nor overwritten. It begins with this
process's `TOKEN`. Whoever keeps that (`veil.jobs.locks`) can tell what a killed process left, and nothing else is
ever removed.

Files that are read may be of others: `open_regular` takes regular files only, and never waits.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".part"
"""Suffix of a file that is not complete yet."""
TOKEN = secrets.token_hex(8)
"""Begins the names of this process's temporary files, behind a dot."""
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Permissions of what is for its owner alone."""

_CREATE = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_READ = sum(getattr(os, flag, 0) for flag in ("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
_PART = 1 << 24  # bytes that are read by one call
_TOKEN = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = re.compile(rf"\.({_TOKEN.pattern})-[0-9a-f]{{16}}{re.escape(PARTIAL)}")


def write_atomically(file: Path, content: str | bytes, *, synced: bool = True, mode: int | None = None) -> None:
    """Writes a file that is either whole or not there; text as UTF-8.

    Args:
        synced: wait until the file is on the disk. Without it, a power cut may lose or truncate the file; killing the
            process does not.
        mode: its permissions, such as `PRIVATE_FILE`; those of any new file if it is None.
    """
    with replacing(file, synced=synced, mode=mode) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(file: Path, *, synced: bool = True, mode: int | None = None) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces ``file`` when the block ends, and is removed where the block raises.

    Args:
        synced, mode: see `write_atomically`.
    """
    partial = file.with_name(f".{TOKEN}-{secrets.token_hex(8)}{PARTIAL}")
    try:
        with os.fdopen(os.open(partial, _CREATE, 0o666 if mode is None else mode), "wb") as handle:
            yield handle
            if synced:
                handle.flush()
                os.fsync(handle.fileno())
        partial.replace(file)
        if synced:
            sync_folder(file.parent)  # else what is written later may reach the disk before the new name
    except BaseException:
        with suppress(OSError, ValueError):
            partial.unlink(missing_ok=True)
        raise


def is_token(text: str) -> bool:
    """Whether a text has the form of a `TOKEN`."""
    return _TOKEN.fullmatch(text) is not None


def token_of(name: str) -> str | None:
    """The token in the name of a temporary file; None for any other name."""
    match = _TEMPORARY.fullmatch(name)
    return match[1] if match else None


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system can do that for folders."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partials(folder: Path, tokens: Collection[str]) -> None:
    """Removes the temporary files below a folder that processes with these tokens left; no link is followed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                remove_partials(Path(entry.path), tokens)
            elif token_of(entry.name) in tokens:
                Path(entry.path).unlink(missing_ok=True)


def printable(path: Path | str) -> str:
    """A path as text that can be shown anywhere: what is not printable is escaped."""
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def open_regular(file: Path | str, *, largest: int | None = None) -> BufferedReader:
    """Opens a regular file for reading; never waits for a writer, as `open` does on a named pipe.

    A symbolic link is followed, and what it leads to is judged.

    Args:
        largest: in bytes; None is any size.

    Raises:
        OSError: for a folder, a pipe, a device or a socket, a file above ``largest``, and where the file cannot be
            opened; ``strerror`` is words for a person.
    """
    return os.fdopen(_opened(file, largest)[0], "rb")


def read_regular(file: Path | str, *, largest: int | None = None) -> bytes:
    """The bytes of a regular file; raises as `open_regular` does, also where the file grows while it is read.

    Small files are read by the thousand, in threads, where every call of the system lets another thread go first: so
    there are few of them, and none for a buffer.
    """
    handle, size = _opened(file, largest)
    try:
        data = os.read(handle, size + 1)
        if len(data) != size:  # a file that changes, or a system that gives large files in parts
            data += _rest(handle, None if largest is None else largest + 1 - len(data))
    finally:
        os.close(handle)
    if largest is not None and len(data) > largest:
        raise _too_large(file, len(data), largest)
    return data


def _opened(file: Path | str, largest: int | None) -> tuple[int, int]:
    """The descriptor and the size of a regular file; see `open_regular`."""
    status = (file if isinstance(file, Path) else Path(file)).stat()
    _check(file, status, largest)  # opening a device can do things: look first
    handle = os.open(file, _READ)
    try:
        status = os.fstat(handle)
        _check(file, status, largest)  # whatever took the name's place meanwhile
    except BaseException:
        os.close(handle)
        raise
    return handle, status.st_size


def _rest(handle: int, most: int | None) -> bytes:
    """What follows in a file, ``most`` bytes of it; all if it is None."""
    parts = list[bytes]()
    while (most is None or most > 0) and (part := os.read(handle, _PART if most is None else min(most, _PART))):
        parts.append(part)
        most = None if most is None else most - len(part)
    return b"".join(parts)


def require_regular(file: Path | str, *, largest: int | None = None) -> None:
    """Refuses what `open_regular` refuses, for libraries that open a file by its name."""
    _check(file, Path(file).stat(), largest)


def _check(file: Path | str, status: os.stat_result, largest: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "this is a folder, not a file", str(file))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "this is not a regular file", str(file))
    if largest is not None and status.st_size > largest:
        raise _too_large(file, status.st_size, largest)


def _too_large(file: Path | str, size: int, largest: int) -> OSError:
    return OSError(errno.EFBIG, f"{size:,} bytes are more than the {largest:,} that are read", str(file))
