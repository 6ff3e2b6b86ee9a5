"""Layouts of data sets on disk: one file and one row per layout, and the table `DATASETS` of all layouts.

There are four kinds of content: small labelled images in memory, digits, labelled photo files, and lists of faces.
`veil.data.small_images`, `photo_sets` and `faces` find the layout of a folder and read it.

A person types a folder; or ``LAYOUT:FOLDER``, if the folder matches several layouts; or ``module:object``, which is a
layout of their own followed by ``:FOLDER``, or a function that returns the images (`typed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from veil.runtime.tables import Table, others_code

if TYPE_CHECKING:
    from veil.data.face_lists import FaceList
    from veil.data.labelled_images import Mnist, Parts
    from veil.data.labelled_photos import PhotoSet


def own_name(folder: Path) -> str:
    """The folder's name."""
    return folder.absolute().name


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A row of `DATASETS`; one of the classes below.

    Attributes:
        name: the name that a person types.
        title: the sets with this layout, in a few words.
        on_disk: the files that identify it, in words.
        matches: whether a folder has this layout; checks file names only.
        called: the name of the set in such a folder.
    """

    kind: ClassVar[str] = "a data set"
    name: str
    title: str
    on_disk: str
    matches: Callable[[Path], bool]
    called: Callable[[Path], str] = own_name


@dataclass(frozen=True, kw_only=True)
class SmallImagesLayout(Layout):
    """Small labelled images in two parts.

    Attributes:
        read: reads the set in such a folder and resizes its images to a side, if there is one. Plain images may keep
            their size and are then resized afterwards. Raises FileNotFoundError or ValueError with a message of one
            line.
        archives: folder names of the published archives, and the name of the set in each. With archives, a person may
            also type the folder above.
    """

    kind: ClassVar[str] = "a set of small images"
    read: Callable[[Path, int | None], Parts]
    archives: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DigitsLayout(Layout):
    """Grey images of digits in three parts; ``read`` works as in `SmallImagesLayout`."""

    kind: ClassVar[str] = "a set of digits"
    read: Callable[[Path], Mnist]


@dataclass(frozen=True, kw_only=True)
class PhotosLayout(Layout):
    """Labelled photo files, which are not opened; ``read`` raises the errors of `SmallImagesLayout`."""

    kind: ClassVar[str] = "a set of labelled photos"
    read: Callable[[Path], PhotoSet]


@dataclass(frozen=True, kw_only=True)
class FacesLayout(Layout):
    """Face photos with attributes, which are not opened; ``read`` raises the errors of `SmallImagesLayout`."""

    kind: ClassVar[str] = "a set of faces"
    read: Callable[[Path], FaceList]


def _adapted(what: str, function: object) -> Layout:
    """The row for a function without arguments, typed as ``module:function``, that returns the images."""
    if not callable(function):
        raise TypeError("expected a layout, or a function that gives the images")

    def read(place: Path, side: int | None) -> Parts:
        from veil.data.labelled_images import Parts

        with others_code(f"{what} failed"):
            parts = function()
        if not isinstance(parts, Parts):
            raise ValueError(f"{what} gave a {type(parts).__name__}, not veil.data.labelled_images.Parts")
        return parts

    return SmallImagesLayout(name=what, title=what, on_disk="none", matches=lambda folder: False, read=read)


DATASETS: Table[Layout] = Table(
    "veil.datasets",
    Layout,
    "data set",
    {
        "class-folders": "veil.data.layouts.train_test_folders:LAYOUT",
        "cifar-python": "veil.data.layouts.cifar_python:LAYOUT",
        "cifar-binary": "veil.data.layouts.cifar_binary:LAYOUT",
        "stl10": "veil.data.layouts.stl10:LAYOUT",
        "hub": "veil.data.layouts.hub:LAYOUT",
        "mnist": "veil.data.layouts.mnist:LAYOUT",
        "nips17": "veil.data.layouts.nips17:LAYOUT",
        "ilsvrc2012": "veil.data.layouts.ilsvrc2012:LAYOUT",
        "wordnet-folders": "veil.data.layouts.wordnet_folders:LAYOUT",
        "celeba": "veil.data.layouts.celeba:LAYOUT",
        "attribute-table": "veil.data.layouts.attribute_table:LAYOUT",
    },
    adapt=_adapted,
)

L = TypeVar("L", bound=Layout)


def of_kind(kind: type[L]) -> list[L]:
    """The layouts of one kind, in the order in which they are tried."""
    return [row for row in DATASETS.values() if isinstance(row, kind)]


def expected(kind: type[Layout]) -> str:
    """The layouts of a kind, for messages: ``a (A), b (B) or c (C)``."""
    *first, last = [f"{row.on_disk} ({row.title})" for row in of_kind(kind)]
    return f"{', '.join(first)} or {last}" if first else last


def typed(what: str, kind: type[L]) -> tuple[L, Path] | None:
    """The layout and the folder for a typed ``LAYOUT:FOLDER`` or ``module:object``; None for a plain folder.

    Raises:
        UnknownName: where there is no such object.
        ValueError: where the layout is of another kind.
    """
    name, colon, place = what.partition(":")
    if not colon or Path(what).exists():
        return None
    if name not in DATASETS:
        attribute, _, place = place.partition(":")
        if not all(part.isidentifier() for part in (*name.split("."), *attribute.split("."))):
            return None
        name = f"{name}:{attribute}"
    row = DATASETS.resolve(name)
    if not isinstance(row, kind):
        raise ValueError(f"{name} is {row.kind}; {kind.kind} is needed")
    return row, Path(place)
