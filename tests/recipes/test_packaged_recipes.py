"""The recipes of the packaged classifiers, run whole on made data: they train, resume, and write their files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from idx_files import idx
from PIL import Image
from safetensors.torch import load_file

from veil.data.labelled_images import LabelledImages
from veil.models.mnist_cnn import MnistCnn
from veil.models.residual import ResidualNet
from veil.recipes.packaged import mnist_cnn, things100
from veil.recipes.packaged.classifier_training import calibrate
from veil.training.classification import accuracy


def coloured(folder: Path, count: int) -> None:
    """Three classes of noisy, coloured squares."""
    random = np.random.default_rng(0)
    for index, name in enumerate(("n01", "n02", "n03")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            square = random.integers(0, 80, (64, 64, 3), dtype=np.uint8)
            square[..., index] += 150
            Image.fromarray(square).save(folder / name / f"{number:02}.png")


def test_things100_smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    coloured(tmp_path / "data/train", 12)
    coloured(tmp_path / "data/val", 4)
    (tmp_path / "data/words.txt").write_text("n01\tred, scarlet\nn02\tgreen\nn03\tblue\n")
    arguments = [
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "out"),
        "--scale",
        "smoke",
        "--device",
        "cpu",
    ]
    monkeypatch.setattr(sys, "argv", ["things100", *arguments])
    things100.main()
    first = json.loads(capsys.readouterr().out)
    assert 0 <= first["top1"] <= first["top5"] <= 1
    log = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < log[0]["loss"]
    assert (tmp_path / "out/things100.labels.txt").read_text() == "red\ngreen\nblue\n"
    network = ResidualNet(3, widths=(8, 16), depths=(1, 1))
    network.load_state_dict(load_file(tmp_path / "out/things100.safetensors"))
    things100.main()  # a second run only judges again
    assert json.loads(capsys.readouterr().out) == first


def test_mnist_cnn_learns(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (640,), generator=random)
    images = torch.randint(0, 60, (640, 1, 28, 28), dtype=torch.uint8, generator=random)
    for label in range(3):
        images[labels == label, :, 8 * label : 8 * label + 8] += 180
    data = LabelledImages(images, labels, tuple("0123456789"))
    network = mnist_cnn.train(data, mnist_cnn.Settings(steps=30, learning_rate=1e-3), tmp_path, seed=0)
    assert isinstance(network, MnistCnn)
    assert accuracy(network, data, mnist_cnn.PLAIN, 0)["top1"] > 0.9


def test_mnist_cnn_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 5_200), ("t10k", 60)):
        idx(tmp_path / f"{part}-images-idx3-ubyte.gz", random.integers(0, 256, (count, 28, 28)))
        idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", random.integers(0, 10, count))
    monkeypatch.setattr(mnist_cnn, "Settings", lambda: mnist_cnn_settings)
    monkeypatch.setattr(sys, "argv", ["mnist_cnn", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    mnist_cnn.main()
    assert set(json.loads(capsys.readouterr().out)) == {"seed", "validation", "test"}
    assert (tmp_path / "out/mnist-cnn.safetensors").stat().st_size < 1_000_000


mnist_cnn_settings = mnist_cnn.Settings(steps=4)


def test_calibration_finds_the_factor_that_was_taken_out() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4000, 1, 2, 2), dtype=torch.uint8)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    head = network[1]
    with torch.no_grad():
        head.weight.mul_(4)
        labels = torch.distributions.Categorical(logits=network(images.float() / 255)).sample()
        head.weight.div_(2)
        head.bias.div_(2)
    data = LabelledImages(images, labels, ("a", "b", "c"))
    assert calibrate(network, head, data, mnist_cnn.PLAIN) == pytest.approx(2, abs=0.3)
    assert calibrate(network, head, data, mnist_cnn.PLAIN) == 1
