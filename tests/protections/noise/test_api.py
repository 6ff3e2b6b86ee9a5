"""``veil.protect`` and what it gives back."""

import ctypes
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from networks import convolutional, photos
from PIL import Image

import veil
from veil.images import ImageError, Photo
from veil.models.classifier import Classifier
from veil.runtime import memory

EASY = {"budget": 16, "required_score": 0.3, "max_iterations": 5, "retries": 0, "batch": 4, "device": "cpu"}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return convolutional()


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return np.ascontiguousarray(photos(1)[0].permute(1, 2, 0).numpy())


def test_every_kind_of_image_gets_the_same_noise_and_comes_back_in_its_kind(
    classifier: Classifier, array: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(array).save(tmp_path / "photo.png")
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    given = (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(array), array, tensor, Photo(tensor))
    results = [veil.protect(image, models=classifier, **EASY) for image in given]
    noisy = results[0].photo.pixels
    assert not noisy.equal(tensor)
    assert int((noisy.int() - tensor.int()).abs().max()) <= 16
    assert all(result.photo.pixels.equal(noisy) for result in results)
    kinds = (Image.Image, Image.Image, Image.Image, np.ndarray, torch.Tensor, Photo)
    for result, kind in zip(results, kinds, strict=True):
        assert isinstance(result.value, kind)
    assert np.array_equal(results[3].value, results[0].array)


def test_a_protected_photo_shows_itself_and_is_saved(classifier: Classifier, array: np.ndarray, tmp_path: Path) -> None:
    result = veil.protect(array, models=classifier, **EASY)
    assert repr(result).startswith(f"Protected({array.shape[1]}×{array.shape[0]}, ")
    assert len(repr(result)) < 100
    assert result._repr_png_().startswith(b"\x89PNG")
    result.save(tmp_path / "out.png")
    assert veil.images.load(tmp_path / "out.png").pixels.equal(result.photo.pixels)


def test_folders(classifier: Classifier, array: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(array).save(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"no photo")
    result = veil.protect(tmp_path / "in", tmp_path / "out", models=classifier, **EASY)
    counts = result.counts()
    assert (counts["photos"], counts["failed"]) == (2, 1)
    assert [row["file"] for row in result.rows] == ["a.png", "b.png"]
    frame = result.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["file"]) == ["a.png", "b.png"]
    assert "source.bytes" in frame.columns
    assert "2 photos" in repr(result)
    assert "<table>" in result._repr_html_()


def test_what_cannot_be_protected_is_said(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need a folder for what is written"):
        veil.protect(tmp_path, models=classifier)
    with pytest.raises(TypeError, match="files and folders are protected, not a Tensor"):
        veil.protect(torch.zeros(3, 8, 8, dtype=torch.uint8), tmp_path, models=classifier)  # type: ignore[call-overload]
    with pytest.raises(ImageError, match="no such file"):
        veil.protect(tmp_path / "none.png", models=classifier)
    with pytest.raises(ValueError, match="out is a folder, not a photo"):
        veil.protect(tmp_path / "none.png", tmp_path / "out.png", models=classifier)
    with pytest.raises(ValueError, match="there is no option 'model'; the scheme crs has step, budget"):
        veil.protect(tmp_path / "none.png", model=classifier)
    with pytest.raises(ValueError, match="there is no scheme 'nothing'; there are crs"):
        veil.protect(tmp_path / "none.png", models=classifier, scheme="nothing")


def test_a_protector_leaves_the_host_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's random numbers go on as without it, and malloc's settings are for the command line to change."""

    def refuse(*_: object) -> None:
        raise AssertionError("a library was asked to change the process")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    memory.keep_memory.cache_clear()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    protector = veil.Protector("things100", device="cpu", batch=4)
    assert torch.rand(3).equal(expected)
    assert repr(protector) == "Protector(things100, scheme='crs', device='cpu')"
