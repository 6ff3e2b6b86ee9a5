"""Least squares for every pixel against NumPy's, what it undoes, and what it gives where there is nothing to undo."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from veil.attacks.errors import AttackFailed
from veil.attacks.images import pixel_affine
from veil.attacks.images.pixel_affine import PixelAffine, fit
from veil.metrics.fidelity import ssim
from veil.protections.ciphers import PixelDifferent, PixelSame, Tanaka
from veil.protections.ciphers.keys import Key, throwaway
from veil.recipes import free_photos

KEY = Key(bytes(range(32)))
SIDE = 32


def noise(count: int, height: int = SIDE, width: int = SIDE, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """Pieces of two photos in random order: uint8 (200, 3, 32, 32)."""
    pieces = [free_photos.read(name, 10 * SIDE) for name in ("chelsea", "coffee")]
    cut = torch.stack(pieces).unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE).permute(0, 2, 3, 1, 4, 5)
    return cut.reshape(200, 3, SIDE, SIDE)[torch.randperm(200, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("count", [1, 2, 5, 40])
@pytest.mark.parametrize("ridge", [pixel_affine.ROUNDING, 300.0])
def test_is_numpys_least_squares(count: int, ridge: float) -> None:
    """The ridge is three more observations, of the protected values' deviations from their mean."""
    plain, protected = noise(count, 2, 3), noise(count, 2, 3, seed=1)
    found = fit(plain, protected, ridge=ridge)
    for row in range(2):
        for column in range(3):
            y, v = (each[:, :, row, column].double().numpy() for each in (plain, protected))
            design = np.vstack([v - v.mean(0), np.sqrt(count * ridge) * np.eye(3)])
            wanted = np.vstack([y - y.mean(0), np.zeros((3, 3))])
            weight = np.linalg.lstsq(design, wanted, rcond=None)[0].T
            assert np.allclose(found.weight[..., row, column], weight, atol=1e-5)
            assert np.allclose(found.offset[:, row, column], y.mean(0) - weight @ v.mean(0), atol=1e-3)


@pytest.mark.parametrize("pairs", [8, 150])
def test_undoes_one_key_for_all_images(photos: Tensor, pairs: int) -> None:
    cipher, unseen = PixelSame(KEY), photos[150:]
    found = fit(photos[:pairs], cipher.encrypt(photos[:pairs]))(cipher.encrypt(unseen))
    assert ssim(unseen, found) > 0.99


def test_noise_is_undone_exactly() -> None:
    cipher, known, unseen = PixelSame(KEY), noise(40, 8, 8), noise(10, 8, 8, seed=1)
    assert torch.equal(fit(known, cipher.encrypt(known))(cipher.encrypt(unseen)), unseen)


@pytest.mark.parametrize("protect", [PixelDifferent(throwaway).encrypt, lambda plain: noise(len(plain), seed=2)])
def test_makes_nothing_of_nothing(photos: Tensor, protect: Callable[[Tensor], Tensor]) -> None:
    """The mean of the known images, which has no knowledge of the unseen ones, is nearer to them."""
    known, unseen = photos[:150], photos[150:]
    found = fit(known, protect(known))(protect(unseen))
    mean = known.float().mean(0).round().byte().expand_as(unseen).contiguous()
    assert ssim(unseen, found) < ssim(unseen, mean) < 0.5


def test_one_pair_gives_its_plain_image() -> None:
    plain, protected = noise(1, 4, 4), noise(1, 4, 4, seed=1)
    assert torch.equal(fit(plain, protected)(noise(3, 4, 4, seed=2)), plain.expand(3, -1, -1, -1))


def test_few_pairs_are_between_nothing_and_all(photos: Tensor) -> None:
    cipher, unseen = PixelSame(KEY), photos[150:]
    nearness = [
        ssim(unseen, fit(photos[:pairs], cipher.encrypt(photos[:pairs]))(cipher.encrypt(unseen)))
        for pairs in (1, 2, 4, 8)
    ]
    assert nearness == sorted(nearness)


def test_rounds_and_cuts_off() -> None:
    offset = torch.tensor([-5.0, 1.6, 300.0]).view(3, 1, 1).expand(3, 2, 2)
    found = PixelAffine(torch.zeros(3, 3, 2, 2), offset)(noise(1, 2, 2))
    assert found.dtype == torch.uint8
    assert found[0, :, 0, 0].tolist() == [0, 2, 255]


def test_parts_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, protected = noise(7, 4, 4), noise(7, 4, 4, seed=1)
    whole = fit(plain, protected)
    reconstructed = whole(protected)
    monkeypatch.setattr(pixel_affine, "_CHUNK", 2 * plain[0].numel())
    parted = fit(plain, protected)
    assert torch.equal(parted.weight, whole.weight)
    assert torch.equal(parted.offset, whole.offset)
    assert torch.equal(parted(protected), reconstructed)


def test_protected_images_may_be_larger() -> None:
    plain = noise(5, 7, 9)
    protected = Tanaka(KEY).encrypt(plain)
    assert fit(plain, protected)(protected).shape == (5, 3, 8, 12)


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(AttackFailed, match="smaller"):
        fit(noise(1, 8, 8), noise(1, 8, 4))
    with pytest.raises(ValueError, match="2 plain and 3 protected images are not pairs"):
        fit(noise(2, 8, 8), noise(3, 8, 8))
    with pytest.raises(ValueError, match="pairs are uint8"):
        fit(noise(2, 8, 8), noise(2, 8, 8) / 255)
    with pytest.raises(ValueError, match="ridge must be positive, not 0"):
        fit(noise(2, 8, 8), noise(2, 8, 8), ridge=0)
    with pytest.raises(ValueError, match="images of \\(8, 8\\), not \\(4, 8\\)"):
        fit(noise(2, 8, 8), noise(2, 8, 8))(noise(1, 4, 8))
