"""The NIPS 2017 adversarial development set (Kurakin et al. 2018, https://arxiv.org/abs/1804.00097).

``images.csv`` with ``ImageId`` and ``TrueLabel`` (1 to 1000, 0 is background), ``images/<ImageId>.png`` or ``.jpg``.
"""

from pathlib import Path

from veil.data.labelled_photos import PhotoSet
from veil.data.layouts import PhotosLayout
from veil.data.photo_lists import class_number, columns, photos


def read(folder: Path) -> PhotoSet:
    """The set in a folder with ``images.csv``."""
    file = folder / "images.csv"
    named: dict[str, int] = {}
    for photo, label in columns(file, "ImageId", "TrueLabel"):
        if photo in named:
            raise ValueError(f"{file}: {photo!r} is named twice")
        named[photo] = class_number(label, 1, file, photo) - 1
    files = photos(folder / "images", named, file)
    return PhotoSet("nips17", files, tuple(named.values()), imagenet=True)


LAYOUT = PhotosLayout(
    name="nips17",
    title="NIPS 2017",
    on_disk="images.csv with images/",
    matches=lambda folder: (folder / "images.csv").is_file(),
    called=lambda folder: "nips17",
    read=read,
)
