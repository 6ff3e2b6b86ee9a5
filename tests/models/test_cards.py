"""Model cards: what loads, and everything that must not."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import cards as made
from veil.models import cards, catalog
from veil.models.cards import CardError


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return made.write(tmp_path)


def test_a_card_loads(card: Path) -> None:
    classifier = catalog.load(str(card))
    assert classifier.name == "small"
    assert classifier.classes[3] == "thing 3"
    images = torch.rand(2, 3, 50, 40)
    expected = made.network()(classifier.preprocessing(images))
    torch.testing.assert_close(classifier(images), expected)


def test_float16_weights_become_float32(card: Path) -> None:
    weights = card.with_suffix(".safetensors")
    save_file({k: v.half() if v.is_floating_point() else v for k, v in load_file(weights).items()}, weights)
    classifier = catalog.load(str(card))
    assert all(p.dtype == torch.float32 for p in classifier.parameters())


def edit(card: Path, old: str, new: str) -> None:
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))


class Malicious:
    """Unpickled, it would leave a trace."""

    def __reduce__(self) -> tuple:
        return (open, ("executed", "w"))


def test_a_pickle_is_never_loaded(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("small.pt", "small.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(Malicious()))
        edit(card, 'weights = "small.safetensors"', f'weights = "{name}"')
        with pytest.raises(CardError, match="must be one of"):
            catalog.load(str(card))
        edit(card, f'weights = "{name}"', 'weights = "small.safetensors"')
    card.with_suffix(".safetensors").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CardError, match="not a safetensors file"):
        catalog.load(str(card))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "small"\n', "", "'name' is missing"),
        ('name = "small"', 'name = "small"\ncolour = 3', "unknown field 'colour'"),
        ('"small.txt"', '"absent.txt"', "is missing"),
        ('"small.safetensors"', '"../small.safetensors"', "beside the card"),
        ('"small.safetensors"', "3", "expected a file name"),
        ("veil/residual", "veil/residuals", "no architecture"),
        ("veil/residual", "os/system", "no architecture"),
        ("widths = [16]", "widths = [24]", "do not fit"),
        ("widths = [16]", "depth = 3", "does not take the options"),
        ("num_classes = 10", "num_classes = 11", "do not fit"),
        ("crop = 32", "crop = -1", "between 1 and 4096"),
        ("crop = 32", "crops = 32", "unexpected keyword"),
        ("[options]", "[options", "not a readable model card"),
    ],
)
def test_a_wrong_card_says_what_is_wrong(card: Path, old: str, new: str, message: str) -> None:
    edit(card, old, new)
    with pytest.raises(CardError, match=message):
        catalog.load(str(card))


def test_labels_must_be_as_many_as_outputs(card: Path) -> None:
    card.with_suffix(".txt").write_text("one\ntwo\n")
    with pytest.raises(CardError, match="10,\\) outputs for 2 labels"):
        catalog.load(str(card))


def test_weights_must_be_finite(card: Path) -> None:
    weights = card.with_suffix(".safetensors")
    state = load_file(weights)
    state["head.weight"][0, 0] = float("nan")
    save_file(state, weights)
    with pytest.raises(CardError, match="not finite"):
        catalog.load(str(card))


def test_truncated_weights_are_refused(card: Path) -> None:
    weights = card.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CardError, match="not a safetensors file"):
        catalog.load(str(card))


def test_a_binary_card_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CardError, match="not a readable model card"):
        cards.read(tmp_path / "x.toml")
