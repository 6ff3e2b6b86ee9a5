"""Made pictures: their look in numbers, and that something can be learned from them."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from veil.data import synthetic
from veil.models.mnist_cnn import MnistCnn


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_digits_look_like_mnist() -> None:
    data = synthetic.digits(2000, generator())
    assert data.images.shape == (2000, 1, 28, 28)
    assert data.images.dtype == torch.uint8
    assert data.labels.bincount().tolist() == [200] * 10
    assert data.classes == tuple("0123456789")
    ink = data.images[:, 0].float() / 255
    assert 0.1 < ink.mean() < 0.25
    assert (ink.amax((1, 2)) > 0.9).all()
    assert ink[:, [0, -1]].mean() < 0.02
    assert ink[:, :, [0, -1]].mean() < 0.02
    places = torch.linspace(-13.5, 13.5, 28)
    for axis in (1, 2):
        centre = (ink.sum(axis) * places).sum(1) / ink.sum((1, 2))
        assert centre.mean().abs() < 1
        assert centre.abs().max() < 6


@pytest.mark.parametrize(
    "make",
    [lambda g: synthetic.digits(23, g).images, lambda g: torch.cat([p.flatten() for p in synthetic.photos(3, g)])],
)
def test_the_generator_decides(make: Callable[[torch.Generator], torch.Tensor]) -> None:
    assert torch.equal(make(generator(5)), make(generator(5)))
    first, second = make(generator(5)), make(generator(6))
    assert first.shape != second.shape or not torch.equal(first, second)


def test_classes_are_as_often_as_can_be_and_in_random_order() -> None:
    labels = synthetic.digits(25, generator()).labels
    assert labels.bincount().tolist() == [3] * 5 + [2] * 5
    assert labels.tolist() != sorted(labels.tolist())
    assert len(synthetic.digits(1, generator())) == 1


def test_parts_are_drawn_on_their_own() -> None:
    data = synthetic.mnist_like((30, 20, 10), seed=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 20, 10)
    seen = {image.numpy().tobytes() for part in (data.train, data.validation, data.test) for image in part.images}
    assert len(seen) == 60
    again = synthetic.mnist_like((30, 40, 10), seed=1)
    assert torch.equal(again.test.images, data.test.images)
    assert not torch.equal(synthetic.mnist_like((30, 20, 10), seed=2).test.images, data.test.images)


def test_a_small_network_learns_the_digits() -> None:
    data = synthetic.mnist_like((1500, 1, 500), seed=0)
    torch.manual_seed(0)
    network, draw = MnistCnn(), generator()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(60):
        chosen = torch.randint(0, len(data.train), (64,), generator=draw)
        loss = F.cross_entropy(network(data.train.images[chosen].float() / 255), data.train.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        right = network(data.test.images.float() / 255).argmax(1) == data.test.labels
    assert right.float().mean() > 0.65  # 300 steps reach 0.97


def test_photos_are_colourful_and_of_many_sizes() -> None:
    photos = synthetic.photos(12, generator())
    assert all(photo.dtype == torch.uint8 and photo.shape[0] == 3 for photo in photos)
    assert all(96 <= side <= 160 for photo in photos for side in photo.shape[1:])
    assert len({photo.shape for photo in photos}) > 6
    for photo in photos:
        values = photo.float()
        assert values.std() > 10
        assert (values.amax(0) - values.amin(0)).mean() > 10
        # Neighbours are alike, as in photos, and there are edges.
        steps = values.diff(dim=2).abs()
        assert steps.mean() < 20
        assert steps.max() > 40


@pytest.mark.parametrize("make", [synthetic.digits, synthetic.photos])
def test_none_is_refused(make: Callable[[int, torch.Generator], object]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        make(0, generator())


def test_small_images_are_like_cifar() -> None:
    parts = synthetic.small_images(train=50, test=30, classes=12, side=16, seed=0)
    assert parts.train.images.shape == (50, 3, 16, 16)
    assert parts.test.images.dtype == torch.uint8
    assert parts.train.labels.bincount().tolist() == [5, 5] + [4] * 10
    assert parts.train.classes == parts.test.classes == tuple(f"made{k:02}" for k in range(12))
    assert (parts.name, parts.cipher) == ("made", None)
    values = parts.train.images.float()
    assert (values.amax(1) - values.amin(1)).mean() > 40
    seen = {image.numpy().tobytes() for part in (parts.train, parts.test) for image in part.images}
    assert len(seen) == 80


def test_small_images_depend_on_the_seed_and_each_part_on_nothing_else() -> None:
    parts = synthetic.small_images(train=30, test=20, classes=3, side=8, seed=1)
    assert parts.fingerprint == synthetic.small_images(train=30, test=20, classes=3, side=8, seed=1).fingerprint
    assert parts.fingerprint != synthetic.small_images(train=30, test=20, classes=3, side=8, seed=2).fingerprint
    assert torch.equal(
        synthetic.small_images(train=99, test=20, classes=3, side=8, seed=1).test.images, parts.test.images
    )


@pytest.mark.parametrize("wrong", [{"train": 0}, {"test": 0}, {"classes": 1}, {"side": 7}])
def test_too_little_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        synthetic.small_images(**wrong)


def test_a_small_network_learns_the_small_images() -> None:
    parts = synthetic.small_images(train=600, test=200, classes=10, side=32, seed=0)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, 2, 2), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, 2, 1), torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(128, 10),
    )  # fmt: skip
    optimizer, draw = torch.optim.Adam(network.parameters(), 3e-3), generator()
    for _ in range(60):
        chosen = torch.randint(0, len(parts.train), (64,), generator=draw)
        loss = F.cross_entropy(network(parts.train.images[chosen].float() / 255), parts.train.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        right = network(parts.test.images.float() / 255).argmax(1) == parts.test.labels
    assert right.float().mean() > 0.7
