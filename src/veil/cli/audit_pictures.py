"""What an audit's strongest reconstructor draws, as the two folders that `veil study new` makes a study of.

``original/`` and ``reconstructed/`` hold PNG files of the same names; ``identities.csv`` says who is on them, where
that is known. They are photos of people: only their owner may enter the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from veil.images import Photo, encode
from veil.jobs.folders import FolderError
from veil.runtime.files import PARTIAL, printable, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from veil.data.faces import Faces

ORIGINAL, RECONSTRUCTED, IDENTITIES = "original", "reconstructed", "identities.csv"


def check(out: Path, audit: Path) -> None:
    """Refuses a folder that holds something, or will hold an audit.

    Raises:
        BadParameter: then.
    """
    if audit.resolve().is_relative_to(out.resolve()):
        raise typer.BadParameter("reconstructions need a folder of their own, such as one in that of the audit")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise typer.BadParameter(f"{printable(out)} is not empty; choose another folder for the reconstructions")


def write(faces: Faces, drawn: Tensor, out: Path) -> None:
    """Writes faces and what was drawn of them to a new or empty folder, which appears whole or not at all.

    Args:
        drawn: uint8 (N, 3, H, W), in the order of ``faces``.

    Raises:
        FolderError: where it cannot be written.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - a folder such as `.` needs a name, and links stay links
    names = [f"{number:06}.png" for number in range(len(faces))]
    partial: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".", suffix=PARTIAL, dir=out.parent))
        for folder, images in ((ORIGINAL, faces.images), (RECONSTRUCTED, drawn)):
            (partial / folder).mkdir()
            for name, image in zip(names, images, strict=True):
                write_atomically(partial / folder / name, encode(Photo(image)), synced=False)
        if faces.identities is not None:
            lines = [f"{name},{person}" for name, person in zip(names, faces.identities.tolist(), strict=True)]
            write_atomically(partial / IDENTITIES, "\n".join(["file,identity", *lines]) + "\n")
        partial.rename(out)
    except OSError as error:
        raise FolderError(f"cannot write {printable(out)}: {error.strerror or error}") from None
    finally:
        if partial is not None and partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def command(out: Path) -> str:
    """The command that makes a study of such a folder."""
    known = f" --identities {printable(out / IDENTITIES)}" if (out / IDENTITIES).exists() else ""
    return (
        f"veil study new --original {printable(out / ORIGINAL)} --reconstructed {printable(out / RECONSTRUCTED)}"
        f"{known} -o study/"
    )
