"""Feature reconstruction against the search that it stands for, and on photos that were encrypted."""

import itertools

import pytest
import torch
from torch import Tensor

from veil.attacks.images import feature_reconstruction
from veil.attacks.images.feature_reconstruction import advanced, basic
from veil.metrics.recovery import floors, recovery
from veil.protections.ciphers import Cipher, PixelDifferent, PixelSame
from veil.protections.ciphers.keys import Key
from veil.recipes import free_photos

CIPHERS = (PixelSame(Key(bytes(range(32)))), PixelDifferent())
ATTACKS = (basic, advanced)
SIDE = 64


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return torch.stack([free_photos.read(name, SIDE) for name in ("chelsea", "coffee")])


def images(count: int, height: int, width: int) -> Tensor:
    """uint8 (count, 3, height, width), every value drawn alike."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def candidates(protected: Tensor) -> Tensor:
    """All that a pixel may have been: (N, 48, 3, H, W)."""
    orders = (protected[:, order] for order in itertools.permutations(range(3)))
    complements = torch.tensor(list(itertools.product((0, 255), repeat=3)), dtype=torch.uint8).view(8, 3, 1, 1)
    return torch.cat([order[:, None] ^ complements for order in orders], 1)


def test_basic_by_hand() -> None:
    values = torch.tensor([0, 1, 127, 128, 254, 255], dtype=torch.uint8)
    wanted = torch.tensor([0, 1, 127, 127, 1, 0], dtype=torch.uint8)
    batch, folded = (each.view(2, 3, 1, 1) for each in (values, wanted))
    assert torch.equal(basic(batch), folded)
    assert advanced(batch).flatten().tolist() == [127, 1, 0, 127, 1, 0]


@pytest.mark.parametrize("cipher", CIPHERS, ids=repr)
def test_same_before_and_after_encryption(cipher: Cipher, photos: Tensor) -> None:
    for plain in (photos, images(5, 9, 7)):
        encrypted = cipher.encrypt(plain)
        assert torch.equal(basic(encrypted).sort(1).values, basic(plain).sort(1).values)
        assert torch.equal(advanced(encrypted), advanced(plain))


@pytest.mark.parametrize("power", [1, 2])
def test_no_candidate_is_nearer_to_any_neighbours(photos: Tensor, power: int) -> None:
    """The search over 48 candidates for every pixel, by absolute and by squared differences."""
    for plain in (photos, images(8, 13, 11)):
        found = advanced(plain).int()
        possible = candidates(plain).int()
        assert bool((possible == found[:, None]).all(2).any(1).all())
        for shift in ((0, 1), (1, 0), (1, 1)):  # the pixel at the left, above, and at the upper left
            neighbour = found.roll(shift, (2, 3))
            least = (possible - neighbour[:, None]).abs().pow(power).sum(2).amin(1)
            assert torch.equal((found - neighbour).abs().pow(power).sum(1), least)


@pytest.mark.parametrize("cipher", CIPHERS, ids=repr)
def test_shows_photos(cipher: Cipher, photos: Tensor) -> None:
    encrypted = cipher.encrypt(photos)
    guesses = floors(photos, encrypted, photos)
    for plain, other, itself in zip(photos[:, None], photos.flip(0)[:, None], encrypted[:, None], strict=True):
        before = recovery(plain, itself)
        shown = {attack: recovery(plain, attack(itself)) for attack in ATTACKS}
        elsewhere = {attack: recovery(other, attack(itself)) for attack in ATTACKS}
        for attack in ATTACKS:
            assert shown[attack].visible > 4 * before.visible
            assert shown[attack].visible > 4 * elsewhere[attack].visible
            assert shown[attack].ssim > 2 * max(before.ssim, 0)
        assert shown[advanced].visible > 2 * shown[basic].visible
        assert shown[advanced].ssim > 1.5 * shown[basic].ssim
        assert shown[advanced].psnr > shown[basic].psnr
    assert recovery(photos, advanced(encrypted)).ssim > 0.3 > recovery(photos, guesses["unrelated"]).ssim


def test_shown_as_in_the_paper_for_its_ssim(photos: Tensor) -> None:
    encrypted = PixelDifferent().encrypt(photos)
    for attack in ATTACKS:
        found = attack(encrypted)
        assert recovery(photos, found).ssim > recovery(photos, 2 * found).ssim


def test_choice_of_the_first_pixel(photos: Tensor) -> None:
    """Of all halves of the range and orders of colours, the one that is taken has the highest SSIM."""
    every = [recovery(photos, choice).ssim for choice in candidates(advanced(photos)).unbind(1)]
    assert recovery(photos, advanced(photos)).ssim == max(every)


@pytest.mark.parametrize("attack", ATTACKS)
def test_random_images_show_nothing(attack: object, photos: Tensor) -> None:
    found = recovery(photos, attack(images(2, SIDE, SIDE)))
    assert found.visible < 0.05
    assert found.ssim < 0.1
    assert found.exact == 0


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 3), (33, 31)])
def test_any_size_and_batch(attack: object, size: tuple[int, int]) -> None:
    protected = images(4, *size)
    kept = protected.clone()
    found = attack(protected)
    assert found.dtype == torch.uint8
    assert found.shape == protected.shape
    assert found.max() <= 127
    assert torch.equal(protected, kept)
    assert torch.equal(attack(protected[2:3]), found[2:3])
    assert torch.equal(attack(protected.transpose(2, 3)), found.transpose(2, 3))


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(2, 3, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
        torch.zeros(0, 3, 4, 4, dtype=torch.uint8),
    ],
    ids=["float", "one image", "grey", "empty"],
)
@pytest.mark.parametrize("attack", ["basic", "advanced"])
def test_other_batches_are_refused(attack: str, batch: Tensor) -> None:
    with pytest.raises(ValueError, match=r"feature reconstruction takes|no pixel"):
        getattr(feature_reconstruction, attack)(batch)
