"""`veil train` as a user meets it."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import said, veil
from PIL import Image
from safetensors.torch import load_file
from transformations import tiny

from veil.data import small_images, synthetic
from veil.models import catalog
from veil.protections import PROTECTIONS
from veil.protections.ciphers.keys import Key
from veil.protections.transformation.file import Transformation

QUICK = ("--epochs", 2, "--batch-size", 20, "--width", 4, "--device", "cpu", "--precision", "32-true")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 60 training and 20 test images of 16×16."""
    root = tmp_path_factory.mktemp("data") / "shapes"
    parts = synthetic.small_images(train=60, test=20, classes=4, side=16, seed=0)
    for name, part in (("train", parts.train), ("test", parts.test)):
        for number, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
            file = root / name / part.classes[label] / f"{number:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    return root


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "my.key"
    Key.new().save(file)
    return file


def test_the_card_that_it_writes_is_the_network(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my-net"
    assert veil("train", "--data", data, "-o", out, *QUICK, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    classifier = catalog.load(result["card"])
    assert classifier.name == "my-net"
    parts = small_images.read(data)
    assert classifier.classes == parts.test.classes
    right = classifier(parts.test.images.float() / 255).argmax(1).eq(parts.test.labels).float().mean()
    assert float(right) == pytest.approx(result["top1"])
    assert [row["epoch"] for row in result["log"]] == [0, 1]
    assert veil("train", "--data", data, "-o", out, *QUICK, "--json") == 0  # done already
    assert json.loads(capsys.readouterr().out) == result


@pytest.mark.parametrize(
    ("cipher", "options", "adaptation"),
    [("tanaka", ["--key"], "block"), ("pixel", ["--key"], "pixel"), ("pixel", ["--per-image"], "pixel")],
)
def test_encrypting_in_training(
    data: Path, key: Path, tmp_path: Path, cipher: str, options: list[str], adaptation: str
) -> None:
    options = [*options, str(key)] if options == ["--key"] else options
    assert veil("train", "--data", data, "-o", tmp_path, *QUICK, "--cipher", cipher, *options) == 0
    card = (tmp_path / "model.toml").read_text()
    assert f'adaptation = "{adaptation}"' in card
    assert key.read_text().split('"secret"')[1].split('"')[1] not in "".join(
        file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()
    )


def test_a_network_answers_to_what_the_key_encrypts(data: Path, key: Path, tmp_path: Path) -> None:
    """Queries that are encrypted by a cipher with the same key are classified as the test images were."""
    assert veil("train", "--data", data, "-o", tmp_path, *QUICK, "--cipher", "tanaka", "--key", key) == 0
    classifier = catalog.load(str(tmp_path / "model.toml"))
    parts = small_images.read(data)
    encrypted = PROTECTIONS["tanaka"].build(Key.load(key))(parts.test.images)
    right = classifier(encrypted.float() / 255).argmax(1).eq(parts.test.labels).float().mean()
    assert f"top1 = {round(100 * float(right), 2)}" in (tmp_path / "model.toml").read_text()


@pytest.mark.parametrize(("cipher", "adaptation"), [("tanaka", "block"), ("pixel", "pixel")])
def test_a_folder_that_was_encrypted_trains_like_any_other(
    data: Path, key: Path, tmp_path: Path, cipher: str, adaptation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    encrypted, out = tmp_path / "encrypted", tmp_path / "net"
    assert veil("encrypt", data, "-o", encrypted, "--cipher", cipher, "--key", key) == 0
    capsys.readouterr()
    assert veil("train", "--data", encrypted, "-o", out, *QUICK) == 0
    assert "60 training and 20 test images of 16×16, 4 classes, encrypted by" in said(capsys)
    card = (out / "model.toml").read_text()
    assert f'adaptation = "{adaptation}"' in card
    assert "padding = 0\nflip = false" in card  # encrypted images are neither cropped nor mirrored
    assert veil("train", "--data", encrypted, "-o", out / "b", *QUICK, "--cipher", cipher, "--key", key) == 2
    assert "encrypted already" in said(capsys)
    assert veil("train", "--data", encrypted, "-o", out / "b", *QUICK, "--side", 8) == 2
    assert "cannot be resized" in said(capsys)


def cifar10_of(folder: Path, batch: bytes) -> Path:
    """CIFAR-10's folder with that first batch, and no others: it is read first."""
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    (place / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"a", b"b"]}, protocol=2))
    (place / "data_batch_1").write_bytes(batch)
    return place


