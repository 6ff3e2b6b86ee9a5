"""Model cards: what loads, and everything that must not."""

import pickle
import re
from pathlib import Path
from typing import Any

import cards as made
import pytest
import torch
from safetensors.torch import load_file, save_file

from veil.models import cards, catalog, options
from veil.models.cards import CardError
from veil.models.classifier import Preprocessing


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
        ('"small.safetensors"', "3", "weights must be text"),
        ("veil/residual", "veil/residuals", "no architecture"),
        ("veil/residual", "os/system", "no architecture"),
        ("widths = [16]", "widths = [24]", "do not fit"),
        ("widths = [16]", "depth = 3", "does not take the options"),
        ("num_classes = 10", "num_classes = 11", "do not fit"),
        ("crop = 32", "crop = -1", "between 1 and 4096"),
        ("crop = 32", "crops = 32", "unknown field 'crops'"),
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


NOT_ALLOWED = [
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "checkpoint_path", "cache_dir",
    "weights", "weights_backbone", "progress", "features_only", "feature_cls", "out_indices", "scriptable",
    "exportable", "no_jit", "pruned", "kwargs_filter", "cfg", "model_cfg", "norm_layer", "device", "file", "self",
]  # fmt: skip


@pytest.mark.parametrize("option", NOT_ALLOWED)
@pytest.mark.parametrize("architecture", ["timm/test_byobnet", "torchvision/squeezenet1_1", "veil/residual"])
def test_other_options_than_the_listed_are_refused(architecture: str, option: str) -> None:
    for value in (True, 1, "x.pth"):
        with pytest.raises(CardError, match=f"does not take the options '{option}'; a card can set num_classes"):
            cards.build_network(architecture, {"num_classes": 3, option: value})


@pytest.mark.parametrize(
    ("architecture", "option", "value"),
    [
        ("timm/test_byobnet", "num_classes", 0),
        ("timm/test_byobnet", "num_classes", 10**9),
        ("timm/test_byobnet", "num_classes", True),
        ("timm/test_byobnet", "num_classes", 3.0),
        ("timm/test_byobnet", "num_classes", "3"),
        ("timm/test_byobnet", "num_classes", [3]),
        ("timm/test_byobnet", "drop_rate", float("nan")),
        ("timm/test_byobnet", "drop_rate", 1.5),
        ("timm/test_byobnet", "act_layer", "torch.nn.ReLU"),
        ("timm/test_byobnet", "act_layer", "/etc/passwd"),
        ("timm/test_byobnet", "pad_type", "https://example.org/x"),
        ("timm/test_byobnet", "global_pool", {"a": 1}),
        ("torchvision/inception_v3", "aux_logits", 1),
        ("torchvision/squeezenet1_1", "dropout", "0.5"),
        ("veil/residual", "stem", -1),
        ("veil/residual", "stem", True),
        ("veil/residual", "stem", 10**9),
        ("veil/residual", "depths", [1] * 17),
        ("veil/residual", "depths", [[1]]),
        ("veil/residual", "depths", {"a": 1}),
        ("veil/resnet18", "adaptation", "../block"),
        ("veil/resnet18", "adaptation", "file:block"),
        ("veil/resnet18", "adaptation", "block\n"),
        ("veil/resnet18", "adaptation", "nothing"),
    ],
)
def test_other_values_than_the_harmless_are_refused(architecture: str, option: str, value: Any) -> None:
    with pytest.raises(CardError, match=f"{architecture} does not take the options "):
        cards.build_network(architecture, {"num_classes": 3} | {option: value})


def test_options_that_do_not_go_together_are_refused() -> None:
    for option in ({"output_stride": 5}, {"img_size": 64}):
        with pytest.raises(CardError, match="timm/mobilenetv3_small_050 does not take the options"):
            cards.build_network("timm/mobilenetv3_small_050", option)


def test_listed_options_reach_the_architecture() -> None:
    network = cards.build_network("timm/mobilenetv2_035", {"num_classes": 3, "pad_type": "same", "act_layer": "relu"})
    kinds = {type(module).__name__ for module in network.modules()}
    assert {"Conv2dSame", "BatchNormAct2d"} <= kinds
    assert "ReLU" in kinds
    assert "ReLU6" not in kinds
    assert network.num_classes == 3
    network = cards.build_network("torchvision/squeezenet1_1", {"num_classes": 3, "dropout": 0.25})
    assert [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)] == [0.25]
    assert cards.build_network("timm/test_byobnet", {"num_classes": 3}).num_classes == 3


