"""Sets of small labelled images in memory: finds the layout of a folder (`veil.data.layouts`) and reads it.

`read` takes a folder, `find` searches for a name, and `load` takes what a person types on the command line: a folder, a
layout with its argument (``hub:NAME`` for a set of the Hugging Face hub), or ``module:object``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from veil.data.class_folders import folders_in
from veil.data.labelled_images import Parts
from veil.data.layouts import SmallImagesLayout, expected, of_kind, typed

_DEPTH = 2  # folders below a root that `find` looks into


def load(what: str, side: int | None = None) -> Parts:
    """The data set for what a person typed: a folder, ``LAYOUT:FOLDER``, ``hub:NAME``, or ``module:object``.

    Args:
        side: of the images in pixels, as `read` takes it.

    Raises:
        FileNotFoundError, ValueError: as `read` does, or the layout.
        UnknownName: if ``module:object`` is neither a layout nor a function that returns images.
        HubMissing, DownloadError: as `veil.data.layouts.hub.read` does.
    """
    named = typed(what, SmallImagesLayout)
    if named is None:
        return read(Path(what), side)
    layout, place = named
    return _sized(layout.read(place, side), side)


def read(folder: Path, side: int | None = None) -> Parts:
    """The data set in ``folder``, or in the published folder directly below it.

    Args:
        side: to resize all images to, in pixels. With None images keep their side, which must be the same for all.

    Raises:
        FileNotFoundError: where there is no such folder, or a file of the layout is missing.
        ValueError: if ``folder`` has no known layout or holds several sets; if a file is broken; if images differ in
            size or are not square and ``side`` is None; or if protected images would have to be resized.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    places = _places(folder)
    if not places:
        raise ValueError(f"{folder}: not a set of small images: expected {expected(SmallImagesLayout)}")
    if len({layout.called(place) for place, layout in places}) > 1:
        raise ValueError(f"{folder}: holds several sets; name one of {', '.join(place.name for place, _ in places)}")
    place, layout = places[0]
    return _sized(layout.read(place, side), side)


def _sized(parts: Parts, side: int | None) -> Parts:
    if side is None or all(part.images.shape[2:] == (side, side) for part in (parts.train, parts.test)):
        return parts
    if parts.cipher is not None:
        raise ValueError(f"{parts.name}: protected images ({parts.cipher}) cannot be resized")
    return replace(parts, train=parts.train.resized(side), test=parts.test.resized(side))


def _places(folder: Path) -> list[tuple[Path, SmallImagesLayout]]:
    """The places in ``folder`` with a known layout: itself, or the folders of unpacked archives."""
    layouts = of_kind(SmallImagesLayout)
    own = next((layout for layout in layouts if not layout.archives and layout.matches(folder)), None)
    if own is not None:
        return [(folder, own)]
    archives = [layout for layout in layouts if layout.archives]
    places = ((place, _layout(place, archives)) for place in (folder, *sorted(folders_in(folder))))
    return [(place, layout) for place, layout in places if layout is not None]


def _layout(folder: Path, layouts: Sequence[SmallImagesLayout]) -> SmallImagesLayout | None:
    return next((layout for layout in layouts if layout.matches(folder)), None)


def find(roots: Sequence[Path], name: str, side: int | None = None) -> Parts:
    """The first data set called ``name`` among ``roots``: a root itself, or a folder one or two below it.

    The name of a published set is ``cifar10``, ``cifar100``, ``stl10``, or its archive's folder; the name of any other
    set is its folder. Case is ignored. In a root, plain images come before protected ones, then higher folders before
    deeper ones, then sets are sorted by name.

    Args:
        side: as `read` takes it.

    Raises:
        FileNotFoundError: if there is no set with this name, or its files are missing.
        ValueError: if this set is broken or has several sizes, as in `read`.
    """
    from veil.data.layouts.train_test_folders import cipher_of

    seen: set[str] = set()
    for root in roots:
        candidates = list(_candidates(root))
        seen |= {called for _, called in candidates}
        named = [place for place, called in candidates if _alias(name) in (called, _alias(place.absolute().name))]
        if named:
            return read(next((place for place in named if cipher_of(place) is None), named[0]), side)
    where = ", ".join(map(str, roots)) or "no folder at all"
    there = f" (there is {', '.join(sorted(seen))})" if seen else ""
    raise FileNotFoundError(
        f"no set of small images '{name}' in {where}{there}: expected {expected(SmallImagesLayout)}, "
        f"there or up to {_DEPTH} folders below"
    )


def _candidates(root: Path) -> Iterator[tuple[Path, str]]:
    """The folders that look like a set, and their names; does not search inside of them."""
    level = [root]
    for _ in range(1 + _DEPTH):
        below: list[Path] = []
        for folder in level:
            if called := _called(folder):
                yield folder, called
            else:
                below += sorted(folders_in(folder))
        level = below


def _called(folder: Path) -> str | None:
    """The name of the set in ``folder`` itself; None if it does not look like a set."""
    try:
        layout = _layout(folder, of_kind(SmallImagesLayout))
    except PermissionError:  # lost+found
        return None
    return None if layout is None else _alias(layout.called(folder))


def _alias(name: str) -> str:
    """A set's own name for its archive's folder; any other name in lower case."""
    name = name.casefold()
    return next((row.archives[name] for row in of_kind(SmallImagesLayout) if name in row.archives), name)
