"""One process at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from veil.jobs.job import LOCK, FolderError
from veil.runtime.files import printable


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go when the process dies.

    Raises:
        FolderError: where another process holds it, the folder cannot be written, or its lock file is a link.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(out / LOCK, timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if (out / LOCK).is_symlink():  # to open it could change the file that it leads to
            raise FolderError(f"{printable(out / LOCK)} is a link; remove it")
        lock.acquire()
    except Timeout:
        raise FolderError(f"another process is working in {printable(out)}") from None
    except NotImplementedError:
        raise FolderError(f"{printable(out)} lies where files cannot be locked") from None
    except OSError as error:
        raise FolderError(f"cannot write to {printable(out)}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
