"""`veil transform` as a user meets it: exit states, rows, cards, bad input, and being killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import full_disk, rows_of, said, same, veil
from PIL import Image
from safetensors.torch import save_file
from transformations import tiny

from veil import images
from veil.cli.transform import FAILED
from veil.jobs import image_batches
from veil.protections.transformation.file import Transformation

Captured = pytest.CaptureFixture[str]
MANY = 140
"""Images of which a job is killed: a few batches."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("transformation") / "tiny.safetensors"
    tiny(file)
    return file


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return write(tmp_path / "in", 6)


def write(folder: Path, count: int) -> Path:
    """Small images of different sizes, every other one in a sub-folder."""
    (folder / "sub").mkdir(parents=True)
    for number in range(count):
        image = Image.effect_noise((5 + number % 3, 7), 50).convert("RGB")
        image.save(folder / (f"sub/{number:03}.png" if number % 2 else f"{number:03}.png"))
    return folder


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_files_hold_what_the_network_makes(
    inputs: Path, tmp_path: Path, network: Path, format: str, capsys: Captured
) -> None:
    out = tmp_path / "out"
    assert veil("transform", "apply", inputs, "-o", out, "--with", network, "--format", format, "--json") == 0
    transformation = Transformation.load(network)
    assert json.loads(capsys.readouterr().out) == {
        "images": 6, "transformed": 6, "failed": 0, "transformation": transformation.fingerprint, "out": str(out),
    }  # fmt: skip
    for row in rows_of(out):
        before = images.load(inputs / row["file"]).pixels
        assert row["out"].endswith(images.FORMATS[format].suffix)
        assert images.load(out / row["out"]).pixels.equal(transformation(before[None])[0])


def test_what_is_done_is_said_and_not_done_again(inputs: Path, tmp_path: Path, network: Path, capsys: Captured) -> None:
    out = tmp_path / "out"
    assert veil("transform", "apply", inputs, "-o", out, "--with", network, "--size", 8) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"6 images: 6 transformed, 0 failed; tiny ({Transformation.load(network).fingerprint})" in shown
    first = same(out)
    assert veil("transform", "apply", inputs, "-o", out, "--with", network, "--size", 8) == 0
    assert "6 of 6 images are done already" in said(capsys)
    assert same(out) == first
    assert {images.load(file).pixels.shape for file in out.rglob("*.png")} == {(3, 8, 8)}


def test_another_transformation_into_the_same_folder_is_refused(
    inputs: Path, tmp_path: Path, network: Path, capsys: Captured
) -> None:
    veil("transform", "apply", inputs, "-o", tmp_path / "out", "--with", network)
    tiny(tmp_path / "other.safetensors", seed=1)
    capsys.readouterr()
    assert veil("transform", "apply", inputs, "-o", tmp_path / "out", "--with", tmp_path / "other.safetensors") == 2
    assert "other settings: transformation " in said(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "jpeg"], "JPEG changes pixels: networks learn other images"),
        (["--format", "gif"], "there is no format 'gif'; take png, webp, tiff"),
        (["--size", "0"], "--size"),
        (["--size", "4000"], "out of range"),
        (["--device", "tpu"], "no device"),
    ],
)
def test_wrong_usage_is_status_2_and_says_why(
    inputs: Path, tmp_path: Path, network: Path, options: list[str], message: str, capsys: Captured
) -> None:
    assert veil("transform", "apply", inputs, "-o", tmp_path / "out", "--with", network, *options) == 2
    assert message in said(capsys)
    assert not (tmp_path / "out").exists()


def spoiled(folder: Path, network: Path) -> dict[str, Path]:
    """Files that are no transformations."""
    content = network.read_bytes()
    made = {"missing": folder / "nowhere.safetensors", "folder": folder / "folder"}
    made["folder"].mkdir()
    for name, data in (("cut", content[:-100]), ("text", b"hello"), ("empty", b"")):
        made[name] = folder / f"{name}.safetensors"
        made[name].write_bytes(data)
    made["changed"] = folder / "changed.safetensors"
    made["changed"].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    made["foreign"] = folder / "foreign.safetensors"
    save_file({"weight": images.to_float(images.load(next(folder.rglob("*.png"))).pixels)}, made["foreign"])
    return made


@pytest.mark.parametrize("name", ["missing", "folder", "cut", "text", "empty", "changed", "foreign"])
def test_a_file_that_is_no_transformation_is_one_line(
    inputs: Path, tmp_path: Path, network: Path, name: str, capsys: Captured
) -> None:
    file = spoiled(tmp_path, network)[name]
    for command in (
        ["transform", "apply", inputs, "-o", tmp_path / "out", "--with", file],
        ["transform", "show", file],
        ["train", "--data", inputs, "-o", tmp_path / "out", "--transform", file],
    ):
        assert veil(*command) == 2
        error = capsys.readouterr().err
        assert error.startswith("veil: ")
        assert error.count("\n") == 1
        assert file.name in error
    assert not (tmp_path / "out").exists()


