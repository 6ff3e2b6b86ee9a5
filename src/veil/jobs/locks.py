"""One process at a time in a folder, and what killed ones left there.

The lock is an empty file, ``.lock``, that stays. While a process holds it, its token (`veil.runtime.files.TOKEN`)
stands in ``.unfinished``, which is removed when it ends. Where it was killed, the next one finds the token there, and
removes the temporary files that carry it: those, and no other file.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from veil.jobs.job import LOCK, UNFINISHED, FolderError
from veil.runtime.files import PRIVATE_FILE, TOKEN, is_token, printable, remove_partials, sync_folder

_APPEND = os.O_CREAT | os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
_LONGEST = 1 << 16  # bytes of tokens


@contextmanager
def locked(folder: Path, *, outputs: Path | None = None) -> Iterator[None]:
    """Holds a folder for this process; the system lets go when the process dies.

    Args:
        folder: where the lock lies.
        outputs: where temporary files may lie too; messages name it.

    Raises:
        FolderError: where another process holds it, the folder cannot be written, or what is called like our lock is a
            link or holds something.
    """
    from filelock import FileLock, Timeout

    named = printable(outputs or folder)
    lock = FileLock(folder / LOCK, timeout=0, mode=0o644 if outputs is None else PRIVATE_FILE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(folder / LOCK)
        lock.acquire()
    except Timeout:
        raise FolderError(f"another process is working in {named}") from None
    except NotImplementedError:
        raise FolderError(f"{named} lies where files cannot be locked") from None
    except OSError as error:
        raise FolderError(f"cannot write to {printable(folder)}: {error.strerror}") from None
    try:
        with _unfinished(folder, [folder] if outputs is None else [folder, outputs]):
            yield
    finally:
        lock.release()


def _refuse_foreign(lock: Path) -> None:
    """To open a link could change the file that it leads to; our lock is empty.

    Raises:
        FolderError: for a link, and for a file that holds something.
    """
    if lock.is_symlink():
        raise FolderError(f"{printable(lock)} is a link; remove it")
    if lock.exists() and (not lock.is_file() or lock.stat().st_size):
        raise FolderError(f"{printable(lock)} is not a lock of Veil, and is left as it is; choose another folder")


@contextmanager
def _unfinished(folder: Path, places: Sequence[Path]) -> Iterator[None]:
    """Removes what killed processes left in some places, and keeps this process's token in ``folder`` meanwhile."""
    file = folder / UNFINISHED
    try:
        tokens = _read(file) - {TOKEN}
        for place in places if tokens else ():
            remove_partials(place, tokens)
        handle = os.open(file, _APPEND, PRIVATE_FILE)
        try:
            os.write(handle, f"{TOKEN}\n".encode())
            os.fsync(handle)  # else a power cut takes it, and temporary files stay for ever
        finally:
            os.close(handle)
        sync_folder(folder)
    except OSError as error:
        raise FolderError(f"cannot write to {printable(folder)}: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _read(file: Path) -> set[str]:
    """The tokens in a file; none where there is none.

    Raises:
        FolderError: where it is a link, or holds anything else.
    """
    if not os.path.lexists(file):
        return set()
    lines = file.read_bytes()[:_LONGEST].decode("ascii", "replace").split("\n") if _is_plain(file) else ["?", ""]
    if not all(map(is_token, lines[:-1])):
        raise FolderError(f"{printable(file)} was not written by Veil; remove it, or choose another folder")
    return set(lines[:-1])


def _is_plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and file.stat().st_size <= _LONGEST