POINTER = b"cnumpy\nndarray\nK\x01\x85X\x01\x00\x00\x00OC\x08AAAAAAAA\x87R"
"""An array of one object, whose address is the eight letters."""


def test_a_pickle_that_makes_pointers_does_not_end_the_process(tmp_path: Path) -> None:
    """Read by NumPy, the object at that address ends the process by a signal."""
    data = cifar10_of(tmp_path, b"\x80\x03}(C\x04data" + POINTER + b"C\x06labels]K\x00au.")
    command = [sys.executable, "-m", "veil", "train", "--data", str(data), "-o", str(tmp_path / "net")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert " ".join(done.stderr.split()).startswith("veil: data_batch_1: refused: it makes something")
    assert len(done.stderr.splitlines()) <= 2
    assert not (tmp_path / "net").exists()


def test_a_pickle_of_a_pointer_alone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = cifar10_of(tmp_path, b"\x80\x03" + POINTER + b".")
    assert (data / "data_batch_1").stat().st_size == 39
    assert veil("train", "--data", data, "-o", tmp_path / "net", *QUICK) == 2
    assert said(capsys).startswith("veil: data_batch_1: refused: it makes something")


@pytest.fixture(scope="module")
def transformation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("transformation") / "tiny.safetensors"
    tiny(file)
    return file


def test_transforming_in_training(
    data: Path, transformation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network answers to what `veil transform apply` writes, and the run goes on with no other transformation."""
    command = ["train", "--data", data, "-o", tmp_path / "net", *QUICK]
    assert veil(*command, "--transform", transformation) == 0
    assert "4 classes, transformed, cropped and mirrored" in said(capsys)
    card = (tmp_path / "net/model.toml").read_text()
    fingerprint = Transformation.load(transformation).fingerprint
    assert f'cipher = "transformation"\ntransformation = "{fingerprint}"' in card
    assert 'adaptation = "' not in card
    assert veil("transform", "apply", data, "-o", tmp_path / "out", "--with", transformation) == 0
    classifier, parts = catalog.load(str(tmp_path / "net/model.toml")), small_images.read(tmp_path / "out")
    right = classifier(parts.test.images.float() / 255).argmax(1).eq(parts.test.labels).float().mean()
    assert f"top1 = {round(100 * float(right), 2)}" in card
    tiny(tmp_path / "other.safetensors", seed=1)
    assert veil(*command, "--transform", tmp_path / "other.safetensors") == 2
    assert "other settings" in said(capsys)


def test_a_folder_that_was_transformed_trains_like_any_other(
    data: Path, key: Path, transformation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transformed, out = tmp_path / "transformed", tmp_path / "net"
    assert veil("transform", "apply", data, "-o", transformed, "--with", transformation) == 0
    capsys.readouterr()
    command = ["train", "--data", transformed, "-o"]
    assert veil(*command, out, *QUICK) == 0
    assert "60 training and 20 test images of 16×16, 4 classes, transformed, not augmented" in said(capsys)
    card = (out / "model.toml").read_text()
    assert 'cipher = "transformation"' in card
    assert 'adaptation = "' not in card
    assert "padding = 0\nflip = false" in card
    for options, message in (
        (["--transform", transformation], "--transform does not go with"),
        (["--cipher", "tanaka", "--key", key], "transformed already"),
        (["--side", 8], "transformed images cannot be resized; `veil transform apply --size 8`"),
    ):
        assert veil(*command, out / "b", *QUICK, *options) == 2
        assert message in said(capsys)


def test_a_transformation_goes_with_no_cipher(
    data: Path, key: Path, transformation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", data, "-o", tmp_path / "net", *QUICK, "--transform", transformation]
    assert veil(*command, "--cipher", "tanaka", "--key", key) == 2
    assert "--transform does not go with --cipher" in said(capsys)
    assert veil("encrypt", data, "-o", tmp_path / "encrypted", "--cipher", "tanaka", "--key", key) == 0
    command[2] = tmp_path / "encrypted"
    assert veil(*command) == 2
    assert "encrypted already by tanaka" in said(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cipher", "tanaka"], "--key FILE"),
        (["--cipher", "tanaka", "--per-image"], "one key for all images"),
        (["--per-image"], "go with --cipher"),
        (["--batch-size", "20", "--accumulate", "3"], "cannot be divided"),
        (["--learning-rate", "-1"], "learning_rate must be positive"),
        (["--validation", "60"], "left out"),
        (["--data", "nowhere"], "no folder nowhere"),
        (["--device", "tpu"], "no device"),
    ],
)
def test_wrong_usage(
    data: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert veil("train", "--data", data, "-o", tmp_path, *QUICK, *options) == 2
    assert message in said(capsys)
    assert not (tmp_path / "model.toml").exists()


def test_other_settings_are_not_mixed_in(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert veil("train", "--data", data, "-o", tmp_path, *QUICK) == 0
    assert veil("train", "--data", data, "-o", tmp_path, *QUICK, "--seed", 1) == 2
    assert "other settings" in said(capsys)


def command(data: Path, out: Path, *options: object) -> list[str]:
    words = ("-m", "veil", "train", "--data", data, "-o", out, *QUICK, *options)
    return [sys.executable, *map(str, words)]


def environment() -> dict[str, Any]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    assert veil("train", "--data", data, "-o", tmp_path / "whole", *QUICK, "--epochs", 40) == 0
    running = subprocess.Popen(
        command(data, tmp_path / "killed", "--epochs", 40), env=environment(), stderr=subprocess.DEVNULL
    )
    log = tmp_path / "killed" / "log.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.toml").exists()
    assert veil("train", "--data", data, "-o", tmp_path / "killed", *QUICK, "--epochs", 40) == 0
    expected, found = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_two_processes_train_one_network(data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(data, tmp_path, "--devices", 2, "--json"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)  # one of them speaks
    assert len(result["log"]) == 2
    assert catalog.load(result["card"]).classes


NETWORK = """
import torch
from torch import nn

class Tiny(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, num_classes))
"""


def test_a_network_of_ones_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny_net.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    assert veil("train", "--data", data, "-o", "out", *QUICK, "--network", "tiny_net:Tiny") == 0
    assert "no package registers the architecture tiny_net:Tiny" in said(capsys)
    assert 'architecture = "veil/tiny_net:Tiny"' in (tmp_path / "out/model.toml").read_text()
    assert veil("inspect", next(data.rglob("*.png")), "--model", "out/model.toml") == 2
    assert "there is no architecture 'veil/tiny_net:Tiny'" in said(capsys)
    assert len(catalog.load("out/model.toml", "tiny_net:Tiny").classes) == 4


def test_networks_without_options_for_it_take_no_width_and_no_adaptation(data: Path, key: Path, tmp_path: Path) -> None:
    given = ("--network", "residual", "--cipher", "tanaka", "--key", key)
    assert veil("train", "--data", data, "-o", tmp_path, *QUICK, *given) == 0
    card = (tmp_path / "model.toml").read_text()
    assert "width" not in card.partition("[input]")[0]
    assert "adaptation" not in card


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--network", "resnet19"), "there is no architecture 'resnet19'; there are resnet18"),
        (("--network", "mnist-cnn"), "mnist-cnn takes grey images of 28×28 pixels, not RGB images of 16×16"),
        (("--network", "residual", "--adaptation", "block"), "residual takes no adaptation network"),
        (("--adaptation", "fourier"), "there is no adaptation 'fourier'; there are block, pixel, pixel-random"),
        (("--schedule", "slow"), "there is no 'slow'; there are paper, fast"),
        (("--width", "5000"), "width = 5000: width is 1 to 1,024"),
    ],
)
def test_names_that_there_are_not_are_one_line(
    data: Path, tmp_path: Path, given: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert veil("train", "--data", data, "-o", tmp_path / "out", *QUICK, *given) == 2
    assert message in said(capsys)
    assert not list(tmp_path.rglob("*.toml"))