def test_bad_files_do_not_stop_the_others(inputs: Path, tmp_path: Path, network: Path, capsys: Captured) -> None:
    (inputs / "000bad.jpg").write_text("not an image")
    Image.new("RGB", (101, 100)).save(inputs / "large.png")
    command = ["transform", "apply", inputs, "-o", tmp_path / "out", "--with", network]
    assert veil(*command, "--max-megapixels", 0.01) == FAILED
    assert "failed 000bad.jpg: not a photo" in (told := said(capsys))
    assert "failed large.png: 101 × 100 pixels are more than the limit" in told
    assert {row["file"] for row in rows_of(tmp_path / "out") if row["error"]} == {"000bad.jpg", "large.png"}
    (inputs / "000bad.jpg").unlink()
    assert veil(*command) == 0


def test_a_full_disk_is_one_line_per_image(
    inputs: Path, tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk(monkeypatch)
    out = tmp_path / "out"
    assert veil("transform", "apply", inputs, "-o", out, "--with", network) == FAILED
    assert all(row["error"] == "the file cannot be written (No space left on device)" for row in rows_of(out))
    assert not list(out.rglob("*.part"))
    monkeypatch.undo()
    assert veil("transform", "apply", inputs, "-o", out, "--with", network) == 0


def test_ctrl_c_says_how_to_go_on(
    inputs: Path, tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(image_batches, "_changed", interrupted)
    assert veil("transform", "apply", inputs, "-o", tmp_path / "out", "--with", network) == 130
    assert "the same command goes on" in said(capsys)


def test_a_card_is_shown(network: Path, capsys: Captured) -> None:
    transformation = Transformation.load(network)
    assert veil("transform", "show", network, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "name": "tiny", "method": "unet", "network": transformation.network.options,
        "parameters": sum(value.numel() for value in transformation.network.parameters()),
        "fingerprint": transformation.fingerprint, "training": {"epochs": 2}, "measured": {},
    }  # fmt: skip
    assert veil("transform", "show", network) == 0
    text = capsys.readouterr().out
    assert f"parameters   {shown['parameters']:,}\n" in text
    assert "training\n  epochs: 2\nmeasured     nothing said\n" in text


def test_the_packaged_one_is_the_default(inputs: Path, tmp_path: Path, capsys: Captured) -> None:
    assert veil("transform", "apply", inputs, "-o", tmp_path / "out", "--json") == 0
    applied = json.loads(capsys.readouterr().out)
    assert veil("transform", "show", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["fingerprint"] == applied["transformation"]
    assert shown["name"] == "transformation-cifar10"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, network: Path) -> Path:
    """A folder with images in ``in``, and these transformed in ``whole``."""
    folder = tmp_path_factory.mktemp("many")
    write(folder / "in", MANY)
    veil("transform", "apply", folder / "in", "-o", folder / "whole", "--with", network)
    return folder


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_killed_half_way_it_ends_the_same(
    many: Path, tmp_path: Path, network: Path, signal_number: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = ["transform", "apply", str(many / "in"), "-o", str(out), "--with", str(network)]
    process = subprocess.Popen(
        [sys.executable, "-m", "veil", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and sum(1 for _ in out.rglob("*.png")) < MANY // 8:
        time.sleep(0.01)
    process.send_signal(signal_number)
    process.wait()
    assert process.returncode == (130 if signal_number == signal.SIGINT else -signal.SIGKILL)
    done = rows_of(out)
    assert len(done) < MANY
    assert done or signal_number == signal.SIGKILL  # Ctrl-C leaves the time to write rows that wait
    assert all((out / row["out"]).is_file() for row in done)
    veil(*command)
    assert same(out) == same(many / "whole")


# veil transform train


def test_train_makes_a_file_that_applies(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "made"
    assert veil("transform", "train", "-o", out, "--scale", "smoke", "--epochs", "1", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 <= result["accuracy"] <= 1
    assert result["visible"] < 1
    found = Transformation.load(out / "transformation.safetensors")
    assert (found.name, found.method, found.fingerprint) == ("made", "unet", result["fingerprint"])
    assert found.measured["visible"] == pytest.approx(result["visible"], abs=1e-4)
    plain = write(tmp_path / "in", 2)
    assert veil("transform", "apply", plain, "-o", tmp_path / "out", "--with", out / "transformation.safetensors") == 0
    capsys.readouterr()
    assert veil("transform", "train", "-o", out, "--scale", "smoke", "--epochs", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == found.fingerprint


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "give --data"),
        (("--data", "nowhere"), "give --classifier"),
        (("--data", "nowhere", "--classifier", "none.toml"), "there is no folder nowhere"),
        (("--scale", "smoke", "--width", "12"), "multiple of 8"),
        (("--scale", "smoke", "--epsilon", "300"), "epsilon"),
        (("--scale", "smoke", "--learning-rate", "0"), "learning_rate"),
    ],
)
def test_train_refuses_what_cannot_be(
    arguments: tuple[str, ...], reason: str, tmp_path: Path, capsys: Captured
) -> None:
    assert veil("transform", "train", "-o", tmp_path / "out", *arguments) == 2
    assert reason in said(capsys)
