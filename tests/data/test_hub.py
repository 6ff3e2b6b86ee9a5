"""Data sets of the hub, from copies that lie in folders: nothing here asks the net."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from veil.data.download import DownloadError
from veil.data.layouts import hub
from veil.runtime import provenance

RANDOM = np.random.default_rng(0)
COARSE, FINE = ["animal", "thing"], ["cat", "dog", "cup"]


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The library, which is kept from the net and writes into ``tmp_path`` only."""
    library = pytest.importorskip("datasets", reason='needs datasets: pip install "veil[hub]"')
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    shown = library.is_progress_bar_enabled()
    library.disable_progress_bars()
    yield library
    if shown:
        library.enable_progress_bars()


def pictures(count: int, side: int = 8) -> list[Image.Image]:
    return [Image.fromarray(each) for each in RANDOM.integers(0, 256, (count, side, side, 3), np.uint8)]


def columns(datasets: Any, count: int, names: dict[str, list[str]], images: list[Image.Image] | None = None) -> Any:
    """A part with a column ``img`` and one of classes for each of ``names``."""
    images = pictures(count) if images is None else images
    content = {"img": images, **{name: [k % len(classes) for k in range(count)] for name, classes in names.items()}}
    features = {"img": datasets.Image(), **{name: datasets.ClassLabel(names=each) for name, each in names.items()}}
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


def save(folder: Path, **parts: Any) -> str:
    """As a repository of the hub has it: ``data/train-00000-of-00001.parquet`` and so on."""
    (folder / "data").mkdir(parents=True)
    for name, part in parts.items():
        part.to_parquet(folder / f"data/{name}-00000-of-00001.parquet")
    return str(folder)


def stacked(images: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(each) for each in images])).permute(0, 3, 1, 2)


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_images_and_finest_labels_come_back(datasets: Any, tmp_path: Path, held_out: str) -> None:
    images, names = pictures(7), {"coarse_label": COARSE, "fine_label": FINE}
    parts = {"train": columns(datasets, 5, names, images[:5]), held_out: columns(datasets, 2, names, images[5:])}
    found = hub.read(save(tmp_path / "set", **parts), cache=tmp_path / "own")
    assert found.name == str(tmp_path / "set")
    assert torch.equal(torch.cat([found.train.images, found.test.images]), stacked(images))
    assert found.train.labels.tolist() == [0, 1, 2, 0, 1]
    assert found.test.labels.tolist() == [0, 1]
    assert found.train.classes == found.test.classes == tuple(FINE)
    assert found.cipher is None
    assert any((tmp_path / "own").iterdir())


def test_many_images_come_in_order(datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_BATCH", 3)
    images = pictures(8)
    part = columns(datasets, 8, {"label": FINE}, images)
    found = hub.read(save(tmp_path / "set", train=part, test=part), cache=tmp_path)
    assert torch.equal(found.train.images, stacked(images))


def test_folders_of_images_are_read(datasets: Any, tmp_path: Path) -> None:
    for part in ("train", "valid"):
        for name, image in zip(FINE, pictures(3), strict=True):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            image.save(tmp_path / "set" / part / name / "0.png")
    found = hub.read(str(tmp_path / "set"), side=4, cache=tmp_path)
    assert found.test.images.shape == (3, 3, 4, 4)
    assert found.train.classes == tuple(sorted(FINE))


def test_sizes_that_differ_need_a_side(datasets: Any, tmp_path: Path) -> None:
    mixed = columns(datasets, 2, {"label": FINE}, [*pictures(1, 8), *pictures(1, 10)])
    name = save(tmp_path / "set", train=mixed, test=mixed)
    with pytest.raises(ValueError, match="train, image 2: 10×10 pixels where 8×8 are expected: say which side"):
        hub.read(name, cache=tmp_path)
    assert hub.read(name, 8, cache=tmp_path).test.images.shape == (2, 3, 8, 8)


def test_a_part_without_labels_is_passed_over(datasets: Any, tmp_path: Path) -> None:
    part = columns(datasets, 2, {"label": FINE})
    secret = part.remove_columns("label").add_column("label", [-1, -1], feature=part.features["label"])
    name = save(tmp_path / "set", train=part, test=secret, validation=part)
    assert hub.read(name, cache=tmp_path).test.labels.tolist() == [0, 1]
    only = save(tmp_path / "only", train=part, test=secret)
    with pytest.raises(ValueError, match=r"no labelled part test or .*, only train, test$"):
        hub.read(only, cache=tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({}, r"one of classes, not img \(Image\)"),
        ({"kind": FINE, "colour": COARSE}, "not clear: kind, colour"),
    ],
)
def test_columns_that_are_not_clear_are_named(
    datasets: Any, tmp_path: Path, names: dict[str, list[str]], message: str
) -> None:
    part = columns(datasets, 2, names)
    with pytest.raises(ValueError, match=message):
        hub.read(save(tmp_path / "set", train=part, test=part), cache=tmp_path)


