"""What `visible` calls visible."""

import pytest
import torch
from torch import Tensor

from veil.data import synthetic
from veil.metrics import visible


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return synthetic.small_images(train=40, test=10, seed=0).train.images.float() / 255


def test_what_shows(photos: Tensor) -> None:
    itself = visible(photos, photos)
    torch.testing.assert_close(itself, torch.ones(len(photos)))
    torch.testing.assert_close(visible(photos, 1 - photos), itself, rtol=1e-3, atol=1e-3)
    assert float(visible(photos, photos[:, [2, 0, 1]]).mean()) > 0.3
    assert float(visible(photos, torch.full_like(photos, 0.5)).max()) < 1e-3
    unrelated = visible(photos, photos.roll(1, 0))
    assert float(unrelated.mean()) < 0.15
    noise = torch.rand(photos.shape, generator=torch.Generator().manual_seed(0))
    assert float(visible(photos, noise).mean()) < 0.06


def test_what_shows_has_a_gradient_that_hides(photos: Tensor) -> None:
    changed = (0.8 * photos + 0.1).requires_grad_()
    before = visible(photos, changed).mean()
    (gradient,) = torch.autograd.grad(before, changed)
    after = visible(photos, changed.detach() - 2.0 * gradient / gradient.abs().max() * 0.1).mean()
    assert float(after.detach()) < 0.8 * float(before.detach())
