"""What lies where: outputs alone in the output folder, everything else in a private folder beside it.

The output folder is what people share, upload, or give to others. So it holds outputs and nothing else. Beside
``photos-out`` lies ``photos-out-private``, which only its owner can open (mode 0700, files 0600):

- ``run.json``: what the outputs depend on.
- ``rows.jsonl``: a row per file.
- ``report.html``: of `veil protect`; it holds small pictures of the originals.
- ``.lock``, and ``.unfinished`` while a process works (`veil.jobs.locks`).

**Old folders.** Until version 0.1 of this layout all of it lay in the output folder. Such a folder, with ``run.json``
in it, is read where it is, and a run goes on in its old layout: nothing moves. `layout_of` is the one place that knows
both.

**Whose folders.** A first run takes an output folder that is new or empty. One that holds files of others is refused,
as is a private folder that is a link, is somebody else's, or holds files without a run. So a run never meets a file
that Veil did not write.
"""

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from veil.jobs.job import LOCK, MANIFEST, PAGE, ROWS, UNFINISHED, FolderError
from veil.runtime.files import PRIVATE_FOLDER, printable

PRIVATE = "-private"
"""What the private folder's name ends in, behind the output folder's."""


@dataclass(frozen=True)
class Layout:
    """The folders of a run.

    Attributes:
        out: where outputs lie.
        private: where everything else lies; the same folder in the old layout.
    """

    out: Path
    private: Path

    @property
    def old(self) -> bool:
        """Whether everything lies in the output folder."""
        return self.private == self.out

    @property
    def manifest(self) -> Path:
        """The file of settings, ``run.json``."""
        return self.private / MANIFEST

    @property
    def rows(self) -> Path:
        """The file of rows."""
        return self.private / ROWS

    @property
    def page(self) -> Path:
        """The report."""
        return self.private / PAGE


def layout_of(out: Path) -> Layout:
    """Where a run's files lie, or will lie, for its output folder; for a private folder, that folder itself."""
    beside = Layout(out, _beside(out))
    if os.path.lexists(beside.manifest):
        return beside
    return Layout(out, out) if any(os.path.lexists(out / name) for name in (MANIFEST, ROWS)) else beside


def prepare(layout: Layout) -> None:
    """Makes both folders, for a run that goes on, or for a first one.

    Raises:
        FolderError: where the run would meet files of others (see the head of this module), or a folder cannot be made.
    """
    refuse_foreign(layout)
    try:
        layout.out.mkdir(parents=True, exist_ok=True)
        if not layout.old:
            make_private(layout.private)
    except OSError as error:
        raise FolderError(f"cannot write to {printable(error.filename or layout.out)}: {error.strerror}") from None


def refuse_foreign(layout: Layout) -> None:
    """Refuses folders in which a first run would meet files of others.

    Raises:
        FolderError: then.
    """
    out = printable(layout.out)
    if os.path.lexists(layout.manifest):
        if layout.old and _owner_of(layout.out) is not None:
            raise FolderError(
                f"{out} holds the rows of {printable(_owner_of(layout.out) or '')}; choose another folder"
            )
        return
    if _entries(layout.out):
        raise FolderError(f"{out} is not empty, and holds no run of Veil; choose a new or an empty folder")
    if not layout.old and _entries(layout.private, known={LOCK, UNFINISHED}):
        raise FolderError(
            f"{printable(layout.private)}, where rows and report would lie, is not empty, and is of no run of Veil; "
            "move it away, or choose another folder"
        )


def make_private(folder: Path) -> None:
    """Makes a folder that only its owner can open, or sees to it that it is such a folder.

    Raises:
        FolderError: where it is a link, no folder, or somebody else's.
        OSError: where it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(PRIVATE_FOLDER)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "no folder"
        raise FolderError(f"{printable(folder)}, where rows and report would lie, is {kind}; remove it")
    if os.name == "nt":
        return
    if status.st_uid != os.geteuid():
        raise FolderError(f"{printable(folder)}, where rows and report would lie, belongs to somebody else")
    if stat.S_IMODE(status.st_mode) != PRIVATE_FOLDER:
        with suppress(PermissionError):  # file systems without permissions, as on memory cards
            folder.chmod(PRIVATE_FOLDER)


def _beside(out: Path) -> Path:
    """The private folder of an output folder; beside the folder itself where a link leads to it."""
    if out.name in ("", ".", "..") or out.is_symlink():
        out = Path(os.path.realpath(out))
    return out.with_name(out.name + PRIVATE) if out.name else out / PRIVATE


def _owner_of(folder: Path) -> Path | None:
    """The output folder whose private folder this is, by its name; None where there is none."""
    real = Path(os.path.realpath(folder))
    owner = real.with_name(real.name.removesuffix(PRIVATE) or real.name)
    return owner if owner != real and owner.is_dir() else None


def _entries(folder: Path, known: Collection[str] = ()) -> bool:
    """Whether a folder holds anything but ``known``; False where there is none.

    Raises:
        FolderError: where it is no folder, or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return any(entry.name not in known for entry in entries)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FolderError(f"cannot write to {printable(folder)}: {error.strerror}") from None
