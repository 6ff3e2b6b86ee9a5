"""Photos in one folder per class, named by its WordNet id; a ``val/`` folder with such folders takes precedence."""

from collections.abc import Sequence
from pathlib import Path

from veil.data import class_folders
from veil.data.class_folders import folders_in
from veil.data.labelled_photos import IMAGENET_CLASSES, WORDNET_ID, PhotoSet
from veil.data.layouts import PhotosLayout


def root_of(folder: Path) -> Path | None:
    """``val/`` or the folder itself, whichever holds class folders; None if neither does."""
    for place in (folder / "val", folder):
        if any(WORDNET_ID.fullmatch(entry.name) for entry in folders_in(place)):
            return place
    return None


def _named(place: Path) -> str:
    place = place.absolute()
    if place.name == "val":
        return place.parent.name
    return f"{place.parent.name}-train" if place.name == "train" else place.name


def read(folder: Path) -> PhotoSet:
    """The set in a folder whose classes are folders named by WordNet ids."""
    place = root_of(folder) or folder
    files, labels, ids = class_folders.list_files(place)
    for wordnet_id in ids:
        if not WORDNET_ID.fullmatch(wordnet_id):
            raise ValueError(f"{place}: the folder {wordnet_id!r} among the classes is not named by a WordNet id")
    return PhotoSet(
        name=_named(place),
        files=tuple(files),
        labels=tuple(labels),
        class_ids=ids,
        class_names=_words(place, ids),
        imagenet=len(ids) == IMAGENET_CLASSES,
    )


def _words(place: Path, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Class names from the ``words.txt`` in ``place`` or beside it; the id for a class that it leaves out."""
    for file in (place / "words.txt", place.absolute().parent / "words.txt"):
        if file.is_file():
            words = class_folders.read_words(file)
            if not words.keys().isdisjoint(ids):
                return tuple(words.get(wordnet_id, wordnet_id) for wordnet_id in ids)
    return None


LAYOUT = PhotosLayout(
    name="wordnet-folders",
    title="ImageNet and parts of it",
    on_disk="one folder per WordNet id",
    matches=lambda folder: root_of(folder) is not None,
    called=lambda folder: _named(root_of(folder) or folder),
    read=read,
)
