"""Files of tensors with a card: what is written is read, and what is wrong is one line."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from torch import nn

import veil
from veil.models import weights
from veil.models.weights import HEADER

CARD = {"kind": "a test 1", "options": {"in_features": 3, "out_features": 2}}


class Refused(ValueError):
    pass


def network(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 2)


def read(file: Path) -> tuple[weights.Card, nn.Linear]:
    with weights.reading(file, "a test", Refused), weights.opened(file) as content:
        card = weights.card_of(content)
        weights.require_fields(card, {"options": dict})
        return card, weights.network_of(content, nn.Linear, card["options"], weights.half)


def test_a_file_gives_card_and_network_back(tmp_path: Path) -> None:
    written = network()
    weights.freeze(written, weights.half)
    weights.write(tmp_path / "a", weights.stored(written, weights.half), CARD)
    card, again = read(tmp_path / "a")
    assert card == CARD
    assert again.weight.dtype == torch.float32
    assert all(value.equal(again.state_dict()[name]) for name, value in written.state_dict().items())
    assert load_file(tmp_path / "a")["weight"].dtype == torch.float16
    weights.write(tmp_path / "b", weights.stored(again, weights.half), dict(reversed(CARD.items())))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["a", "b"]


def test_without_a_card_a_file_has_no_header(tmp_path: Path) -> None:
    tensors = weights.stored(network(), weights.exact)
    weights.write(tmp_path / "a", tensors)
    assert (tmp_path / "a").read_bytes() == save(tensors)
    other = network(1)
    weights.load_into(other, tmp_path / "a")
    assert other.weight.equal(network().weight)


def test_statistics_of_normalisation_stay_whole() -> None:
    stored = weights.stored(nn.BatchNorm2d(2), weights.half_but_statistics)
    types = {name: value.dtype for name, value in stored.items()}
    assert types == {
        "weight": torch.float16, "bias": torch.float16, "running_mean": torch.float32, "running_var": torch.float32,
        "num_batches_tracked": torch.int64,
    }  # fmt: skip


def test_what_float16_cannot_hold_is_not_frozen() -> None:
    large = network()
    large.weight.data[0, 0] = 1e6
    with pytest.raises(Refused, match="too large for float16"):
        weights.freeze(large, weights.half, Refused)


def test_fingerprints_are_of_values_names_and_what_is_said() -> None:
    one = [("a", torch.arange(3.0)), ("b", torch.tensor(2).half())]
    assert weights.fingerprint(one) == weights.fingerprint([(name, value.clone()) for name, value in one])
    others = (one[::-1], [("c", one[0][1]), one[1]], [("a", torch.arange(3.0) + 1), one[1]])
    assert len({weights.fingerprint(one), weights.fingerprint(one, b"x"), *map(weights.fingerprint, others)}) == 5


SOUND = {name: value.half() for name, value in network().state_dict().items()}
REFUSED = {
    "empty": (b"", "not a safetensors file"),
    "no header": (save(SOUND), "header does not say so"),
    "no JSON": (save(SOUND, {HEADER: "{"}), "header is damaged"),
    "a list": (save(SOUND, {HEADER: "[]"}), "header is damaged"),
    "deep": (save(SOUND, {HEADER: "[" * 100_000}), "header is damaged"),
    "a long number": (save(SOUND, {HEADER: '{"kind": ' + "9" * 10_000 + "}"}), "header is damaged"),
    "long": (save(SOUND, {HEADER: json.dumps(CARD) + " " * (1 << 24)}), "header is damaged"),
    "no kind": (save(SOUND, {HEADER: '{"kind": 7}'}), "header does not say so"),
    "no options": (save(SOUND, {HEADER: '{"kind": "a test 1"}'}), "card is damaged"),
    "a large network": (
        save(SOUND, {HEADER: json.dumps(CARD | {"options": {"in_features": 1 << 30, "out_features": 1 << 20}})}),
        "weights do not fit",
    ),
    "another type": (save({n: v.float() for n, v in SOUND.items()}, {HEADER: json.dumps(CARD)}), "weights do not fit"),
    "one missing": (save({"weight": SOUND["weight"]}, {HEADER: json.dumps(CARD)}), "bias missing"),
    "one more": (save(SOUND | {"c": SOUND["bias"].clone()}, {HEADER: json.dumps(CARD)}), "weights do not fit"),
    "strange options": (save(SOUND, {HEADER: json.dumps(CARD | {"options": {"a\n\x1b": 1}})}), "not a test"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_other_files_are_refused_in_one_line(what: str, tmp_path: Path) -> None:
    content, said = REFUSED[what]
    file = tmp_path / "a\nname"
    file.write_bytes(content)
    with pytest.raises(Refused, match=said) as caught:
        read(file)
    assert str(caught.value).startswith(f"{tmp_path}/a\\nname: ")
    assert str(caught.value).isprintable()


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(Refused, match="cannot be read"):
            read(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, "do not fit"),
        ({"weight": torch.zeros(2, 3)}, "do not fit"),
        ({"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)}, "not finite"),
        ({"weight": torch.full((2, 3), 1e300, dtype=torch.float64), "bias": torch.zeros(2)}, "not finite"),
    ],
)
def test_wrong_weights_are_not_loaded(changed: dict[str, torch.Tensor], said: str, tmp_path: Path) -> None:
    save_file(changed, tmp_path / "a")
    with pytest.raises(Refused, match=said), weights.reading(tmp_path / "a", "weights of a test", Refused):
        weights.load_into(network(), tmp_path / "a")


def test_cards_in_headers_are_read_and_written_in_one_place() -> None:
    source = Path(veil.__file__).parent
    texts = {file.relative_to(source).as_posix(): file.read_text(encoding="utf-8") for file in source.rglob("*.py")}
    assert [name for name, text in texts.items() if "safe_open" in text] == ["models/weights.py"]