def test_every_option_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    for library, allowed in options.ZOO.items():
        (listed,) = re.findall(rf"of `{library}/…`: ([^;]*);", text)
        assert re.findall("`([a-z_]+)`", listed) == list(allowed)


@pytest.mark.parametrize(
    "name", ["a/small.txt", "a\\\\small.txt", "./small.txt", "..", ".", "", "\\u0000.txt", "small\\u001b.txt",
             "sm\\u202eall.txt", "ü" * 150 + ".txt", "loop.txt", "{0}/small.txt"],
)  # fmt: skip
def test_labels_have_a_plain_name_beside_the_card(card: Path, name: str) -> None:
    (card.parent / "a").mkdir()
    (card.parent / "a/small.txt").write_text("")
    (card.parent / "loop.txt").symlink_to("loop.txt")
    edit(card, '"small.txt"', f'"{name.format(card.parent)}"')
    with pytest.raises(CardError, match=r"beside the card|is missing"):
        cards.read(card)


@pytest.mark.parametrize("suffix", [".safetensors", ".txt"])
def test_a_link_out_of_the_folder_is_refused_and_one_within_is_not(card: Path, tmp_path: Path, suffix: str) -> None:
    file = card.with_suffix(suffix)
    (tmp_path / "blobs").mkdir()
    file.rename(tmp_path / "blobs/0123")
    file.symlink_to("blobs/0123")
    assert cards.load(card).classes[3] == "thing 3"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    card.rename(elsewhere / card.name)
    for name in {"small.safetensors", "small.txt"}:
        (elsewhere / name).symlink_to(tmp_path / name)
    with pytest.raises(CardError, match="by a link: it must lie beside the card"):
        cards.load(elsewhere / card.name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# x\n" * (1 << 18) + "#", "more than the 1,048,576"),
        (".".join("a" * 100_000) + " = 1", "a line of more than 2,000 bytes"),
        ("x = [\n" + "[\n" * 100_000, "brackets within brackets"),
        ("x = " + "9" * 1999, "a line of more"),
        ("x = " + "9" * 1000, "is missing|unknown field"),
    ],
)
def test_a_card_that_takes_long_to_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(CardError, match=message):
        cards.read(tmp_path / "x.toml")


def test_labels_that_are_too_large_are_refused(card: Path) -> None:
    with card.with_suffix(".txt").open("r+b") as file:
        file.truncate(cards.MOST_LABEL_BYTES + 1)
    with pytest.raises(CardError, match=r"small.txt has 16,777,217 bytes, more than the 16,777,216"):
        cards.load(card)


def test_a_card_that_was_written_can_be_read(tmp_path: Path) -> None:
    """Names of classes may come from names of folders."""
    cards.write(
        tmp_path / "mine.toml", made.network(), name="mine\x1b", architecture="veil/residual",
        options={"num_classes": 10, "stem": 8, "widths": [16], "depths": [1]},
        classes=[f"thing\n{k}\x1b[2J" for k in range(10)], input_fields={"resize": [32, 32]},
        accuracy={"top1": 10, "on": "nothing"}, training={"fetched": ["hub:a/b@0123"], "note": None},
    )  # fmt: skip
    classifier = cards.load(tmp_path / "mine.toml")
    assert classifier.classes[3] == "thing 3_[2J"
    assert classifier.name == r"mine\x1b"


def test_normalisation_has_sides_of_the_right_kind() -> None:
    for wrong in (2.5, True, "3", (3, None), (3, 3, 3), (3.0, 3)):
        with pytest.raises(ValueError, match="whole number"):
            Preprocessing(resize=wrong, crop=3)  # type: ignore[arg-type]
    for wrong in (float("nan"), float("inf"), 1e7, "0", True):
        with pytest.raises(ValueError, match="must be numbers up to 1,000,000"):
            Preprocessing(resize=3, crop=3, mean=(wrong, 0, 0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="std must be positive, at least 1e-06"):
        Preprocessing(resize=3, crop=3, std=(1e-9, 1, 1))
