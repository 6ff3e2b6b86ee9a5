"""File names that come from a file: they are used only where they lead to a place below the folder they belong to.

Rows, manifests, studies and lists of photos name files. Such a file may be crafted to reach other files: by ``..``, an
absolute path, a drive, or a link in the folder. A name that could do so is refused, never changed.

`checked` looks at the text alone. `below` and `Resolver` also follow the links on the way, which asks the disk. Neither
protects from somebody who changes the folder at the same time.
"""

import errno
import os
import re
import stat
from pathlib import Path

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Characters that move a cursor, colour a terminal or end a line."""
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST, _LONGEST_PART = 4096, 255  # characters; what the file system allows may be less
_SHOWN = 80  # characters of a name in a message
_REMEMBERED = 10_000  # sub-folders


class UnsafeName(ValueError):
    """A name leads out of its folder, or cannot be a file's name; the message is one line that shows it."""


def checked(name: object, *, windows: bool = os.name == "nt") -> str:
    """The name, if its text can only lead to a place below a folder; parts are separated by ``/``.

    Args:
        windows: whether backslashes separate, colons have a meaning, and dots and blanks at an end do not count.

    Raises:
        UnsafeName: for anything else.
    """
    if not isinstance(name, str):
        raise UnsafeName(f"a file name must be text, not {type(name).__name__}")
    if CONTROL.search(name):
        raise UnsafeName(f"{_shown(name)} holds control characters")
    parts = name.split("/")
    if len(name) > _LONGEST or max(map(len, parts)) > _LONGEST_PART:
        raise UnsafeName(f"{_shown(name)} is too long for a file name")
    if ".." in parts or name.startswith("/") or _DRIVE.match(name):
        raise UnsafeName(f"{_shown(name)} leads out of its folder")
    if not any(part not in ("", ".") for part in parts) or not _can_be_encoded(name):
        raise UnsafeName(f"{_shown(name)} is not the name of a file")
    if windows and (re.search(r"[\\:]", name) or any(part.rstrip(" .") != part for part in parts)):
        raise UnsafeName(f"{_shown(name)} is not a plain file name on this system")
    return name


def plain(name: str) -> str:
    """The name with ``_`` in place of control characters, and of the colon of what looks like a drive."""
    without = CONTROL.sub("_", name)
    return f"{without[0]}_{without[2:]}" if _DRIVE.match(without) else without


class Resolver:
    """Resolves names below one folder. Every sub-folder is looked at once, so that many names are resolved fast.

    Args:
        folder: it may be a link itself, and need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real = Path(os.path.realpath(folder))
        self._inside: dict[str, bool] = {}

    def path(self, name: object) -> Path:
        """Where ``name`` lies; it need not exist.

        Raises:
            UnsafeName: as `checked` does, and where a link on the way, or the file itself, leads out of the folder.
        """
        text = checked(name)
        path, parent = self.folder / text, text.rpartition("/")[0]
        if parent not in self._inside:
            if len(self._inside) == _REMEMBERED:
                self._inside.clear()
            self._inside[parent] = self._holds(self.folder / parent)
        if not self._inside[parent] or (_is_link(path, text) and not self._holds(path)):
            raise UnsafeName(f"{_shown(text)} leads out of its folder, by a link")
        return path

    def _holds(self, path: Path) -> bool:
        # Not Path.resolve, which fails where a link leads to itself.
        return Path(os.path.realpath(path)).is_relative_to(self._real)


def below(folder: Path, name: object) -> Path:
    """Where ``name``, which was read from a file, lies below ``folder``; it need not exist.

    Raises:
        UnsafeName: where it is no name of a file below that folder, links followed.
    """
    return Resolver(folder).path(name)


def _is_link(path: Path, text: str) -> bool:
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UnsafeName(f"{_shown(text)} is too long for a file name") from None
        return False  # missing or unreadable: opening it raises the error


def _can_be_encoded(name: str) -> bool:
    """False for half a character, which JSON can hold and no file name can."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
