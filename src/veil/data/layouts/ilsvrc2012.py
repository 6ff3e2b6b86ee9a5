"""The ILSVRC-2012 validation photos in one folder, with Caffe's ``val.txt`` or Kaggle's ``LOC_val_solution.csv``."""

from pathlib import Path

from veil.data.class_folders import SUFFIXES
from veil.data.labelled_photos import IMAGENET_CLASSES, WORDNET_ID, PhotoSet
from veil.data.layouts import PhotosLayout
from veil.data.photo_lists import class_number, columns, photos
from veil.runtime import foreign

_PHOTO = "ILSVRC2012_val_"
_FOLDERS = ("", "val", "ILSVRC2012_img_val", "CLS-LOC/val", "Data/CLS-LOC/val", "ILSVRC/Data/CLS-LOC/val")
_DEVKIT_FILES = ("ILSVRC*_validation_ground_truth.txt", "ILSVRC*devkit*/data/ILSVRC*_validation_ground_truth.txt")
# A sea snake. In the devkit's order it is 490, or 489 from 0; lists that count from 1 say 66.
_FIRST_PHOTO, _FIRST_LABEL = "ILSVRC2012_val_00000001", 65


def photos_in(folder: Path) -> Path | None:
    """The folder of the photos, ``folder`` itself or a subfolder of the archives; None if there is none."""
    for part in _FOLDERS:
        if any(file.suffix.lower() in SUFFIXES for file in (folder / part).glob(f"{_PHOTO}*")):
            return folder / part
    return None


def read(folder: Path) -> PhotoSet:
    """The set in a folder with photos of ILSVRC-2012 and a list of their classes in or above it."""
    images = photos_in(folder) or folder
    places = [images]
    while places[-1] != folder:
        places.append(places[-1].parent)
    if images == folder:
        places.append(folder.absolute().parent)
    for place in places:
        if (file := place / "LOC_val_solution.csv").is_file():
            return _with_wordnet_ids(images, file)
        for file in (place / "val.txt", place / "meta" / "val.txt"):
            if file.is_file():
                return _with_indices(images, file)
    use = "put Caffe's val.txt or Kaggle's LOC_val_solution.csv beside the photos"
    devkits = (file for place in places for pattern in _DEVKIT_FILES for file in place.glob(pattern))
    if devkit := next(devkits, None):
        raise ValueError(f"{devkit} counts classes in the devkit's own order, not in ImageNet-1k's: {use}")
    raise ValueError(f"{images}: ILSVRC-2012 photos without labels: {use}")


def _with_indices(images: Path, file: Path) -> PhotoSet:
    """Caffe's list: lines like ``ILSVRC2012_val_00000001.JPEG 65``, indices in the order of the WordNet ids."""
    named: dict[str, int] = {}
    for line in filter(None, map(str.strip, foreign.lines_of(file))):
        path, _, label = " ".join(line.split()).rpartition(" ")
        photo = Path(path)
        # Kaggle's own val.txt has no suffixes, and running numbers in the place of labels.
        if not photo.stem.startswith(_PHOTO) or photo.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{file}: {line[:60]!r} is not a line like '{_FIRST_PHOTO}.JPEG {_FIRST_LABEL}'")
        named[photo.stem] = class_number(label, 0, file, photo.stem)
    if (first := named.get(_FIRST_PHOTO, _FIRST_LABEL)) != _FIRST_LABEL:
        raise ValueError(
            f"{file}: gives {_FIRST_PHOTO} class {first}, where ImageNet-1k has {_FIRST_LABEL} (sea snake): "
            "not the order of the WordNet ids from 0, as Caffe's val.txt has it"
        )
    named = dict(sorted(named.items()))
    return PhotoSet("ilsvrc2012-val", photos(images, named, file), tuple(named.values()), imagenet=True)


def _with_wordnet_ids(images: Path, file: Path) -> PhotoSet:
    """Kaggle's list: a photo's first token is its WordNet id; with all of the 1000, their order gives the index."""
    named: dict[str, str] = {}
    for photo, boxes in columns(file, "ImageId", "PredictionString"):
        named[photo] = boxes.partition(" ")[0]
        if not WORDNET_ID.fullmatch(named[photo]):
            raise ValueError(f"{file}: {named[photo][:40]!r} for {photo!r} is not a WordNet id")
    ids = sorted(set(named.values()))
    place = {wordnet_id: index for index, wordnet_id in enumerate(ids)}
    labels = {photo: place[named[photo]] for photo in sorted(named)}
    files = photos(images, labels, file)
    imagenet = len(ids) == IMAGENET_CLASSES
    return PhotoSet("ilsvrc2012-val", files, tuple(labels.values()), tuple(ids), imagenet=imagenet)


LAYOUT = PhotosLayout(
    name="ilsvrc2012",
    title="ILSVRC-2012",
    on_disk="ILSVRC2012_val_*.JPEG with val.txt or LOC_val_solution.csv",
    matches=lambda folder: photos_in(folder) is not None,
    called=lambda folder: "ilsvrc2012-val",
    read=read,
)
