"""CIFAR and STL-10 in their published layouts, made small, and pickles that are more than data."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_sets import (
    LAYOUTS,
    cifar10_binary,
    cifar10_python,
    cifar100_binary,
    class_folders_in,
    dump,
    pixels,
    save,
    stl10,
)
from PIL import Image

from veil.data import restricted_pickle, small_images
from veil.data.labelled_images import TRANSFORMED
from veil.data.layouts import hub
from veil.data.restricted_pickle import PickleRefused


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("inside", [False, True])
def test_published_layouts_give_back_what_was_written(tmp_path: Path, layout: str, inside: bool) -> None:
    images, labels = LAYOUTS[layout](tmp_path)
    found = small_images.read(next(tmp_path.iterdir()) if inside else tmp_path)
    assert found.name == layout.partition("-")[0]
    assert torch.equal(torch.cat([found.train.images, found.test.images]), torch.from_numpy(images))
    assert torch.cat([found.train.labels, found.test.labels]).tolist() == labels
    assert len(found.train) == 10
    assert found.train.classes == found.test.classes
    assert len(found.train.classes) == (100 if "100" in layout else 10)


def run_json(folder: Path, **settings: object) -> None:
    (folder / "run.json").write_text(json.dumps(settings))


def test_class_folders_have_the_side_of_their_images_or_the_wanted_one(tmp_path: Path) -> None:
    class_folders_in(tmp_path)
    assert small_images.read(tmp_path).train.images.shape == (2, 3, 12, 12)
    assert small_images.read(tmp_path, side=8).test.images.shape == (2, 3, 8, 8)
    (tmp_path / "val/c").mkdir()
    with pytest.raises(ValueError, match="different classes"):
        small_images.read(tmp_path)


def test_images_that_differ_in_size_need_a_side(tmp_path: Path) -> None:
    class_folders_in(tmp_path)
    save(tmp_path / "val/b/1.png", 10)
    with pytest.raises(ValueError, match=r"1\.png: 10×10 pixels where 12×12 are expected: say which side"):
        small_images.read(tmp_path)
    assert small_images.read(tmp_path, side=12).test.images.shape == (3, 3, 12, 12)


def test_published_images_are_resized_as_those_of_files_are(tmp_path: Path) -> None:
    stl10(tmp_path)
    found = small_images.read(tmp_path, side=32)
    whole = small_images.read(tmp_path)
    assert small_images.read(tmp_path, side=96).fingerprint == whole.fingerprint
    image = Image.fromarray(whole.test.images[1].permute(1, 2, 0).numpy()).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(found.test.images[1].permute(1, 2, 0).numpy(), np.asarray(image))
    assert found.train.images.is_contiguous()


@pytest.mark.parametrize("places", [["."], ["train", "val"]])
def test_encrypted_images_keep_their_size(tmp_path: Path, places: list[str]) -> None:
    class_folders_in(tmp_path)
    assert small_images.read(tmp_path).cipher is None
    for place in places:
        run_json(tmp_path / place, cipher="tanaka", size=12)
    assert small_images.read(tmp_path).cipher == "tanaka"
    assert small_images.read(tmp_path, side=12).cipher == "tanaka"
    with pytest.raises(ValueError, match=r"\(tanaka\) cannot be resized; `veil encrypt --size 8`"):
        small_images.read(tmp_path, side=8)
    save(tmp_path / "train/b/1.png", 10)
    with pytest.raises(ValueError, match=r"1\.png: 10×10 .*`veil encrypt --size N`"):
        small_images.read(tmp_path)


@pytest.mark.parametrize("places", [["."], ["train", "val"]])
def test_transformed_images_keep_their_size(tmp_path: Path, places: list[str]) -> None:
    class_folders_in(tmp_path)
    for place in places:
        run_json(tmp_path / place, transformation="0123456789abcdef", name="tiny")
    assert small_images.read(tmp_path).cipher == TRANSFORMED
    with pytest.raises(ValueError, match="transformed images cannot be resized; `veil transform apply --size 8`"):
        small_images.read(tmp_path, side=8)


def test_parts_are_protected_in_one_way(tmp_path: Path) -> None:
    class_folders_in(tmp_path)
    run_json(tmp_path / "train", transformation="0123456789abcdef")
    run_json(tmp_path / "val", cipher="tanaka")
    with pytest.raises(ValueError, match="or not both transformed"):
        small_images.read(tmp_path)


def test_what_a_run_says_of_the_cipher_is_not_guessed(tmp_path: Path) -> None:
    class_folders_in(tmp_path)
    run_json(tmp_path, decrypted="tanaka")
    assert small_images.read(tmp_path, side=8).cipher is None
    run_json(tmp_path / "train", cipher="tanaka")
    with pytest.raises(ValueError, match="train and val are not encrypted with the same cipher"):
        small_images.read(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json: cannot be read"):
        small_images.read(tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("below", [".", "deep", "deep/deeper"])
def test_published_sets_are_found_by_name(tmp_path: Path, layout: str, below: str) -> None:
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    LAYOUTS[layout](tmp_path / below)
    name = layout.partition("-")[0]
    archive = next(path for path in (tmp_path / below).iterdir() if path.is_dir() and path.name != "deep")
    roots = [archive] if below == "deep/deeper" else [tmp_path / "absent", tmp_path]
    for called in (name, name.upper(), archive.name):
        assert small_images.find(roots, called).name == name


def test_class_folders_are_found_by_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders_in(tmp_path / "sets/cats")
    class_folders_in(tmp_path / "cifar10")
    cifar100_binary(tmp_path)
    found = small_images.find([tmp_path], "cats", side=8)
    assert (found.name, found.train.images.shape) == ("cats", (2, 3, 8, 8))
    assert small_images.find([tmp_path], "cifar10").train.images.shape == (2, 3, 12, 12)
    monkeypatch.chdir(tmp_path / "cifar10")
    assert small_images.find([Path()], "CIFAR-10").name == "cifar10"


def test_what_is_not_found_is_said_with_what_is_there(tmp_path: Path) -> None:
    class_folders_in(tmp_path / "one/two/three")
    class_folders_in(tmp_path / "one/cats")
    with pytest.raises(FileNotFoundError) as raised:
        small_images.find([tmp_path, tmp_path / "absent"], "three")
    message = str(raised.value)
    places = f"'three' in {tmp_path}, {tmp_path / 'absent'} (there is cats)"
    assert f"{places}: expected train/ and test/ or val/ with one folder per class (class folders), " in message
    assert message.endswith("up to 2 folders below")
    with pytest.raises(FileNotFoundError, match="no folder at all"):
        small_images.find([], "cifar10")


def test_plain_images_are_found_before_encrypted_ones_of_the_same_name(tmp_path: Path) -> None:
    run_json(class_folders_in(tmp_path / "cats"), cipher="pixel")
    assert small_images.find([tmp_path], "cats").cipher == "pixel"
    class_folders_in(tmp_path / "plain/cats")
    assert small_images.find([tmp_path], "cats").cipher is None


def test_a_folder_of_several_sets_is_not_one(tmp_path: Path) -> None:
    cifar10_binary(tmp_path)
    cifar100_binary(tmp_path)
    with pytest.raises(ValueError, match="several sets; name one of cifar-10-batches-bin, cifar-100-binary"):
        small_images.read(tmp_path)


def test_the_fingerprint_is_of_images_and_labels_alone(tmp_path: Path) -> None:
    cifar10_binary(tmp_path)
    parts = small_images.read(tmp_path)
    assert re.fullmatch("[0-9a-f]{16}", parts.fingerprint)
    moved = tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert small_images.read(moved).fingerprint == parts.fingerprint
    assert replace(parts, name="other", cipher="tanaka").fingerprint == parts.fingerprint
    pixel, label = parts.train.images.clone(), parts.test.labels.clone()
    pixel[3, 1, 30, 2] ^= 1
    label[0] += 1
    others = [
        replace(parts, train=replace(parts.train, images=pixel)),
        replace(parts, test=replace(parts.test, labels=label)),
        replace(parts, train=replace(parts.train, images=parts.train.images.view(10, 3, 16, 64))),
        replace(parts, train=parts.test, test=parts.train),
    ]
    assert len({each.fingerprint for each in (parts, *others)}) == 5
    turned = replace(parts.train, images=parts.train.images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
    assert replace(parts, train=turned).fingerprint == parts.fingerprint


def test_a_person_names_a_folder_or_a_set_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar10_binary(tmp_path)
    assert small_images.load(str(tmp_path), 16).train.images.shape == (10, 3, 16, 16)
    known = replace(small_images.read(tmp_path, 8), name="fetched")
    monkeypatch.setattr(hub, "read", lambda name, side: known if (name, side) == ("uoft-cs/cifar10", 8) else None)
    assert small_images.load("hub:uoft-cs/cifar10", 8) is known


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_is_missing_or_cut_off_is_named(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](tmp_path)
    names = {"test_batch", "test_batch.bin", "test", "test.bin", "test_X.bin"}
    file = next(path for path in sorted(tmp_path.rglob("*")) if path.name in names)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=file.name):
        small_images.read(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"{file.name} is missing"):
        small_images.read(tmp_path)


def test_what_is_none_of_the_layouts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batches\.meta or meta with the batches \(CIFAR-10 and CIFAR-100, Python"):
        small_images.read(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        small_images.read(tmp_path / "nowhere")
    (tmp_path / "train").mkdir()
    with pytest.raises(FileNotFoundError, match="test/ or val/"):
        small_images.read(tmp_path)


class Calls:
    """Pickled, it asks to call something."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "content",
    [
        Calls(print, "run"),
        Calls(eval, "1"),
        Calls(np.fromfile, "x"),
        {b"data": [Calls(Path, "x")]},
        Calls(np.ndarray, (10**13,)),
    ],
    ids=["print", "eval", "fromfile", "nested", "huge"],
)
def test_a_pickle_that_wants_to_run_something_is_refused(
    tmp_path: Path, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    dump(tmp_path / "batch", content)
    with pytest.raises(PickleRefused, match=r"^batch: "):
        restricted_pickle.load(tmp_path / "batch")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros(3072, np.uint8), "no array of images"),
        ({b"data": [[0] * 3072] * 2, b"labels": [0, 1]}, "no array of images"),
        ({b"data": pixels(1)[0, 0], b"labels": [0]}, "no array of images"),
        ({b"data": pixels(2), b"labels": 3}, "no list of labels"),
        ({b"data": pixels(2), b"labels": [0, 10]}, "no list of labels"),
        ({b"data": pixels(2), b"labels": [0, -1]}, "no list of labels"),
        ({b"data": pixels(2), b"labels": [0, 99999999999999999999]}, "no list of labels"),
        ({b"data": pixels(2), b"labels": [0, [0]]}, "no list of labels"),
        ({b"data": pixels(2), b"labels": [0]}, "labels that do not fit"),
    ],
)
def test_a_batch_is_an_array_of_images_and_a_list_of_labels(tmp_path: Path, content: object, message: str) -> None:
    cifar10_python(tmp_path)
    dump(tmp_path / "cifar-10-batches-py/test_batch", content)
    with pytest.raises(ValueError, match=message):
        small_images.read(tmp_path)


@pytest.mark.parametrize("names", [3, [3], ["text"], [b"long" * 1000], {b"a": 1}])
def test_names_of_classes_are_short_strings(tmp_path: Path, names: object) -> None:
    cifar10_python(tmp_path)
    dump(tmp_path / "cifar-10-batches-py/batches.meta", {b"label_names": names})
    with pytest.raises(ValueError, match="no names of classes"):
        small_images.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x02", b"\x80\x02P1\n."])
def test_what_is_no_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(PickleRefused):
        restricted_pickle.load(tmp_path / "batch")


def test_plain_data_is_read(tmp_path: Path) -> None:
    data = {b"numbers": [1, 2.5, None, True], b"array": np.arange(6, dtype=np.uint8).reshape(2, 3), b"text": "ü"}
    dump(tmp_path / "batch", data)
    found = restricted_pickle.load(tmp_path / "batch")
    assert found[b"numbers"] == data[b"numbers"]
    assert np.array_equal(found[b"array"], data[b"array"])
