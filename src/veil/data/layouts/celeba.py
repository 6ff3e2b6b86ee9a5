"""CelebA (Liu et al. 2015, Deep learning face attributes in the wild), as published and as Kaggle has it.

``list_attr_celeba.txt``, ``list_eval_partition.txt``, optionally ``identity_CelebA.txt``, and ``img_align_celeba/``, in
the folder or in one directly below, such as ``Anno/``, ``Eval/`` and ``Img/``. The first line of the attributes may be
the number of images. Kaggle has the same lists as ``.csv``, and the photos in ``img_align_celeba/img_align_celeba/``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from veil.data.face_lists import FaceList, below, csv_table, numbers_of, require_all, truths_of
from veil.data.layouts import FacesLayout
from veil.runtime import foreign

_SUFFIXES = (".txt", ".csv")


def attributes_in(folder: Path) -> Path | None:
    """The list of attributes; None if there is none."""
    lists = (near(folder, f"list_attr_celeba{suffix}") for suffix in _SUFFIXES)
    return next((file for file in lists if file is not None), None)


def read(folder: Path) -> FaceList:
    """The list of faces in a folder."""
    attributes = attributes_in(folder)
    if attributes is None:
        raise FileNotFoundError(f"{folder}: list_attr_celeba.txt is missing")
    photos = near(folder, "img_align_celeba")
    if photos is None:
        raise FileNotFoundError(f"{folder}: img_align_celeba is missing")
    if (photos / photos.name).is_dir():
        photos = photos / photos.name
    names, rows = _csv_rows(attributes) if attributes.suffix == ".csv" else _text_rows(attributes)
    listed, truths = truths_of(attributes, names, rows)
    files = below(photos, listed, attributes)
    require_all(attributes, files)
    partition = near(folder, "list_eval_partition.txt") or near(folder, "list_eval_partition.csv")
    identity = near(folder, "identity_CelebA.txt") or near(folder, "identity_CelebA.csv")
    parts = None if partition is None else numbers_of(partition, listed)
    if parts is not None and not ((parts >= 0) & (parts <= 2)).all():
        raise ValueError(f"{partition}: a partition is 0, 1 or 2")
    return FaceList(
        "celeba", files, truths, names, None if identity is None else numbers_of(identity, listed), parts
    )  # fmt: skip


def near(folder: Path, name: str) -> Path | None:
    """A file or folder called ``name`` in ``folder`` or directly below; None if there is none."""
    folders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return next((place / name for place in (folder, *folders) if (place / name).exists()), None)


def _text_rows(file: Path) -> tuple[tuple[str, ...], Iterator[tuple[str, Sequence[str]]]]:
    """Names and rows of a list with columns separated by blanks, with or without the number of images at its head."""
    lines = (words for line in foreign.lines_of(file) if (words := line.split()))
    names = next(lines, [])
    announced = foreign.whole_number(names[0]) if len(names) == 1 and names[0].isdecimal() else None
    if announced is not None:
        names = next(lines, [])

    def rows() -> Iterator[tuple[str, Sequence[str]]]:
        count = 0
        for count, words in enumerate(lines, 1):  # noqa: B007
            yield words[0], words[1:]
        if announced not in (None, count):
            raise ValueError(f"{file}: announces {announced:,} images and lists {count:,}")

    return tuple(names), rows()


def _csv_rows(file: Path) -> tuple[tuple[str, ...], Iterator[tuple[str, Sequence[str]]]]:
    header, rows = csv_table(file)
    return tuple(header[1:]), ((row[0].strip(), [value.strip() for value in row[1:]]) for row in rows)


LAYOUT = FacesLayout(
    name="celeba",
    title="CelebA",
    on_disk="list_attr_celeba.txt or .csv with img_align_celeba/",
    matches=lambda folder: attributes_in(folder) is not None,
    called=lambda folder: "celeba",
    read=read,
)
