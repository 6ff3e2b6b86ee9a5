"""Files written whole or not at all, and paths as text that can be shown."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".part"
"""Suffix of a file that is not complete yet."""


def write_atomically(file: Path, content: str | bytes, *, synced: bool = True) -> None:
    """Writes a file that is either whole or not there; text as UTF-8.

    Args:
        synced: wait until the file is on the disk. Without it, a power cut may lose or truncate the file; killing the
            process does not.
    """
    with replacing(file, synced=synced) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(file: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces ``file`` when the block ends, and is removed where the block raises.

    Args:
        synced: see `write_atomically`.
    """
    short = hashlib.sha256(os.fsencode(file.name)).hexdigest()[:16]  # the name with a suffix could be too long
    partial = file.with_name(f".{short}{PARTIAL}")
    try:
        partial.unlink(missing_ok=True)
        with partial.open("xb") as handle:  # not through a link that others left under this name
            yield handle
            if synced:
                handle.flush()
                os.fsync(handle.fileno())
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def printable(path: Path | str) -> str:
    """A path as text that can be shown anywhere: what is not printable is escaped."""
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
