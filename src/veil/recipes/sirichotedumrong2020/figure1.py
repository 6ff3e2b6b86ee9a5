"""A photo, encrypted by each cipher, and transformed (Figure 1).

Paper:   Sirichotedumrong and Kiya 2020, Figure 1
Item:    figure1
Cost:    smoke seconds; cpu seconds; paper seconds
Expect:  nothing that a person recognises; which does not hold of the pixel-based ciphers
Command: veil report sirichotedumrong2020

The paper's image, one of STL-10, may not be shown here; ours is scikit-image's "chelsea" (Stéfan van der Walt, CC0) at
the same 96×96. Nothing is measured.
"""

from typing import Any

import torch
from numpy.typing import NDArray

from veil.recipes import free_photos
from veil.recipes.recipe import Evidence
from veil.recipes.sirichotedumrong2020.table1_accuracy import NAMES, protect
from veil.report import figures
from veil.report.page import Picture, Section

PHOTO, SIDE = "chelsea", 96
SHOWN = ("tanaka", "pixel-same", "pixel-different", "transformed")


def images() -> dict[str, NDArray[Any]]:
    """The photo and its protected versions, by title."""
    photo = free_photos.read(PHOTO, SIDE)[None]
    shown = {"original": photo} | {NAMES[name]: protect(name, 0)(photo, torch.Generator()) for name in SHOWN}
    return {title: image[0].permute(1, 2, 0).numpy() for title, image in shown.items()}


def show(evidence: Evidence) -> Section:
    """The pictures."""
    text = (
        "The pixel-based ciphers hide less than the paper’s example lets one think: a value and its complement are "
        "equally far from the middle of the range, so that middling values stay grey and only bright and dark ones "
        "become strong colours. Eyes, nose and outlines of this photo show to the naked eye. Whoever folds a value and "
        "its complement together sees more, without any key. Tanaka’s cipher hides this photo at a glance; in others, "
        "equal blocks of 4×4 pixels, such as those of a sky, stay equal and give outlines away. `docs/encryption.md` "
        "says what breaks them. The transformation network leaves stripes, whatever was there; it was trained on "
        "images of 32×32 pixels, and in much larger ones coarse shapes come through."
    )
    picture = Picture(
        "figure1", f"{free_photos.CREDITS[PHOTO]}, at {SIDE}×{SIDE}, encrypted, and transformed.",
        lambda: figures.image_grid(images(), columns=5),
    )  # fmt: skip
    return Section("figure1", "Figure 1 · Protected images", (text,), pictures=(picture,))
