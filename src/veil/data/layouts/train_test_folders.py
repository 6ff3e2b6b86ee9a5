"""``train/`` and ``test/`` (or ``val/``) with one folder per class.

The output of `veil encrypt` or `veil transform apply` for such a folder has the same layout; its images are never
resized.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from veil.data.layouts import SmallImagesLayout
from veil.images import marks
from veil.images.marks import Mark

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
    protected = mark_of(folder, folder / "train", held_out)
    cipher = None if protected is None else protected.cipher
    resizes = side is not None and cipher is None
    try:
        train = class_folders.read(folder / "train", side, resizes=resizes)
        test = class_folders.read(held_out, train.images.shape[-1], resizes=resizes)
    except OtherSize as error:
        raise ValueError(f"{error}: {_remedy(side, cipher)}") from None
    if train.classes != test.classes:
        raise ValueError(f"{folder}: train/ and {held_out.name}/ have different classes")
    return Parts(folder.absolute().name, train, test, cipher, None if protected is None else protected.key)


def _remedy(side: int | None, cipher: str | None) -> str:
    from veil.data.labelled_images import TRANSFORMED

    if cipher is None:
        return "say which side the images are to have"
    size = "N" if side is None else side
    if cipher == TRANSFORMED:
        return f"transformed images cannot be resized; `veil transform apply --size {size}` does it before"
    return f"encrypted images ({cipher}) cannot be resized; `veil encrypt --size {size}` does it before it encrypts"


def cipher_of(folder: Path) -> str | None:
    """The cipher or transformation that protected ``folder``; None for plain images.

    Raises:
        ValueError: as `mark_of` does.
    """
    protected = mark_of(folder)
    return None if protected is None else protected.cipher


def mark_of(folder: Path, *parts: Path) -> Mark | None:
    """What protected ``folder``, or all of its ``parts``, and under which key; None for plain images.

    Where no ``run.json`` says it, the images' own marks do: those of the first image of each part.

    Raises:
        ValueError: if a ``run.json`` cannot be read, or the parts differ.
    """
    whole = _of_run(folder)
    if whole is not None or not parts:
        return whole
    of_parts = {_of_run(part) or _of_first_image(part) for part in parts}
    ciphers = {None if one is None else one.cipher for one in of_parts}
    if len(ciphers) > 1:
        raise ValueError(
            f"{folder}: {' and '.join(part.name for part in parts)} are not encrypted with the same cipher, "
            "or not both transformed"
        )
    if len(of_parts) > 1:
        keys = " and ".join(sorted(str(one.key) for one in of_parts if one is not None))
        raise ValueError(f"{folder}: {' and '.join(part.name for part in parts)} are encrypted under different keys, "
                         f"{keys}: a network learns nothing that holds for both")  # fmt: skip
    return of_parts.pop()


def _of_first_image(folder: Path) -> Mark | None:
    from veil.data import class_folders

    try:
        files = class_folders.list_files(folder)[0]
    except FileNotFoundError:
        return None
    return marks.of_file(files[0])


def _of_run(folder: Path) -> Mark | None:
    from veil.data.labelled_images import TRANSFORMED
    from veil.jobs import folders

    try:
        run = folders.read_manifest(folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{folders.layout_of(folder).manifest}: cannot be read ({error})") from None
    known = run if isinstance(run, dict) else {}
    if TRANSFORMED in known:
        return Mark(TRANSFORMED, str(known[TRANSFORMED]))
    cipher, key = known.get("cipher"), known.get("key")
    return None if cipher is None else Mark(str(cipher), marks.NO_KEY if key is None else str(key))


LAYOUT = SmallImagesLayout(
    name="class-folders",
    title="class folders",
    on_disk="train/ and test/ or val/ with one folder per class",
    matches=lambda folder: (folder / "train").is_dir(),
    read=read,
)
