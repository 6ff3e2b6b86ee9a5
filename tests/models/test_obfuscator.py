"""Table 1's networks: shapes, weights counted by hand, options, and what learns."""

import pytest
import torch
from torch import Tensor, nn

from veil.models.obfuscator import FeatureClassifier, MirrorReconstructor, Obfuscator, Unfold, is_vector

VECTOR, MAPS = (5, 1, 1), (16, 8, 8)


def weights(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def all_learn(network: nn.Module, output: Tensor) -> None:
    """A gradient comes to each of a network's tensors."""
    output.square().mean().backward()
    assert all(each.grad is not None and bool(each.grad.ne(0).any()) for each in network.parameters())


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (20, 36)])
@pytest.mark.parametrize("values", [None, 1, 5])
def test_features_have_the_shape_that_is_said(size: tuple[int, int], values: int | None) -> None:
    network = Obfuscator(8, values=values)
    features = network(torch.rand(2, 3, *size))
    assert features.shape == (2, *network.shape(size))
    assert is_vector(network.shape(size)) == (values is not None)
    assert bool((features >= (0 if values is None else -1)).all())


def test_the_papers_obfuscator_has_its_weights() -> None:
    """Four 3×3 convolutions and two numbers for each normalised channel; 260,928 with biases that say nothing."""
    counted = 9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128) + 2 * (64 + 64 + 128 + 128)
    assert weights(Obfuscator()) == counted == 260_928 - (64 + 64 + 128 + 128)
    assert Obfuscator().shape((216, 176)) == (128, 54, 44)


def test_the_papers_classifier_has_its_weights() -> None:
    """14.5 M of convolutions and 79.7 M behind them, on maps of 54×44."""
    with torch.device("meta"):
        network = FeatureClassifier((128, 54, 44), 1)
    convolutions = sum(each.numel() for each in network.parameters() if each.ndim == 4)
    assert convolutions == 9 * (128 * 256 + 2 * 256**2 + 256 * 512 + 5 * 512**2)
    linear = sum(
        each.numel() for module in network.modules() if isinstance(module, nn.Linear) for each in module.parameters()
    )
    assert linear == 512 * 6 * 5 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 + 1


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("shape", [VECTOR, MAPS, (16, 9, 11)])
def test_classifiers_and_mirrors_read_both_kinds_of_features(shape: tuple[int, int, int], norm: str) -> None:
    features = torch.randn(4, *shape)
    size = (33, 46) if shape[1] == 9 else (32, 32)
    classifier = FeatureClassifier(shape, 3, width=8, norm=norm, head="pool")  # type: ignore[arg-type]
    assert classifier(features).shape == (4, 3)
    all_learn(classifier, classifier(features))
    mirror = MirrorReconstructor(shape, size, width=8, norm=norm)  # type: ignore[arg-type]
    drawn = mirror(features)
    assert drawn.shape == (4, 3, *size)
    assert bool(((drawn > 0) & (drawn < 1)).all())
    all_learn(mirror, drawn)


@pytest.mark.parametrize("values", [None, 3])
def test_all_of_an_obfuscator_learns(values: int | None) -> None:
    network = Obfuscator(8, values=values)
    all_learn(network, network(torch.rand(4, 3, 32, 32)))


def test_the_mirror_without_a_sigmoid_is_its_logit() -> None:
    torch.manual_seed(0)
    mirror, features = MirrorReconstructor(MAPS, (32, 32), width=8).eval(), torch.randn(2, *MAPS)
    drawn = mirror(features)
    mirror.sigmoid = False
    torch.testing.assert_close(mirror(features).sigmoid(), drawn)


def test_in_use_an_image_is_alone() -> None:
    network, images = Obfuscator(8, values=4).eval(), torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(network(images[1:2]), network(images)[1:2])


def test_group_normalisation_takes_an_image_by_itself_in_training() -> None:
    network, images = Obfuscator(8, "group").train(), torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(network(images[1:2]), network(images)[1:2])


def test_unfolded_vectors_are_maps_of_a_quarter_of_the_size() -> None:
    assert Unfold(VECTOR, (40, 24), 8)(torch.randn(2, *VECTOR)).shape == (2, 8, 10, 6)


def test_options_make_the_same_network_again() -> None:
    for network in (Obfuscator(16, "group", 3), FeatureClassifier(MAPS, 2, 8, "group", "pool")):
        type(network)(**network.options).load_state_dict(network.state_dict())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Obfuscator(12), "multiple of 8"),
        (lambda: Obfuscator(0), "multiple of 8"),
        (lambda: Obfuscator(8, "layer"), "no normalisation 'layer'"),  # type: ignore[arg-type]
        (lambda: Obfuscator(8, values=0), "at least one value"),
        (lambda: Obfuscator(8)(torch.rand(1, 3, 30, 32)), "multiples of 4"),
        (lambda: FeatureClassifier((8, 7, 9), 1, 8), "halved three times"),
        (lambda: FeatureClassifier(MAPS, 1, 8, head="mean"), "no head 'mean'"),  # type: ignore[arg-type]
        (lambda: MirrorReconstructor(MAPS, (32, 32), 4), "multiple of 8"),
    ],
)
def test_what_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_values_have_so_many_levels_and_gradients_pass() -> None:
    torch.manual_seed(0)
    network = Obfuscator(8, values=6, levels=4).eval()
    images = torch.rand(3, 3, 32, 32, requires_grad=True)
    found = network(images)
    levels = torch.tensor([-1, -1 / 3, 1 / 3, 1])
    assert torch.isclose(found.flatten()[:, None], levels, atol=1e-6).any(1).all()
    found.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize(("values", "levels"), [(None, 4), (8, 1)])
def test_levels_belong_to_values(values: int | None, levels: int) -> None:
    with pytest.raises(ValueError, match="at least two"):
        Obfuscator(8, values=values, levels=levels)
