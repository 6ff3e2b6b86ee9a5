"""Architectures and adaptations: every row, a stranger's, and what cards cannot ask for."""

from pathlib import Path

import pytest
import torch
from contracts import check_architecture, check_name_and_title
from plugins import plug
from repository import REPOSITORY
from torch import Tensor, nn

from veil import load_classifier
from veil.models import cards
from veil.models.architectures import ADAPTATIONS, ARCHITECTURES, Architecture
from veil.models.cards import CardError
from veil.models.options import Option, row_of, whole, wholes
from veil.runtime.tables import UnknownName

NETWORK = """
from torch import nn
from veil.models.architectures import Architecture
from veil.models.options import whole

class Linear(nn.Sequential):
    def __init__(self, num_classes, width=4):
        super().__init__(nn.Conv2d(3, width, 5, 4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes))
        self(__import__("torch").zeros(1, 3, 32, 32))

ROW = Architecture(name="linear", title="one convolution", network="my_net:Linear", side=32,
                   options={"num_classes": whole(100), "width": whole(8)})
"""


@pytest.fixture
def my_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's module in the current folder."""
    (tmp_path / "my_net.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture(name: str, tmp_path: Path) -> None:
    check_architecture(ARCHITECTURES[name], tmp_path)


@pytest.mark.parametrize("name", ADAPTATIONS)
def test_every_adaptation(name: str) -> None:
    check_name_and_title(ADAPTATIONS[name])
    network = ADAPTATIONS[name].create().eval()
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, network.outputs, 8, 8)


def test_a_strangers_architecture(my_net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ARCHITECTURES.resolve("my_net:ROW")
    check_architecture(row, tmp_path)
    plug(monkeypatch, ARCHITECTURES, linear="my_net:ROW")
    check_architecture(ARCHITECTURES["linear"], tmp_path)


def test_a_class_is_an_architecture_where_it_is_typed(my_net: Path) -> None:
    row = ARCHITECTURES.resolve("my_net:Linear")
    assert (row.name, list(row.options)) == ("my_net:Linear", ["num_classes"])
    assert row.build({"num_classes": 7})(torch.rand(1, 3, 32, 32)).shape == (1, 7)
    for typed in ("my_net:nn", "my_net:whole"):
        with pytest.raises(UnknownName, match=f"{typed} is no architecture"):
            ARCHITECTURES.resolve(typed)


def test_a_card_cannot_have_a_module_imported(my_net: Path, tmp_path: Path) -> None:
    (my_net / "trap.py").write_text("import pathlib; pathlib.Path('sprung').touch()")
    for name in ("veil/trap:ROW", "trap:ROW", "veil/trap"):
        with pytest.raises(CardError, match="there is no architecture"):
            cards.build_network(name, {"num_classes": 2})
    assert not (tmp_path / "sprung").exists()


def test_a_card_of_a_strangers_network_loads_by_its_row(my_net: Path, tmp_path: Path) -> None:
    network = ARCHITECTURES.resolve("my_net:ROW").build({"num_classes": 2})
    card = tmp_path / "card.toml"
    cards.write(
        card, network, name="mine", architecture="veil/linear", options={"num_classes": 2}, classes=["a", "b"],
        input_fields={"resize": [32, 32]}, accuracy={}, training={},
    )  # fmt: skip
    with pytest.raises(CardError, match="'veil/linear': neither Veil's own, nor one that an installed package adds"):
        load_classifier(str(card))
    assert load_classifier(str(card), architecture="my_net:ROW").classes == ("a", "b")
    with pytest.raises(CardError, match="there is no architecture"):
        load_classifier(str(card), architecture="my_net:Linear")


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        (whole(9), [1, 9], [0, 10, 1.0, True, "1", None, [1]]),
        (wholes(9, 2), [[1], [9, 9], (3, 3)], [[], [1, 2, 3], [0], 3, "12", [[1]]]),
        (row_of(ADAPTATIONS), ["block", "pixel-random"], ["", "none", "my_net:ROW", 1, None, ["block"]]),
    ],
)
def test_options_allow_what_they_say(option: Option, good: list[object], bad: list[object]) -> None:
    assert all(map(option.allows, good))
    assert not any(map(option.allows, bad))


def test_an_option_that_is_none_is_left_out() -> None:
    class Network(nn.Module):
        def __init__(self, num_classes: int, width: int = 5) -> None:
            super().__init__()
            self.width = width

        def forward(self, x: Tensor) -> Tensor:
            return x

    row = Architecture(name="x", title="y", network=Network, options={"num_classes": whole(9), "width": whole(9)})
    assert row.build({"num_classes": 2, "width": None}).width == 5


def test_the_documentation_names_architectures_and_their_options() -> None:
    page = (REPOSITORY / "docs/models.md").read_text(encoding="utf-8")
    for row in ARCHITECTURES.values():
        line = next(line for line in page.splitlines() if line.startswith(f"| `veil/{row.name}`"))
        assert row.title in line
        assert all(f"`{option}`" in line for option in row.options)
