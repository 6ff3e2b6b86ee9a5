"""Layouts of data sets: every row, a stranger's, and what a person can type for a data set."""

import json
import sys
from pathlib import Path

import pytest
from commands import said, veil
from contracts import check_dataset
from data_sets import EXAMPLES, class_folders_in, pixels
from plugins import plug
from repository import REPOSITORY

from veil.data import faces, photo_sets, small_images
from veil.data.layouts import DATASETS, FacesLayout, PhotosLayout, SmallImagesLayout, expected
from veil.runtime.tables import UnknownName

LAYOUT = """
from veil.data.layouts import SmallImagesLayout

def read(place, side):
    import numpy as np
    import torch
    from veil.data.labelled_images import LabelledImages, Parts

    if not (place / "images.npy").is_file():
        raise FileNotFoundError(f"{place}: images.npy is missing")
    images = torch.from_numpy(np.load(place / "images.npy"))
    part = LabelledImages(images, torch.arange(len(images)) % 2, ("a", "b"))
    return Parts(place.absolute().name, part, part)

def give():
    from pathlib import Path
    return read(Path("set"), None)

LAYOUT = SmallImagesLayout(name="arrays", title="arrays", on_disk="images.npy", read=read,
                           matches=lambda folder: (folder / "images.npy").is_file())
"""


def write(folder: Path) -> Path:
    import numpy as np

    np.save(folder / "images.npy", pixels(20, 32))
    return folder


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's module in the current folder, and a set in ``set/``."""
    (tmp_path / "arrays.py").write_text(LAYOUT)
    (tmp_path / "set").mkdir()
    write(tmp_path / "set")
    monkeypatch.delitem(sys.modules, "arrays", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", DATASETS)
def test_every_layout(name: str, tmp_path: Path) -> None:
    check_dataset(DATASETS[name], tmp_path, None if name == "hub" else EXAMPLES[name])


def test_a_strangers_layout(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(stranger))
    plug(monkeypatch, DATASETS, arrays="arrays:LAYOUT")
    (stranger / "checked").mkdir()
    check_dataset(DATASETS["arrays"], stranger / "checked", write)
    assert small_images.find([stranger], "set").name == "set"
    quick = ("--epochs", 1, "--batch-size", 10, "--width", 2, "--side", 32, "--device", "cpu")
    assert veil("train", "--data", "set", "-o", "out", *quick, "--json") == 0
    assert json.loads(capsys.readouterr().out)["top1"] >= 0
    assert veil("train", "--data", ".", "-o", "other", *quick) == 2
    assert "images.npy (arrays)" in said(capsys)


def test_a_person_types_a_layout_or_a_function(stranger: Path) -> None:
    parts = small_images.load("arrays:LAYOUT:set")
    assert parts.name == "set"
    given = small_images.load("arrays:give", 16)
    assert given.train.images.shape == (20, 3, 16, 16)
    assert small_images.load("arrays:give").fingerprint == parts.fingerprint
    for what, error, message in (
        ("arrays:nothing", UnknownName, "arrays:nothing cannot be imported"),
        ("arrays:__name__", UnknownName, "expected a layout, or a function"),
        ("arrays:LAYOUT:absent", FileNotFoundError, r"images\.npy is missing"),
        ("arrays:read", ValueError, "arrays:read failed: TypeError"),
        ("celeba:set", ValueError, "celeba is a set of faces; a set of small images is needed"),
        ("C:/somewhere", FileNotFoundError, "there is no folder C:/somewhere"),
        ("somewhere", FileNotFoundError, "there is no folder somewhere"),
    ):
        with pytest.raises(error, match=message):
            small_images.load(what)
    with pytest.raises(ValueError, match="arrays:LAYOUT is a set of small images; a set of faces is needed"):
        faces.read("arrays:LAYOUT:set")
    with pytest.raises(ValueError, match="a set of labelled photos is needed"):
        photo_sets.load("arrays:LAYOUT:set")


def test_a_folder_that_looks_like_two_layouts_is_read_as_the_one_that_is_named(tmp_path: Path) -> None:
    EXAMPLES["attribute-table"](tmp_path)
    (tmp_path / "inner").mkdir()
    class_folders_in(tmp_path)
    assert small_images.load(str(tmp_path)).name == small_images.load(f"class-folders:{tmp_path}").name
    assert len(faces.read(f"attribute-table:{tmp_path}", 8).train) == 21
    with pytest.raises(FileNotFoundError, match="list_attr_celeba"):
        faces.read(f"celeba:{tmp_path}", 8)


@pytest.mark.parametrize("kind", [SmallImagesLayout, PhotosLayout, FacesLayout])
def test_messages_name_all_layouts(kind: type, tmp_path: Path) -> None:
    text = expected(kind)
    assert all(row.on_disk in text and row.title in text for row in DATASETS.values() if isinstance(row, kind))


def test_the_documentation_names_all_layouts() -> None:
    page = (REPOSITORY / "docs/training.md").read_text(encoding="utf-8")
    for row in DATASETS.values():
        assert f"| `{row.name}` | {row.title} | {row.on_disk} |" in page
