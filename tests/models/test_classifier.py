"""Preprocessing and its gradient, against PyTorch and Pillow."""

import numpy as np
import pytest
import torch
from networks import convolutional
from PIL import Image
from torch import nn
from torch.nn import functional as F

from veil.images import LUMA
from veil.models.classifier import AntialiasedResize, Classifier, Preprocessing, centre_crop, middle


@pytest.mark.parametrize("before", [(299, 300), (64, 33), (7, 1), (1, 1), (700, 1100), (2, 17_000), (33, 32)])
@pytest.mark.parametrize("after", [(224, 224), (32, 48)])
def test_resize_gradient_is_the_adjoint_of_pytorchs_forward(before: tuple[int, int], after: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, *before, generator=generator, requires_grad=True)
    weight = torch.randn(2, 3, *after, generator=generator)
    ours = AntialiasedResize.apply(image, after)
    theirs = F.interpolate(image, after, mode="bilinear", antialias=True)
    assert torch.equal(ours, theirs)
    (mine,) = torch.autograd.grad((ours * weight).sum(), image)
    (reference,) = torch.autograd.grad((theirs * weight).sum(), image)
    summed = after[0] * after[1] / (before[0] * before[1])  # values that a gradient adds up, in float32
    torch.testing.assert_close(mine, reference, atol=1e-4 * max(1, summed**0.5), rtol=1e-4)


def test_resize_is_pillows() -> None:
    array = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    reference = np.asarray(Image.fromarray(array).resize((40, 30), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    image = torch.from_numpy(array).permute(2, 0, 1)[None].float()
    ours = AntialiasedResize.apply(image, (30, 40))[0].numpy()
    assert np.abs(ours - reference).max() <= 1


def test_shorter_side_is_resized_and_the_centre_cut() -> None:
    preprocessing = Preprocessing(resize=256, crop=224)
    assert preprocessing.resized(512, 1024) == (256, 512)
    assert preprocessing.resized(1, 9) == (256, 2304)
    assert preprocessing(torch.rand(1, 3, 300, 500)).shape == (1, 3, 224, 224)
    assert preprocessing.size == (224, 224)
    assert Preprocessing(resize=(30, 40)).size == (30, 40)


def test_centre_crop_cuts_the_middle_and_pads_what_is_small() -> None:
    image = torch.arange(36.0).view(1, 1, 6, 6)
    assert centre_crop(image, 2).flatten().tolist() == [14, 15, 20, 21]
    padded = centre_crop(torch.ones(1, 1, 2, 3), 4)
    assert padded.shape == (1, 1, 4, 4)
    assert float(padded.sum()) == 6


def test_long_strips_are_looked_at_in_the_middle() -> None:
    """Without it, a strip of 1 × 50,000 would become one of 224 × 11,200,000."""
    preprocessing = Preprocessing(resize=32, crop=32)
    strip = torch.rand(1, 3, 1, 50_000, requires_grad=True)
    seen = preprocessing(strip)
    assert seen.shape == (1, 3, 32, 32)
    (gradient,) = torch.autograd.grad(seen.sum(), strip)
    assert bool((gradient[..., 24_996:25_004] != 0).any())
    assert not bool((gradient[..., :24_990] != 0).any())
    ordinary = torch.rand(1, 3, 40, 300)
    assert torch.equal(middle(ordinary, 8), ordinary)


def test_normalisation_is_per_channel() -> None:
    preprocessing = Preprocessing(crop=2, resize=None, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    found = preprocessing(torch.full((1, 3, 2, 2), 0.5))[0, :, 0, 0]
    torch.testing.assert_close(found, torch.tensor([0.4, 0.15, 0.05]))


def test_grey_and_colour_meet_any_network() -> None:
    colour, grey = torch.rand(1, 3, 28, 28), torch.rand(1, 1, 28, 28)
    one = Preprocessing(resize=(28, 28), mean=(0.0,), std=(1.0,))
    three = Preprocessing(resize=(28, 28))
    expected = (colour * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(one(colour), expected)
    torch.testing.assert_close(three(grey), grey.expand(1, 3, 28, 28))


@pytest.mark.parametrize(
    "wrong",
    [
        {"resize": 256}, {"resize": None}, {"resize": 256, "crop": 0}, {"resize": 9999, "crop": 10},
        {"resize": 8, "crop": 8, "std": (0.0, 1.0, 1.0)}, {"resize": 8, "crop": 8, "mean": (0.0,)},
        {"resize": 8, "crop": 8, "mean": (0.0, 0.0), "std": (1.0, 1.0)},
    ],
)  # fmt: skip
def test_impossible_preprocessing_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError):
        Preprocessing(**wrong)


def test_a_classifier_is_frozen_and_stays_in_evaluation_mode() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(12, 2))
    classifier = Classifier("x", network, Preprocessing(resize=(2, 2)), ["a", "b"])
    classifier.train()
    assert not classifier.network.training
    assert not any(p.requires_grad for p in classifier.parameters())
    image = torch.rand(1, 3, 2, 2, requires_grad=True)
    assert torch.equal(classifier(image), classifier(image))
    assert torch.autograd.grad(classifier(image).sum(), image)[0].abs().sum() > 0


def test_batch_of_one_equals_slice_of_batch() -> None:
    classifier, images = convolutional(), torch.rand(5, 3, 40, 60)
    torch.testing.assert_close(classifier(images)[2:3], classifier(images[2:3]))


def test_the_fingerprint_tells_weights_and_preprocessing_apart() -> None:
    assert convolutional(0).fingerprint() == convolutional(0).fingerprint()
    assert convolutional(0).fingerprint() != convolutional(1).fingerprint()
    one, other = convolutional(0), convolutional(0)
    other.preprocessing = Preprocessing(resize=25, crop=24, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert one.fingerprint() != other.fingerprint()


def test_it_is_shown_in_a_line_and_in_notebooks_as_a_table() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6))
    classifier = Classifier("mine", network, Preprocessing(resize=(8, 8)), ["<i>", *"bcdef"])
    assert repr(classifier) == "Classifier('mine': 8×8 RGB, 6 classes)"
    html = classifier._repr_html_()
    assert "<td>6: &lt;i&gt;, b, c, d, e, …</td>" in html
    assert "<td>1,158</td>" in html
    grey = Classifier("grey", network, Preprocessing(resize=(8, 8), mean=(0.0,), std=(1.0,)), "abcdef")
    assert "8×8 grey" in repr(grey)
