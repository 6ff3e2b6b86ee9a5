"""The losses by their equations."""

import numpy as np
import pytest
import torch

from veil.protections.transformation import losses


def test_equation_4_adversarial_and_gan() -> None:
    judged = torch.tensor([[0.0, 0.5], [1.0, 2.0]])
    assert float(losses.adversarial(judged, real=True)) == pytest.approx((1 + 0.25 + 0 + 1) / 4)
    assert float(losses.adversarial(judged, real=False)) == pytest.approx((0 + 0.25 + 1 + 4) / 4)
    assert float(losses.discriminator(torch.ones(3), torch.zeros(3))) == 0
    assert float(losses.discriminator(torch.zeros(3), torch.ones(3))) == 1
    assert float(losses.gan(torch.tensor(2.0), torch.tensor(3.0), torch.tensor(1.0), 0.4)) == pytest.approx(3.0)


def test_equation_5_cycle() -> None:
    one, two, three = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)
    assert float(losses.cycle(one, two, three, (-1.0, 0.4, 0.9))) == pytest.approx(-1 + 0.8 + 2.7)


def test_equations_6_and_7_perceptual() -> None:
    generator = torch.Generator().manual_seed(0)
    shown, b, a = (torch.rand(4, 6, 5, 5, generator=generator) for _ in range(3))
    squared = [((shown - each).numpy() ** 2).sum((1, 2, 3)) / (6 * 5 * 5) for each in (b, a)]
    np.testing.assert_allclose(losses.feature(shown, b).numpy(), squared[0], rtol=1e-5)
    assert float(losses.perceptual(shown, b, a, None)) == pytest.approx(squared[0].mean() + squared[1].mean(), rel=1e-5)


def test_the_margin_bounds_the_perceptual_loss_and_its_gradient() -> None:
    shown = torch.rand(4, 3, 8, 8)
    near, far = (shown + 0.01).requires_grad_(), (shown + 100).requires_grad_()
    value = losses.perceptual(shown, near, far, margin=2.0)
    value.backward()
    unit = float(losses.unrelated(shown))
    assert float(value.detach()) == pytest.approx(0.01**2 / unit + 2.0, rel=1e-3)
    assert near.grad is not None
    assert bool(near.grad.ne(0).all())
    assert far.grad is None or not bool(far.grad.any())


def test_equations_8_and_9() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    labels = torch.tensor([0, 0])
    wanted = np.mean([np.log(1 + np.exp(-2)), np.log(1 + np.exp(1))])
    assert float(losses.classification(logits, logits, labels)) == pytest.approx(2 * wanted, rel=1e-6)
    zeros, ones = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    assert float(losses.reconstruction(zeros, ones, ones, ones / 2)) == pytest.approx(1.25)