def test_a_broken_image_is_named(datasets: Any, tmp_path: Path) -> None:
    sound = columns(datasets, 2, {"label": FINE})
    content = {"img": [{"bytes": b"junk", "path": None}, None], "label": [0, 1]}
    broken = datasets.Dataset.from_dict(content, features=sound.features)
    with pytest.raises(ValueError, match="test, image 1: cannot be read"):
        hub.read(save(tmp_path / "set", train=sound, test=broken.select([0])), cache=tmp_path)
    with pytest.raises(ValueError, match="test, image 1: is missing"):
        hub.read(save(tmp_path / "other", train=sound, test=broken.select([1])), cache=tmp_path)


def test_a_program_in_a_data_set_is_never_run(datasets: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/set.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match=r"cannot be had from the hub \(.+\)$"):
        hub.read(str(tmp_path / "set"), cache=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_the_revision_is_asked_for_and_the_commit_is_noted(
    datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, asked = "0123456789" * 4, []
    part = columns(datasets, 2, {"label": FINE})
    part.info.download_checksums = {f"hf://datasets/some/set@{commit}/data/train.parquet": None}

    def load_dataset(name: str, **options: Any) -> Any:
        asked.append((name, options.get("revision")))
        return datasets.DatasetDict(train=part, test=part)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(provenance, "_fetched", {})
    assert hub.read("some/set@v2").name == "some/set@v2"
    hub.read("some/set")
    assert asked == [("some/set", "v2"), ("some/set", None)]
    assert provenance.fetched() == [f"hub:some/set@{commit}"]
    with pytest.raises(ValueError, match="is no revision of some/set"):
        hub.read("some/set@../../x")


def test_a_set_cannot_name_files_of_others(datasets: Any, tmp_path: Path) -> None:
    sound = columns(datasets, 2, {"label": FINE})
    pictures(1)[0].save(tmp_path / "private.png")
    (tmp_path / "inside").mkdir()
    content = {"img": [{"bytes": None, "path": str(tmp_path / "private.png")}], "label": [0]}
    other = datasets.Dataset.from_dict(content, features=sound.features)
    with pytest.raises(ValueError, match="test, image 1: names a file outside of the set"):
        hub.read(save(tmp_path / "set", train=sound, test=other), cache=tmp_path / "own")


def stand_in(monkeypatch: pytest.MonkeyPatch, version: str, error: Exception | None = None) -> Any:
    """In the place of the library: one that fails with ``error``."""

    class NotFound(FileNotFoundError):
        pass

    def load_dataset(*_: object, **__: object) -> None:
        raise NotFound("long\ntext") if error is None else error

    library = SimpleNamespace(
        __version__=version, load_dataset=load_dataset, exceptions=SimpleNamespace(DatasetNotFoundError=NotFound)
    )
    monkeypatch.setattr(importlib, "import_module", lambda name: library)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (None, ValueError, "^a/b: there is no such data set on the hub, or it is not public$"),
        (ConnectionError("Couldn't\nreach"), DownloadError, r"^a/b: the hub cannot be reached \(Couldn't reach\)$"),
        (RuntimeError(), ValueError, r"^a/b: cannot be had from the hub \(RuntimeError\)$"),
    ],
)
def test_what_cannot_be_had_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, kind: type[Exception], message: str
) -> None:
    stand_in(monkeypatch, "4.0.0", error)
    with pytest.raises(kind, match=message):
        hub.read("a/b")


def test_a_library_that_would_run_programs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "3.6.0")
    with pytest.raises(hub.HubMissing, match=r"3\.6\.0 would run programs"):
        hub.read("a/b")


def test_a_missing_library_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(hub.HubMissing, match=r'datasets is not installed: pip install "veil\[hub\]"'):
        hub.read("a/b")
