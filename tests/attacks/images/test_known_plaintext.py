"""Keys from pairs: whatever the cipher hides is read exactly, and what has no key of the form is refused."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from veil.attacks.errors import AttackFailed
from veil.attacks.images import recovered_keys
from veil.attacks.images.known_plaintext import (
    BlockKey,
    PixelKey,
    blocks,
    chosen_blocks,
    chosen_pixels,
    pixels,
    recover,
)
from veil.protections.ciphers import PixelDifferent, PixelSame, Tanaka, TanakaSettings
from veil.protections.ciphers.keys import Key, throwaway
from veil.recipes import free_photos

Attack = Callable[[Tensor, Tensor], BlockKey | PixelKey]
KEY = Key(bytes(range(32)))
TANAKAS = [Tanaka(KEY, TanakaSettings(reversal="key")), Tanaka(KEY, TanakaSettings(reversal="permutation"))]
FORMS = [(TANAKAS[0], blocks), (TANAKAS[1], blocks), (PixelSame(KEY), pixels)]


def noise(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def crops(name: str, side: int) -> Tensor:
    """A photo in 16 pieces: uint8 (16, 3, side, side)."""
    pieces = free_photos.read(name, 4 * side).unfold(1, side, side).unfold(2, side, side)
    return pieces.permute(1, 2, 0, 3, 4).reshape(16, 3, side, side)


@pytest.mark.parametrize("cipher", TANAKAS, ids=repr)
def test_two_chosen_blocks_give_the_key(cipher: Tanaka) -> None:
    chosen = chosen_blocks()
    found = blocks(chosen, cipher.encrypt(chosen))
    assert chosen.shape == (1, 3, 4, 8)
    assert found.settled == 1.0
    for size in ((4, 4), (12, 20)):
        unseen = noise(3, *size)
        assert torch.equal(found(cipher.encrypt(unseen)), unseen)


def test_one_chosen_image_gives_the_key_of_every_pixel() -> None:
    cipher, chosen, unseen = PixelSame(KEY), chosen_pixels(5, 7), noise(3, 5, 7)
    found = pixels(chosen, cipher.encrypt(chosen))
    assert chosen.shape == (1, 3, 5, 7)
    assert found.settled == 1.0
    assert torch.equal(found(cipher.encrypt(unseen)), unseen)


@settings(max_examples=20, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), side=st.integers(1, 9), seed=st.integers(0, 1000))
def test_chosen_images_give_any_key(secret: bytes, side: int, seed: int) -> None:
    unseen = noise(2, 4 * side, side, seed)
    tanaka, pixel = Tanaka(Key(secret)), PixelSame(Key(secret))
    block_key = blocks(chosen_blocks(), tanaka.encrypt(chosen_blocks()))
    pixel_key = pixels(chosen_pixels(4 * side, side), pixel.encrypt(chosen_pixels(4 * side, side)))
    assert torch.equal(block_key(tanaka.encrypt(unseen))[..., :side], unseen)
    assert torch.equal(pixel_key(pixel.encrypt(unseen)), unseen)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_one_block_never_gives_the_key(seed: int) -> None:
    """96 nibbles, eight classes: at most seven of them are alone in theirs."""
    block = noise(1, 4, 4, seed)
    assert blocks(block, TANAKAS[0].encrypt(block)).settled <= 7 / 96


@pytest.mark.parametrize(("cipher", "attack"), FORMS)
@pytest.mark.parametrize("known", [noise(4, 32, 32), crops("chelsea", 32)], ids=["noise", "photos"])
def test_known_pairs_give_the_key(cipher: Tanaka | PixelSame, attack: Attack, known: Tensor) -> None:
    found = recover(known, cipher.encrypt(known))
    assert isinstance(found, BlockKey if attack is blocks else PixelKey)
    assert found.settled == 1.0
    for unseen in (noise(2, 32, 32, seed=1), crops("coffee", 32)):
        assert torch.equal(found(cipher.encrypt(unseen)), unseen)


@pytest.mark.parametrize(("size", "settled"), [((7, 9), 1.0), ((4, 6), 1.0), ((3, 4), 0.5), ((1, 1), 0.0)])
def test_blocks_of_padded_images(size: tuple[int, int], settled: float) -> None:
    """Nibbles of repeated rows and columns are alike, where no block is without any."""
    known, cipher = noise(64, *size), TANAKAS[0]
    protected = cipher.encrypt(known)
    found = blocks(known, protected)
    assert found.settled == settled
    assert torch.equal(found(protected)[..., : size[0], : size[1]], known)


def test_padded_images_give_the_key() -> None:
    known, unseen, cipher = noise(16, 7, 9), noise(2, 11, 6, seed=1), TANAKAS[0]
    found = recover(known, cipher.encrypt(known))
    assert torch.equal(found(cipher.encrypt(unseen))[..., :11, :6], unseen)


@pytest.mark.parametrize(("cipher", "attack"), FORMS)
def test_few_pairs_settle_less_and_are_explained(cipher: Tanaka | PixelSame, attack: Attack) -> None:
    flat = torch.full((2, 3, 32, 32), 128, dtype=torch.uint8)
    grey = crops("chelsea", 32).float().mean(1, keepdim=True).byte().expand(-1, 3, -1, -1)
    for known in (flat, grey):
        protected = cipher.encrypt(known)
        found = attack(known, protected)
        assert found.settled == 0
        assert torch.equal(found(protected), known)


def test_more_pairs_settle_more() -> None:
    photos = crops("chelsea", 32)
    for cipher, attack, size in ((TANAKAS[0], blocks, 4), (PixelSame(KEY), pixels, 32)):
        known = photos[..., :size, :size]
        settled = [attack(known[:count], cipher.encrypt(known[:count])).settled for count in (1, 2, 4, 16)]
        assert settled == sorted(settled)
        assert settled[0] < settled[-1] == 1.0


def test_a_guess_is_a_key() -> None:
    found = blocks(noise(1, 4, 4), TANAKAS[0].encrypt(noise(1, 4, 4)))
    assert found.sources.sort().values.tolist() == list(range(96))


def test_where_both_forms_explain_the_pairs_more_is_settled() -> None:
    chosen = chosen_pixels(4, 4)
    protected = PixelSame(KEY).encrypt(chosen)
    assert blocks(chosen, protected).settled == 0
    assert isinstance(recover(chosen, protected), PixelKey)


def other_keys(plain: Tensor) -> Tensor:
    return torch.cat([Tanaka(Key(bytes([number] * 32))).encrypt(one[None]) for number, one in enumerate(plain)])


def disturbed(plain: Tensor) -> Tensor:
    protected = TANAKAS[0].encrypt(plain)
    protected[1, 2, 3, 4] ^= 1
    return protected


@pytest.mark.parametrize(
    "protect",
    [PixelDifferent(throwaway).encrypt, other_keys, disturbed, lambda plain: noise(*plain.shape[::2], 32, seed=9)],
    ids=["different keys", "different keys of blocks", "one bit", "unrelated"],
)
def test_no_key_explains(protect: Callable[[Tensor], Tensor]) -> None:
    known = crops("chelsea", 32)
    with pytest.raises(AttackFailed, match=r"no key of blocks .* nibbles .*; no key of pixels .* pixels") as failure:
        recover(known, protect(known))
    assert "\n" not in str(failure.value)


def test_each_form_refuses_the_other() -> None:
    known = crops("chelsea", 32)
    with pytest.raises(AttackFailed, match="no key of pixels explains the pairs: at 1024 of 1024"):
        pixels(known, TANAKAS[0].encrypt(known))
    with pytest.raises(AttackFailed, match="no key of blocks explains the pairs"):
        blocks(known, PixelSame(KEY).encrypt(known))


def test_one_wrong_value_is_found() -> None:
    known = noise(4, 8, 8)
    protected = PixelSame(KEY).encrypt(known)
    protected[3, 1, 2, 5] ^= 64
    with pytest.raises(AttackFailed, match="1 of 64 pixels"):
        pixels(known, protected)
    with pytest.raises(AttackFailed, match="1 of 96 nibbles"):
        blocks(known, disturbed(known))


@pytest.mark.parametrize("attack", [blocks, pixels, recover])
def test_what_are_no_pairs(attack: Attack) -> None:
    with pytest.raises(AttackFailed, match="smaller"):
        attack(noise(1, 8, 8), noise(1, 8, 4))
    with pytest.raises(ValueError, match="2 plain and 3 protected images are not pairs"):
        attack(noise(2, 8, 8), noise(3, 8, 8))
    with pytest.raises(ValueError, match="pairs are uint8"):
        attack(noise(2, 8, 8), noise(2, 8, 8) / 255)


def test_other_sizes() -> None:
    with pytest.raises(AttackFailed, match="6×8 are not made of blocks"):
        blocks(noise(1, 6, 8), noise(1, 6, 8))
    with pytest.raises(ValueError, match="blocks of 4×4, not for images of 8×6"):
        blocks(noise(1, 8, 8), noise(1, 8, 8))(noise(1, 8, 6))
    with pytest.raises(ValueError, match="not \\(4, 8\\)"):
        pixels(noise(1, 8, 8), noise(1, 8, 8))(noise(1, 4, 8))


@pytest.mark.parametrize(("cipher", "attack"), FORMS)
def test_parts_make_no_difference(cipher: Tanaka | PixelSame, attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    known = crops("chelsea", 8)[:5]
    protected = cipher.encrypt(known)
    whole = attack(known, protected)
    monkeypatch.setattr(recovered_keys, "_CHUNK", 2 * known[0].numel())
    parted, unseen = attack(known, protected), noise(5, 8, 8)
    assert parted.settled == whole.settled
    assert torch.equal(parted(unseen), whole(unseen))


@pytest.mark.parametrize(("cipher", "attack"), FORMS)
def test_keys_are_not_shown(cipher: Tanaka | PixelSame, attack: Attack) -> None:
    known = noise(4, 8, 8)
    assert repr(attack(known, cipher.encrypt(known))).endswith("Key(settled=1.0)")
