"""The comparison of what two checkouts release sees every difference that counts, and no other."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from repository import REPOSITORY

SPEC = importlib.util.spec_from_file_location("released", REPOSITORY / "benchmarks/released.py")
assert SPEC is not None
assert SPEC.loader is not None
released: Any = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = released  # where its dataclasses look for their types
SPEC.loader.exec_module(released)
JOB = released.Job("group", "job", ())
Change = Callable[[Path], object]


def outputs(folder: Path) -> Path:
    """A picture with metadata, a file of features, and rows that differ each time."""
    place = folder / JOB.name
    place.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(place / "a.png", exif=exif, dpi=(72, 72))
    (place / "b.features").write_bytes(b"VEILFEA1")
    (place / "rows.jsonl").write_text(str(folder))
    return place


def compared(folder: Path, change: Change, statuses: tuple[int, int] = (0, 0)) -> Any:
    """The comparison of outputs with others that were changed."""
    outs = [folder / "before", folder / "after"]
    outputs(outs[0])
    change(outputs(outs[1]))
    return released.compare(JOB, outs, statuses, (0.0, 0.0))


def packed_otherwise(place: Path) -> None:
    with Image.open(place / "a.png") as image:
        image.save(place / "a.png", exif=image.getexif(), dpi=(72, 72), compress_level=0)


def other_pixel(place: Path) -> None:
    with Image.open(place / "a.png") as image:
        image.putpixel((3, 3), (0, 0, 0))
        image.save(place / "a.png", exif=image.getexif(), dpi=(72, 72))


def without_exif(place: Path) -> None:
    with Image.open(place / "a.png") as image:
        image.save(place / "a.png", dpi=(72, 72))


def other_resolution(place: Path) -> None:
    with Image.open(place / "a.png") as image:
        image.save(place / "a.png", exif=image.getexif(), dpi=(96, 96))


def test_what_is_equal_is_equal_however_it_is_packed(tmp_path: Path) -> None:
    same = compared(tmp_path / "same", lambda place: None)
    assert (same.equal, same.files, same.bytes) == (True, 2, 2)
    packed = compared(tmp_path / "packed", packed_otherwise)
    assert (packed.equal, packed.files, packed.bytes) == (True, 2, 1)


@pytest.mark.parametrize(
    ("change", "pixels", "metadata"),
    [
        (other_pixel, 1, 2),
        (without_exif, 2, 1),
        (other_resolution, 2, 1),
        (lambda place: (place / "b.features").write_bytes(b"VEILFEA2"), 1, 2),
    ],
)
def test_what_differs_is_counted(change: Change, pixels: int, metadata: int, tmp_path: Path) -> None:
    found = compared(tmp_path, change)
    assert not found.equal
    assert (found.pixels, found.metadata) == (pixels, metadata)


@pytest.mark.parametrize(
    ("change", "statuses", "problem"),
    [
        (lambda place: (place / "b.features").unlink(), (0, 0), "b.features"),
        (lambda place: None, (0, 1), "exit status 0 and 1"),
        (lambda place: None, (2, 2), "exit status 2 and 2"),
        (lambda place: None, (-1, -1), "exit status -1 and -1"),
    ],
)
def test_failures_are_no_agreement(change: Change, statuses: tuple[int, int], problem: str, tmp_path: Path) -> None:
    found = compared(tmp_path, change, statuses)
    assert not found.equal
    assert problem in found.problem


def test_nothing_released_is_no_agreement(tmp_path: Path) -> None:
    for side in ("before", "after"):
        (tmp_path / side / JOB.name).mkdir(parents=True)
    assert not released.compare(JOB, [tmp_path / "before", tmp_path / "after"], (0, 0), (0.0, 0.0)).equal
