"""Checkpoints that somebody changed are refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from veil.training.checkpoints import STATE, TENSORS, Trained, load, save

SETTINGS = {"seed": 0, "rate": "0.1"}


def trained() -> Trained:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return Trained({"network": network}, {"network": optimizer})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(trained(), tmp_path / "checkpoint", SETTINGS, [{"epoch": 0, "loss": 1.0}])
    return tmp_path / "checkpoint"


def test_what_is_saved_is_loaded(folder: Path) -> None:
    again = trained()
    for parameter in again.modules["network"].parameters():
        torch.nn.init.zeros_(parameter)
    assert load(again, folder, SETTINGS) == [{"epoch": 0, "loss": 1.0}]
    expected = trained().modules["network"].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.modules["network"].state_dict().items())


def changed(field: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        state = json.loads((folder / STATE).read_text())
        (folder / STATE).write_text(json.dumps(state | {field: value}))

    return change


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda folder: (folder / STATE).write_text("{"),
    "no text": lambda folder: (folder / STATE).write_bytes(b"\xff"),
    "deep JSON": lambda folder: (folder / STATE).write_text("[" * 100_000),
    "a list": lambda folder: (folder / STATE).write_text("[]"),
    "no settings": changed("fingerprint", None),
    "no log": changed("log", 3),
    "no optimizers": changed("optimizers", {}),
    "odd optimizers": changed("optimizers", {"network": {"param_groups": [1], "values": {"a": 1}}}),
    "no tensors": lambda folder: (folder / TENSORS).unlink(),
    "no safetensors": lambda folder: (folder / TENSORS).write_bytes(b"\xff" * 20),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_one_line(folder: Path, damage: Callable[[Path], object]) -> None:
    damage(folder)
    with pytest.raises(ValueError, match=r"^\S*checkpoint is damaged \(.*\); remove it to start again$") as refused:
        load(trained(), folder, SETTINGS)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_other_settings_are_named_old_before_new(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"other settings: rate 0\.1 → 0\.2\. Choose another folder"):
        load(trained(), folder, SETTINGS | {"rate": "0.2"})
    many = {f"setting{number}": "x" * 1000 for number in range(1000)}
    with pytest.raises(ValueError, match=r"other settings: .*…\. Choose another folder") as refused:
        load(trained(), folder, many)
    assert len(str(refused.value)) < 1500
