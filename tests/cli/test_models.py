"""`veil models` and `veil inspect`."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import cards
import pytest
import torch
from commands import said, veil
from PIL import Image

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
    monkeypatch.setattr("veil.images.load", lambda path, limits: images.Photo(torch.zeros(3, 8, 8, dtype=torch.uint8)))
    assert veil("inspect", "nothing.png", "-m", "timm/resnet18") == 2
    assert "veil[zoo]" in capsys.readouterr().err


class Leaves:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def zoo_card(folder: Path, architecture: str, *options: str) -> Path:
    """A card of the zoo's; what its weights are is never asked."""
    text = cards.CARD.replace("veil/residual", architecture).partition("[options]")[0]
    text += "\n".join(["[options]", *options, "[input]", "resize = [64, 64]", "mean = [0.5]", "std = [0.5]"])
    return cards.write(folder, card=text)


def test_a_card_cannot_have_a_checkpoint_unpickled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm before 1.0.26 unpickles checkpoints, as the patched `torch.load` does."""
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: load(*args, **options | {"weights_only": False}))
    evil, mark = tmp_path / "evil.pth", tmp_path / "mark"
    evil.write_bytes(pickle.dumps(Leaves(mark), protocol=2))
    card = zoo_card(tmp_path, "timm/test_byobnet", f'checkpoint_path = "{evil}"')
    Image.new("L", (50, 40), 90).save(tmp_path / "a.png")
    status = veil("inspect", tmp_path / "a.png", "-m", card)
    assert not mark.exists()
    assert status == 2
    assert "timm/test_byobnet does not take the options 'checkpoint_path'; a card can set num_classes" in said(capsys)


@pytest.mark.parametrize(
    "source", ["local-dir:{0}", "local-dir:{0}/", "hf-hub:a/b", "HF_HUB:a/b", "./{0}", "test_byobnet.a"]
)
def test_a_card_cannot_name_another_source_of_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    timm = zoo._library("timm")
    monkeypatch.setattr(timm, "create_model", lambda *args, **options: pytest.fail("timm was asked"))
    (tmp_path / "config.json").write_text('{"architecture": "test_byobnet", "model_args": {"num_classes": 10}}')
    card = zoo_card(tmp_path, "timm/" + source.format(tmp_path))
    Image.new("L", (50, 40), 90).save(tmp_path / "a.png")
    assert veil("inspect", tmp_path / "a.png", "-m", card) == 2
    assert "there is no architecture 'timm/" in said(capsys)


def test_a_card_cannot_link_to_files_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, secret = tmp_path / "card", tmp_path / "secret.txt"
    folder.mkdir()
    card = cards.write(folder)
    Image.new("L", (50, 40), 90).save(tmp_path / "a.png")
    labels = card.with_suffix(".txt").rename(folder / "of.txt")
    card.with_suffix(".txt").symlink_to(labels.name)
    assert veil("inspect", tmp_path / "a.png", "-m", card) == 0
    assert "thing" in capsys.readouterr().out
    secret.write_text("".join(f"secret {k}\n" for k in range(10)))
    for target in (secret, "../secret.txt", "../card/../secret.txt"):
        card.with_suffix(".txt").unlink()
        card.with_suffix(".txt").symlink_to(target)
        assert veil("inspect", tmp_path / "a.png", "-m", card) == 2
        captured = capsys.readouterr()
        said_of = " ".join(captured.err.split())
        assert "'small.txt' leads out of its folder, by a link: it must lie beside the card" in said_of
        assert "secret" not in captured.out
