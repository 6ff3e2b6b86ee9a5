"""Pictures that are drawn by whole numbers alone, so that every machine draws the same ones; nobody's photos.

`make.py` draws them for the commands of Veil 7c1583f, and the tests draw the data sets again: those are not stored.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, CLASSES, FACE = 16, 4, 32
ATTRIBUTES = ("Smiling", "Male")
PEOPLE, PICTURES = 48, 3

Pixels = NDArray[np.uint8]


def picture(number: int, height: int = 32, width: int = 40) -> Pixels:
    """A disc on a slope, (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    slope = (3 + number % 5) * x + (2 + number % 3) * y
    disc = (x - width // 2) ** 2 + (y - height // 3) ** 2 < (height // 4 + number % 4) ** 2
    channels = [slope + 40 * number, 200 - slope // 2 + 90 * disc, 60 + 30 * number + 100 * disc]
    return np.stack(channels, 2).clip(0, 255).astype(np.uint8)


def photos(folder: Path) -> None:
    """Colours, greys, 16 bits, an alpha channel, another shape in a folder of its own."""
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(picture(0)).save(folder / "colour.png")
    Image.fromarray(picture(1)[:, :, 0].copy()).save(folder / "grey.png")
    Image.fromarray(picture(2)[:, :, 1].astype(np.uint16) * 257).save(folder / "deep.png")
    alpha = (picture(3)[:, :, :1] > 90) * np.uint8(255)
    Image.fromarray(np.concatenate([picture(3), alpha], 2)).save(folder / "alpha.png")
    Image.fromarray(picture(4, 37, 33)).save(folder / "sub" / "odd.png")


def small_images(folder: Path, train: int = 12, test: int = 6) -> None:
    """A data set of four classes, in folders: stripes of four kinds, as many of each kind as said."""
    for part, count in (("train", train), ("test", test)):
        for kind in range(CLASSES):
            place = folder / part / f"class{kind}"
            place.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(_stripes(kind, number + train * (part == "test"))).save(place / f"{number:02}.png")


def _stripes(kind: int, number: int) -> Pixels:
    y, x = np.mgrid[:SIDE, :SIDE]
    along = (y, x, x + y, x - y)[kind]
    bright = (along + number) // (2 + number % 2) % 2
    channels = [bright * (120 + 10 * channel + 3 * number) + 20 * (number % 5) + 5 * x for channel in range(3)]
    return np.stack(channels, 2).clip(0, 255).astype(np.uint8)


def faces(folder: Path) -> None:
    """Faces of `PEOPLE` with ``attributes.csv``; who is on them decides one attribute, the picture the other."""
    folder.mkdir(parents=True)
    lines = [",".join(("file", *ATTRIBUTES, "identity"))]
    for number in range(PEOPLE * PICTURES):
        person, smiling = number // PICTURES, number * 7 % 5 < 2
        Image.fromarray(_face(person, number, smiling)).save(folder / f"{number:03}.png")
        lines.append(f"{number:03}.png,{int(smiling)},{person % 2},{person}")
    (folder / "attributes.csv").write_text("\n".join(lines) + "\n")


def _face(person: int, number: int, smiling: bool) -> Pixels:
    y, x = np.mgrid[:FACE, :FACE]
    across, down = x - FACE // 2 - number % 3 + 1, y - FACE // 2
    head = 4 * across**2 + 3 * down**2 < 500 + 8 * (person % 7)
    hair = head & (down < (-6 if person % 2 else -3))
    eyes = (abs(abs(across) - 4) <= 1) & (abs(down + 1) <= 1)
    curve = across**2 // 8 if smiling else -(across**2) // 8
    mouth = (abs(across) < 5) & (abs(down - 6 + curve) <= 1)
    image = np.empty((FACE, FACE, 3), np.uint8)
    image[:] = 30 + 20 * (person % 9), 90, 200 - 15 * (person % 9)
    image[head] = 235 - 10 * (person % 6), 190 - 12 * (person % 6), 150 - 12 * (person % 6)
    image[hair] = 60 + 11 * (person % 8), 40, 20
    image[eyes & head] = 10, 10, 30 + 20 * (person % 5)
    image[mouth & head] = 170, 20, 40
    return image
