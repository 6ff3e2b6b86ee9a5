"""Labelled small images of the Hugging Face hub, by name, through the library ``datasets`` (extra ``hub``).

A data set on the hub could once include a program that builds it. `datasets` runs no such programs since version 4, and
older versions are refused here. Images are decoded by `veil.data.decoding`, like image files.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from veil.data.download import DownloadError
from veil.data.layouts import SmallImagesLayout
from veil.runtime.errors import UserError
from veil.runtime.lazy import torch
from veil.runtime.provenance import commit_of, is_revision, note_fetched

if TYPE_CHECKING:
    from veil.data.labelled_images import LabelledImages, Parts

LEAST_VERSION = 4
HELD_OUT = ("test", "validation", "valid", "val")
"""Names of the held-out part; the first one with labels is used."""
_LABELS = ("fine_label", "label")  # which column of classes is meant where there are several
_BATCH = 1024  # images that are in memory as files


class HubMissing(UserError, ImportError):
    """The extra ``hub`` is not installed, or its version would run programs of data sets."""


def read(name: str, side: int | None = None, *, cache: Path | None = None) -> Parts:
    """The data set ``name`` of the hub; downloaded once, then read from the cache.

    Args:
        name: such as ``uoft-cs/cifar10``, or a folder with a copy of the hub's files. ``name@revision`` takes a commit,
            tag or branch. Which commit was fetched is noted (`veil.runtime.provenance`).
        side: to resize all images to, in pixels. With None images keep their side, which must be the same for all.
        cache: folder for the downloads of `datasets`; None takes its own folder.

    Raises:
        HubMissing: where the library is missing.
        DownloadError: where the hub cannot be reached.
        ValueError: if the set does not exist or does not have images with classes in two parts, or images differ in
            size and ``side`` is None.
    """
    from veil.data.decoding import OtherSize
    from veil.data.labelled_images import Parts

    library = _library()
    splits = _fetched(library, name, cache)
    roots = _roots(library, name, cache)
    if "train" not in splits:
        raise ValueError(f"{name}: has no part 'train', only {', '.join(splits)}")
    image, label = _columns(name, splits["train"].features)
    held_out = next((part for part in HELD_OUT if part in splits and _labels(splits[part], label)), None)
    if held_out is None:
        raise ValueError(f"{name}: has no labelled part {' or '.join(HELD_OUT)}, only {', '.join(splits)}")
    resizes = side is not None
    try:
        train = _part(f"{name} train", splits["train"], image, label, side, resizes, roots)
        test = _part(f"{name} {held_out}", splits[held_out], image, label, train.images.shape[-1], resizes, roots)
    except OtherSize as error:
        raise ValueError(f"{error}: say which side the images are to have") from None
    return Parts(name, train, test)


def _library() -> ModuleType:
    try:
        datasets = importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        raise HubMissing(f'{error.name} is not installed: pip install "veil[hub]"') from error
    version = str(datasets.__version__)
    if int(version.partition(".")[0]) < LEAST_VERSION:
        raise HubMissing(f'datasets {version} would run programs of data sets: pip install --upgrade "veil[hub]"')
    return datasets


def _fetched(datasets: ModuleType, name: str, cache: Path | None) -> Any:
    """A `datasets.DatasetDict` of all parts."""
    repository, at, revision = (name, "", "") if Path(name).exists() else name.partition("@")
    if at and not is_revision(revision):
        raise ValueError(f"{revision!r:.80} is no revision of {repository}")
    pinned = {"revision": revision} if at else {}
    try:
        splits = datasets.load_dataset(repository, cache_dir=None if cache is None else str(cache), **pinned)
        note_fetched(f"hub:{repository}", _commit(splits))
        return splits
    except (ConnectionError, TimeoutError) as error:
        raise DownloadError(f"{name}: the hub cannot be reached ({_line(error)})") from error
    except datasets.exceptions.DatasetNotFoundError as error:
        raise ValueError(f"{name}: there is no such data set on the hub, or it is not public") from error
    except Exception as error:  # of the libraries below it, or of a set that is not what it should be
        raise ValueError(f"{name}: cannot be had from the hub ({_line(error)})") from error


def _commit(splits: Any) -> str | None:
    """The commit of the hub's repository that the parts are of; None where they are not of the hub."""
    sources = (source for split in splits.values() for source in split.info.download_checksums or ())
    return next((commit for source in sources if (commit := commit_of(source)) is not None), None)


