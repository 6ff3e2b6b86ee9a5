"""Losses against closed forms."""

import math

import pytest
import torch
from torch import Generator, Tensor

from veil.protections.features import losses

LN2 = math.log(2)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed))


def test_cross_entropy_by_hand() -> None:
    """σ(ln 3) = 3/4: labels are summed, images averaged."""
    logits = torch.tensor([[math.log(3), 0.0], [-math.log(3), math.log(3)]])
    labels = torch.tensor([[True, False], [True, True]])
    wanted = ((-math.log(0.75) + LN2) + (-math.log(0.25) - math.log(0.75))) / 2
    assert float(losses.attributes(logits, labels)) == pytest.approx(wanted)


def test_cross_entropy_is_computed_in_float32_and_has_no_overflow() -> None:
    found = losses.attributes(torch.tensor([[-300.0]]).bfloat16(), torch.tensor([[True]]))
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(300, rel=0.01)


def test_confusion_is_zero_without_an_opinion_and_even() -> None:
    assert float(losses.confusion(torch.zeros(4, 3))) == pytest.approx(0, abs=1e-6)
    logits = drawn(16, 3)
    assert float(losses.confusion(logits)) == pytest.approx(float(losses.confusion(-logits)), rel=1e-5)
    one = torch.tensor([[math.log(3)]])  # −(ln ¾ + ln ¼)/2 − ln 2
    assert float(losses.confusion(one)) == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2 - LN2)


def test_confusion_pulls_to_no_opinion_and_cross_entropy_beyond_it() -> None:
    """What equation (5) has no bound for: an adversary that is wrong is pushed further."""
    logits = torch.tensor([[-2.0]], requires_grad=True)  # wrong about a yes
    (confused,) = torch.autograd.grad(losses.confusion(logits), logits)
    (pushed,) = torch.autograd.grad(-losses.attributes(logits, torch.tensor([[True]])), logits)
    assert float(confused) < 0  # descent raises the logit
    assert float(pushed) > 0
    assert float(confused) == pytest.approx(torch.tensor(-2.0).sigmoid().item() - 0.5)


def test_defences_are_the_papers_sums() -> None:
    three, five, two = torch.tensor(3.0), torch.tensor(5.0), torch.tensor(2.0)
    assert float(losses.defended_attributes(three, five, 0.5)) == 0.5
    assert float(losses.defended_reconstruction(three, five, two, 0.5)) == 4.5


def test_reconstruction_is_zero_for_the_same_and_near_one_for_others() -> None:
    images = torch.rand(2, 3, 32, 32, generator=Generator().manual_seed(0))
    assert float(losses.reconstruction(images, images)) == pytest.approx(0, abs=1e-5)
    other = torch.rand(2, 3, 32, 32, generator=Generator().manual_seed(1))
    assert 0.7 < float(losses.reconstruction(images, other)) < 1
    mean = images.mean(0)
    assert float(losses.towards(mean, mean.expand(2, -1, -1, -1))) == pytest.approx(0, abs=1e-5)
    assert float(losses.towards(images, other)) == pytest.approx(float(losses.reconstruction(images, other)))


# discrepancy


def kinds(count: int) -> Tensor:
    return (torch.arange(count) % 2 == 0)[:, None]


def no_target(count: int) -> Tensor:
    return torch.zeros(count, 1, dtype=torch.bool)


def test_discrepancy_is_that_of_a_loop() -> None:
    features, private, target = drawn(12, 3), kinds(12), torch.arange(12)[:, None] < 8
    squared = torch.stack([torch.stack([(a - b).square().sum() for b in features]) for a in features]).double()
    scale = squared.mean()

    def kernel(i: int, j: int) -> float:
        return sum(math.exp(-float(squared[i, j]) / (width * float(scale))) for width in (0.25, 0.5, 1, 2, 4)) / 5

    total = 0.0
    for group in ([i for i in range(12) if i < 8], [i for i in range(12) if i >= 8]):
        yes, no = ([i for i in group if bool(private[i]) is kind] for kind in (True, False))
        if min(len(yes), len(no)) < 4:
            continue
        within = [
            sum(kernel(i, j) for i in part for j in part if i != j) / (len(part) * (len(part) - 1))
            for part in (yes, no)
        ]
        total += sum(within) - 2 * sum(kernel(i, j) for i in yes for j in no) / (len(yes) * len(no))
    assert float(losses.discrepancy(features, private, target)) == pytest.approx(total, abs=1e-5)


def test_discrepancy_is_about_zero_for_equal_distributions_and_grows_with_the_distance() -> None:
    private, target = kinds(400), no_target(400)
    found = [
        float(losses.discrepancy(drawn(400, 4) + shift * private.float(), private, target)) for shift in (0, 0.5, 1, 2)
    ]
    assert abs(found[0]) < 0.01
    assert found[0] < found[1] < found[2] < found[3]
    assert found[3] > 0.2
    wider = drawn(400, 4) * torch.where(private, 3.0, 1.0)  # the same mean
    assert float(losses.discrepancy(wider, private, target)) > 0.05


def test_what_the_target_explains_does_not_count() -> None:
    """The private attribute goes with the target in 9 of 10 images, and features tell the target only."""
    generator = Generator().manual_seed(0)
    target = torch.rand(600, 1, generator=generator) < 0.5
    private = target ^ (torch.rand(600, 1, generator=generator) < 0.1)
    features = drawn(600, 4) + 3 * target.float()
    assert float(losses.discrepancy(features, private, no_target(600))) > 0.3
    assert abs(float(losses.discrepancy(features, private, target))) < 0.03
    both = features + 2 * private.float()
    assert float(losses.discrepancy(both, private, target)) > 0.1


def test_discrepancy_adds_up_over_attributes() -> None:
    """One that nobody in the batch has adds nothing, and takes nothing from the others."""
    private, target = kinds(40), no_target(40)
    features = drawn(40, 4) + private.float()
    one = float(losses.discrepancy(features, private, target))
    for other, wanted in ((torch.zeros_like(private), one), (private, 2 * one)):
        assert float(losses.discrepancy(features, torch.cat([private, other], 1), target)) == pytest.approx(wanted)


def test_too_few_images_say_nothing() -> None:
    features = drawn(6, 4).requires_grad_()
    found = losses.discrepancy(features, kinds(6), no_target(6))
    assert float(found) == 0
    maps = drawn(8, 2, 3, 3)
    assert float(losses.discrepancy(maps, kinds(8), no_target(8))) == float(
        losses.discrepancy(maps.flatten(1), kinds(8), no_target(8))
    )


def test_descent_brings_the_two_kinds_together() -> None:
    private, target = kinds(64), no_target(64)
    features = (drawn(64, 2) + 2 * private.float()).requires_grad_()
    before = losses.discrepancy(features, private, target)
    (gradient,) = torch.autograd.grad(before, features)
    assert torch.isfinite(gradient).all()
    pulled = gradient[private[:, 0]].mean(0) - gradient[~private[:, 0]].mean(0)
    assert bool((pulled > 0).all())
    after = losses.discrepancy(features.detach() - 5 * gradient, private, target)
    assert float(after) < float(before.detach())


def test_equal_features_have_a_finite_gradient() -> None:
    features = torch.zeros(16, 3, requires_grad=True)
    losses.discrepancy(features, kinds(16), no_target(16)).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
