"""Labelled photo files as paths: finds the layout of a folder (`veil.data.layouts`) and reads it.

Photos are decoded later, one at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from veil.data.class_folders import folders_in
from veil.data.labelled_photos import PhotoSet
from veil.data.layouts import PhotosLayout, expected, of_kind, typed


def load(what: str) -> PhotoSet:
    """The photo set for what a person typed: a folder, ``LAYOUT:FOLDER``, or ``module:object:FOLDER``.

    Raises:
        FileNotFoundError, ValueError: as `read` does.
        UnknownName: where ``module:object`` is no layout.
    """
    named = typed(what, PhotosLayout)
    return read(Path(what)) if named is None else named[0].read(named[1])


def read(folder: Path) -> PhotoSet:
    """The photo set in ``folder``.

    Raises:
        FileNotFoundError: where there is no such folder, or photos that its list names are missing.
        ValueError: if it has no known layout, or its list of labels is broken.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    layout = next((row for row in of_kind(PhotosLayout) if row.matches(folder)), None)
    if layout is None:
        raise ValueError(f"{folder}: not a set of labelled photos: expected {expected(PhotosLayout)}")
    return layout.read(folder)


def find(roots: Sequence[Path], name: str | None = None) -> PhotoSet:
    """The first photo set among ``roots``: a root itself, or a folder directly below it.

    Several sets in one root are ordered by layout (NIPS 2017, then ILSVRC-2012, then class folders), then by name.

    Args:
        name: the set's own name or its folder's name; None takes any set.

    Raises:
        FileNotFoundError: if there is no set, or none with this name, or its photos are missing.
        ValueError: if this set is broken.
    """
    candidates = [one for root in roots for one in sorted(_candidates(root), key=lambda one: one.order)]
    for one in candidates:
        if name is None or name in (one.name, one.folder.absolute().name):
            return read(one.folder)
    where = ", ".join(map(str, roots)) or "no folder at all"
    if candidates:
        names = ", ".join(sorted({one.name for one in candidates}))
        raise FileNotFoundError(f"no photo set '{name}' in {where}: there is {names}")
    raise FileNotFoundError(f"no photo set in {where}: expected {expected(PhotosLayout)}, there or one folder below")


@dataclass(frozen=True)
class _Candidate:
    """A folder that looks like a photo set; ``order`` sorts those of one root."""

    folder: Path
    name: str
    order: tuple[int, bool, str]


def _candidates(root: Path) -> Iterator[_Candidate]:
    layouts = of_kind(PhotosLayout)
    for folder in (root, *folders_in(root)):
        for rank, layout in enumerate(layouts):
            try:
                matches = layout.matches(folder)
            except PermissionError:  # lost+found
                continue
            if matches:
                yield _Candidate(folder, layout.called(folder), (rank, folder != root, folder.name))
                break
