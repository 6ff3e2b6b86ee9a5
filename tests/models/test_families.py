"""Families of networks, by names of architectures and by cards."""

from importlib.util import find_spec
from pathlib import Path

import cards as made
import pytest

from veil.models import cards, families, zoo
from veil.models.cards import CardError


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        ("timm/mobilenetv2_100", "mobilenet"),
        ("timm/tf_mobilenetv3_small_075", "mobilenet"),
        ("mobilenetv1_075_192", "mobilenet"),
        ("torchvision/squeezenet1_0", "squeezenet"),
        ("darknet_tiny", "darknet"),
        ("timm/resnet50.a1_in1k", "resnet"),
        ("veil/residual", "resnet"),
        ("veil/vgg13", "vgg"),
        ("timm/efficientnet_b0", "efficientnet"),
        ("timm/vit_tiny_patch16_224", "vit"),
        ("torchvision/swin_t", "swin"),
        ("mine", None),
        ("", None),
    ],
)
def test_names_tell(architecture: str, family: str | None) -> None:
    assert families.family_of(architecture) == family


def test_most_of_the_zoo_has_a_family() -> None:
    if find_spec("timm") is None:
        pytest.skip('timm is not installed: pip install "veil[zoo]"')
    names = [f"{library}/{name}" for library in zoo.LIBRARIES for name in zoo.names(library)]
    assert sum(families.family_of(name) is not None for name in names) > len(names) / 2


def test_a_card_may_name_it(tmp_path: Path) -> None:
    card = made.write(tmp_path)
    assert cards.load(card).family == "resnet"
    text = card.read_text()
    card.write_text(text.replace('name = "small"', 'name = "small"\nfamily = "mine"'))
    assert cards.load(card).family == "mine"
    for wrong in ('""', "3", '"a\\u001b"', f'"{"a" * 81}"'):
        card.write_text(text.replace('name = "small"', f'name = "small"\nfamily = {wrong}'))
        with pytest.raises(CardError, match="family must be"):
            cards.load(card)


def test_only_judges_of_a_surrogates_family_are_related() -> None:
    surrogates = [("a", "resnet"), ("b", None)]
    assert families.related(surrogates, [("c", "resnet"), ("d", "vgg"), ("e", None)]) == [("c", "a", "resnet")]
    assert "c is of the same family as a (resnet)" in families.warning("c", "a", "resnet")
