"""Networks that are too large are refused before they take memory."""

import pytest
import torch
from torch import Tensor, nn

from veil.models import cards, footprint, zoo
from veil.models.architectures import ARCHITECTURES


def test_an_outline_has_shapes_and_no_values() -> None:
    network = footprint.outline(lambda: nn.Linear(1 << 20, 1 << 20))  # four terabytes
    assert network is not None
    assert all(value.is_meta for value in network.state_dict().values())


def test_what_looks_at_values_has_none() -> None:
    def build() -> nn.Module:
        return nn.Linear(int(torch.ones(3).sum()), 2)

    assert footprint.outline(build) is None
    with pytest.raises(RuntimeError, match="other"):
        footprint.outline(lambda: (_ for _ in ()).throw(RuntimeError("other")))


@pytest.mark.parametrize("architecture", [*(f"veil/{name}" for name in ARCHITECTURES.names()), "timm/mobilenetv2_050",
                                          "timm/vit_tiny_patch16_224", "torchvision/squeezenet1_1"])  # fmt: skip
def test_every_architecture_has_an_outline(architecture: str) -> None:
    network = footprint.outline(lambda: cards.build_network(architecture, {"num_classes": 3}))
    assert network is not None
    library, _, name = architecture.partition("/")
    row = ARCHITECTURES[name] if library == "veil" else None
    side = 224 if row is None else row.side or 32
    footprint.require_small(network, (3 if row is None else row.channels, side, side))


class Pairs(nn.Module):
    """Compares every pixel with every other."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return (flat[:, :, None] * flat[:, None]).sum(1)


def test_what_grows_beyond_the_limit_is_refused() -> None:
    footprint.require_small(Pairs(), (1, 64, 64))
    with pytest.raises(ValueError, match="an image of 256×256 would take more than 1,073,741,824 bytes at once"):
        footprint.require_small(Pairs(), (1, 256, 256))
    kept = nn.Module()
    kept.register_buffer("table", torch.empty(1 << 29, device="meta"), persistent=False)
    with pytest.raises(ValueError, match="would keep more than"):
        footprint.require_small(kept, (1, 8, 8))


def test_an_image_size_of_the_zoo_is_bounded() -> None:
    """A card can set ``img_size``; attention over its tokens grows with its fourth power."""
    assert "img_size" in cards.ZOO["timm"]
    options = {"num_classes": 3, "img_size": 1024}
    network = footprint.outline(lambda: zoo.build("timm", "swin_tiny_patch4_window7_224", options))
    assert network is not None
    footprint.require_small(network, (3, 1024, 1024))