def _roots(datasets: ModuleType, name: str, cache: Path | None) -> list[Path]:
    """Folders in which image files may lie that a set names: its own, and those of downloads."""
    hub = importlib.import_module("huggingface_hub.constants")
    folders = [name, cache, datasets.config.HF_DATASETS_CACHE, hub.HF_HUB_CACHE]
    return [Path(folder).resolve() for folder in folders if folder is not None]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _columns(name: str, features: Any) -> tuple[str, str]:
    """The columns of images and of classes, by their types."""
    of_type = {
        kind: [column for column, feature in features.items() if type(feature).__name__ == kind]
        for kind in ("Image", "ClassLabel")
    }
    images, labels = of_type["Image"], of_type["ClassLabel"]
    if len(images) != 1 or not labels:
        raise ValueError(f"{name}: expected one column of images and one of classes, not {_listed(features)}")
    if len(labels) == 1:
        return images[0], labels[0]
    label = next((column for column in _LABELS if column in labels), None)
    if label is None:
        raise ValueError(f"{name}: which column of classes is meant is not clear: {', '.join(labels)}")
    return images[0], label


def _listed(features: Any) -> str:
    return ", ".join(f"{column} ({type(feature).__name__})" for column, feature in features.items()) or "none"


def _labels(split: Any, column: str) -> list[int]:
    """The classes of a part; empty if some are missing, as in test parts of competitions."""
    labels: list[int | None] = list(split[column])
    return [label for label in labels if label is not None] if all(x is not None and x >= 0 for x in labels) else []


def _part(
    name: str, split: Any, image: str, label: str, side: int | None, resizes: bool, roots: Sequence[Path]
) -> LabelledImages:
    from veil.data.decoding import decode
    from veil.data.labelled_images import LabelledImages

    labels = _labels(split, label)
    if not labels:
        raise ValueError(f"{name}: has images without a class")
    images = []
    for names, files in _files(name, split, image, roots):
        images.append(decode(files, names, side, resizes=resizes))
        side = images[0].shape[-1]
    return LabelledImages(torch.cat(images), torch.tensor(labels), tuple(split.features[label].names))


def _files(
    name: str, split: Any, image: str, roots: Sequence[Path]
) -> Iterator[tuple[Sequence[str], Sequence[Path | bytes]]]:
    """Batches of stored images, and the name of each image."""
    undecoded = type(split.features[image])(decode=False)
    first = 1
    for batch in split.select_columns([image]).cast_column(image, undecoded).iter(_BATCH):
        stored = batch[image]
        names = [f"{name}, image {number}" for number in range(first, first + len(stored))]
        first += len(stored)
        yield names, [_stored(content, called, roots) for content, called in zip(stored, names, strict=True)]


def _stored(image: dict[str, Any] | None, name: str, roots: Sequence[Path]) -> Path | bytes:
    if image is None or (image["bytes"] is None and image["path"] is None):
        raise ValueError(f"{name}: is missing")
    if image["bytes"] is not None:
        return bytes(image["bytes"])
    file = Path(image["path"])
    if not any(file.resolve().is_relative_to(root) for root in roots):
        raise ValueError(f"{name}: names a file outside of the set")
    return file


LAYOUT = SmallImagesLayout(
    name="hub",
    title="a set of the Hugging Face hub",
    on_disk="hub:NAME or hub:NAME@REVISION",
    matches=lambda folder: False,
    read=lambda place, side: read(place.as_posix(), side),
)
