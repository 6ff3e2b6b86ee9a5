"""Keys from encrypted images alone: exact where one key serves all of them, refused where none does."""

import pytest
import torch
from photos import crops
from torch import Tensor

from veil.attacks.errors import AttackFailed
from veil.attacks.images import block_statistics, pixel_statistics
from veil.metrics import ssim
from veil.protections.ciphers import PixelDifferent, PixelSame, Tanaka, TanakaSettings
from veil.protections.ciphers.keys import Key

KEY = Key(bytes(range(32)))


@pytest.fixture(scope="module")
def encrypted_photos() -> Tensor:
    return crops("chelsea", 160)


@pytest.fixture(scope="module")
def own_photos() -> Tensor:
    return crops("coffee", 160)


def noise(count: int, side: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_the_key_of_pixels_is_found_up_to_what_all_share(encrypted_photos: Tensor, own_photos: Tensor) -> None:
    """One cat and one cup have other colours: the map that all pixels share may be another, the rest may not."""
    cipher, unseen = PixelSame(KEY), noise(5, 32)
    found = pixel_statistics.recover(cipher.encrypt(encrypted_photos), own_photos)(cipher.encrypt(unseen))
    alike = [
        torch.where(torch.tensor(flips).view(3, 1, 1) == 1, 255 - found[:, order], found[:, order]).equal(unseen)
        for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
        for flips in torch.cartesian_prod(*3 * [torch.tensor([0, 1])]).tolist()
    ]
    assert sum(alike) == 1


def test_with_own_photos_of_the_kind_the_key_of_pixels_is_exact(encrypted_photos: Tensor) -> None:
    cipher, unseen = PixelSame(KEY), noise(5, 32)
    found = pixel_statistics.recover(cipher.encrypt(encrypted_photos[::2]), encrypted_photos[1::2])
    assert found(cipher.encrypt(unseen)).equal(unseen)
    with pytest.raises(ValueError, match="32"):
        found(noise(1, 16))


def test_different_keys_have_no_common_one(encrypted_photos: Tensor, own_photos: Tensor) -> None:
    with pytest.raises(AttackFailed, match="no common key"):
        pixel_statistics.recover(PixelDifferent().encrypt(encrypted_photos), own_photos)
    with pytest.raises(AttackFailed, match="no common key"):
        pixel_statistics.recover(noise(160, 32), own_photos)


@pytest.mark.parametrize("reversal", ["key", "permutation"])
def test_the_key_of_blocks_is_found_as_far_as_people_see(encrypted_photos: Tensor, reversal: str) -> None:
    cipher = Tanaka(KEY, TanakaSettings(reversal=reversal))  # type: ignore[arg-type]
    hidden, own = encrypted_photos[::2], encrypted_photos[1::2]
    found = block_statistics.recover(cipher.encrypt(hidden), own)
    unseen = crops("coffee", 20, 64)
    again = found(cipher.encrypt(unseen))
    assert float((again // 16 == unseen // 16).float().mean()) > 0.95
    similarity = ssim(unseen, again)
    assert similarity is not None
    assert similarity > 0.75


def test_what_is_not_made_of_blocks_of_one_key_is_refused(encrypted_photos: Tensor, own_photos: Tensor) -> None:
    with pytest.raises(AttackFailed, match="no common key"):
        block_statistics.recover(noise(160, 32), own_photos)
    with pytest.raises(AttackFailed, match="not made of blocks"):
        block_statistics.recover(encrypted_photos[:, :, :30], own_photos)
