"""``train/`` and ``test/`` (or ``val/``) with one folder per class.

The output of `veil encrypt` or `veil transform apply` for such a folder has the same layout; its images are never
resized.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from veil.data.layouts import SmallImagesLayout

if TYPE_CHECKING:
    from veil.data.labelled_images import Parts


def read(folder: Path, side: int | None = None) -> Parts:
    """The set in a folder with ``train/``; plain images are resized to a side, if there is one."""
    from veil.data import class_folders
    from veil.data.decoding import OtherSize
    from veil.data.labelled_images import Parts

    held_out = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
    if held_out is None:
        raise FileNotFoundError(f"{folder}: beside train/ there must be test/ or val/")
    cipher = cipher_of(folder, folder / "train", held_out)
    resizes = side is not None and cipher is None
    try:
        train = class_folders.read(folder / "train", side, resizes=resizes)
        test = class_folders.read(held_out, train.images.shape[-1], resizes=resizes)
    except OtherSize as error:
        raise ValueError(f"{error}: {_remedy(side, cipher)}") from None
    if train.classes != test.classes:
        raise ValueError(f"{folder}: train/ and {held_out.name}/ have different classes")
    return Parts(folder.absolute().name, train, test, cipher)


def _remedy(side: int | None, cipher: str | None) -> str:
    from veil.data.labelled_images import TRANSFORMED

    if cipher is None:
        return "say which side the images are to have"
    size = "N" if side is None else side
    if cipher == TRANSFORMED:
        return f"transformed images cannot be resized; `veil transform apply --size {size}` does it before"
    return f"encrypted images ({cipher}) cannot be resized; `veil encrypt --size {size}` does it before it encrypts"


def cipher_of(folder: Path, *parts: Path) -> str | None:
    """The cipher or transformation that protected ``folder``, or all of its ``parts``; None for plain images.

    Raises:
        ValueError: if a ``run.json`` cannot be read, or the parts differ.
    """
    cipher = _cipher_of_run(folder)
    if cipher is not None or not parts:
        return cipher
    ciphers = {_cipher_of_run(part) for part in parts}
    if len(ciphers) > 1:
        raise ValueError(
            f"{folder}: {' and '.join(part.name for part in parts)} are not encrypted with the same cipher, "
            "or not both transformed"
        )
    return ciphers.pop()


def _cipher_of_run(folder: Path) -> str | None:
    from veil.data.labelled_images import TRANSFORMED
    from veil.jobs import folders

    try:
        run = folders.read_manifest(folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{folders.layout_of(folder).manifest}: cannot be read ({error})") from None
    known = run if isinstance(run, dict) else {}
    cipher = TRANSFORMED if TRANSFORMED in known else known.get("cipher")
    return None if cipher is None else str(cipher)


LAYOUT = SmallImagesLayout(
    name="class-folders",
    title="class folders",
    on_disk="train/ and test/ or val/ with one folder per class",
    matches=lambda folder: (folder / "train").is_dir(),
    read=read,
)
