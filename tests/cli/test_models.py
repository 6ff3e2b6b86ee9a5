"""`veil models` and `veil inspect`."""

import json
from pathlib import Path

import pytest
import torch
from commands import veil
from PIL import Image

import cards
from veil import images
from veil.models import catalog, zoo


def test_models_lists_packaged_ones_and_cards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = cards.write(tmp_path)
    assert veil("models", tmp_path, "--json") == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(catalog.packaged()) <= set(listed)
    assert listed[str(card)]["classes"] == 10
    assert veil("models") == 0
    assert "mnist-cnn" in capsys.readouterr().out


def test_models_searches_the_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    assert veil("models", "--search", "inception_v3", "--json") == 0
    names = [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    assert {"timm/inception_v3", "torchvision/inception_v3"} <= set(names)


def test_inspect_says_what_a_network_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = cards.write(tmp_path)
    Image.new("L", (50, 40), 90).save(tmp_path / "a.png")
    assert veil("inspect", tmp_path / "a.png", "-m", card, "--top", 3, "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert [each["name"].split()[0] for each in answer["classes"]] == ["thing"] * 3
    assert veil("inspect", tmp_path / "a.png", "-m", card) == 0
    assert "50 × 40 pixels" in capsys.readouterr().out


def test_inspect_of_no_photo_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_text("text")
    assert veil("inspect", tmp_path / "a.png", "-m", "mnist-cnn") == 2
    assert veil("inspect", tmp_path / "a.png", "-m", "nothing") == 2
    assert "veil:" in capsys.readouterr().err


def test_brackets_in_messages_are_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def absent(name: str) -> None:
        raise zoo.ZooMissing('timm is not installed: pip install "veil[zoo]"')

    monkeypatch.setattr(catalog, "load", absent)
    monkeypatch.setattr("veil.images.load", lambda path: images.Photo(torch.zeros(3, 8, 8, dtype=torch.uint8)))
    assert veil("inspect", "nothing.png", "-m", "timm/resnet18") == 2
    assert "veil[zoo]" in capsys.readouterr().err
