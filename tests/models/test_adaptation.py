"""Adaptation networks: what they see."""

import pytest
import torch

from veil.models.adaptation import BlockAdaptation, PixelAdaptation, create
from veil.protections import PROTECTIONS
from veil.protections.ciphers.keys import Key


def test_a_block_is_seen_whole_and_alone() -> None:
    network = BlockAdaptation().eval()
    images = torch.rand(1, 3, 16, 16, requires_grad=True)
    outputs = network(images)
    assert outputs.shape == (1, 32, 16, 16)
    (gradient,) = torch.autograd.grad(outputs[0, :, 4:8, 8:12].sum(), images)
    seen = gradient[0].ne(0)
    assert seen[:, 4:8, 8:12].all()
    assert seen.sum() == 3 * 4 * 4


def test_a_pixel_is_seen_alone() -> None:
    images = torch.rand(1, 3, 8, 8, requires_grad=True)
    outputs = PixelAdaptation().eval()(images)
    assert outputs.shape == (1, 64, 8, 8)
    (gradient,) = torch.autograd.grad(outputs[0, :, 2, 3].sum(), images)
    assert gradient[0].ne(0).any(0).nonzero().tolist() == [[2, 3]]


@pytest.mark.parametrize("cipher", ["pixel-same", "pixel-different"])
def test_at_its_start_it_sees_what_the_cipher_does_not_change(cipher: str) -> None:
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    row = PROTECTIONS[cipher]
    encrypted = row.build(Key(bytes(32)) if row.takes_key else None)(images)
    plain, changed = ((each.float() / 255 - 0.5) / 0.25 for each in (images, encrypted))
    network = PixelAdaptation().eval()
    torch.testing.assert_close(network(changed), network(plain), atol=1e-5, rtol=0)
    assert network(plain).std((0, 2, 3)).gt(1e-3).float().mean() > 0.3  # and that is not nothing
    random = PixelAdaptation(invariant=False).eval()
    assert not random(changed).allclose(random(plain), atol=1e-2)


def test_an_unknown_adaptation_is_refused() -> None:
    with pytest.raises(ValueError, match="no adaptation 'fourier'"):
        create("fourier")
