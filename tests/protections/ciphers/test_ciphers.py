"""The contract that every cipher of the table keeps."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
import torch
from drawn import images
from hypothesis import given, settings
from hypothesis import strategies as st

from veil.protections import PROTECTIONS
from veil.protections.ciphers import Cipher, batches
from veil.protections.ciphers.keys import Key

KEY, OTHER = Key(bytes(range(32))), Key(bytes(range(1, 33)))
CIPHERS = [name for name, row in PROTECTIONS.items() if row.key != "none"]
DECRYPTABLE = [name for name in CIPHERS if PROTECTIONS[name].decrypts]
SIZES = [(1, 1), (1, 7), (2, 3), (5, 4), (4, 4), (32, 32), (33, 31), (8, 100), (225, 225)]


def made(name: str, key: Key = KEY) -> Cipher:
    row = PROTECTIONS[name]
    return cast("Cipher", row.build(key if row.takes_key else None))


@pytest.mark.parametrize("name", CIPHERS)
class TestEveryCipher:
    @pytest.mark.parametrize("size", SIZES)
    def test_encrypted_images_are_images(self, name: str, size: tuple[int, int]) -> None:
        plain = images(3, *size)
        kept = plain.clone()
        encrypted = made(name).encrypt(plain)
        assert encrypted.dtype == torch.uint8
        assert encrypted.device == plain.device
        multiple = PROTECTIONS[name].multiple
        assert encrypted.shape == (3, 3, *(-(-side // multiple) * multiple for side in size))
        assert encrypted.is_contiguous()
        assert not encrypted.is_inference()
        assert torch.equal(plain, kept)
        assert encrypted.data_ptr() != plain.data_ptr()

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            (torch.zeros(1, 3, 8, 8), "uint8"),
            (torch.zeros(1, 3, 8, 8, dtype=torch.int8), "uint8"),
            (torch.zeros(3, 8, 8, dtype=torch.uint8), "batch"),
            (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "convert grey images to RGB"),
            (torch.zeros(1, 4, 8, 8, dtype=torch.uint8), "three colours"),
            (torch.zeros(1, 8, 8, 3, dtype=torch.uint8), "three colours"),
            (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "no pixel"),
            (torch.zeros(1, 3, 0, 8, dtype=torch.uint8), "no pixel"),
        ],
    )
    def test_what_is_no_batch_is_refused(self, name: str, wrong: torch.Tensor, says: str) -> None:
        cipher = made(name)
        with pytest.raises(ValueError, match=says):
            cipher.encrypt(wrong)
        with pytest.raises(ValueError, match=says if PROTECTIONS[name].decrypts else "thrown away"):
            cipher.decrypt(wrong)

    def test_grey_images_go_as_the_message_says(self, name: str) -> None:
        grey = images(2, 9, 9)[:, :1]
        assert made(name).encrypt(grey.expand(-1, 3, -1, -1)).shape[1] == 3

    def test_its_row_is_whole(self, name: str) -> None:
        row = PROTECTIONS[name]
        assert row.key_bits is not None
        assert row.key_space is not None
        assert row.key_bits(32, 32) == pytest.approx(math.log2(row.key_space(32, 32)))
        assert row.effective_bits(1, 1) == min(row.key_bits(1, 1), 256)
        assert row.effective_bits(1000, 1000) == 256
        if row.settings is not None:
            assert "key" not in vars(row.settings())

    def test_nothing_shows_the_key(self, name: str) -> None:
        cipher = made(name)
        cipher.encrypt(images(1, 4, 4))
        assert len(repr(cipher)) < 60
        assert "tensor" not in repr(cipher)


@pytest.mark.parametrize("name", DECRYPTABLE)
class TestEveryKeyedCipher:
    @pytest.mark.parametrize("size", SIZES)
    def test_decrypts(self, name: str, size: tuple[int, int]) -> None:
        plain = images(3, *size)
        encrypted = made(name).encrypt(plain)
        assert torch.equal(made(name).decrypt(encrypted, size), plain)
        padded = made(name).decrypt(encrypted)
        assert padded.shape == encrypted.shape
        assert torch.equal(padded[:, :, : size[0], : size[1]], plain)

    @settings(max_examples=40, deadline=None)
    @given(count=st.integers(1, 4), height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 9))
    def test_decrypts_any_size(self, name: str, count: int, height: int, width: int, seed: int) -> None:
        plain = images(count, height, width, seed)
        cipher = made(name, Key(bytes([seed]) * 32))
        assert torch.equal(cipher.decrypt(cipher.encrypt(plain), (height, width)), plain)

    def test_pieces_do_not_show(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whole images together, images cut into strips, strips of a single row of blocks: the same bytes."""
        cut = batches.pieces
        for size in ((64, 48), (37, 51), (66, 3), (30, 30)):
            plain = images(7, *size)
            expected = made(name).encrypt(plain)
            for most in (1, 5_000, 12_000, 25_000):
                for module in ("tanaka", "pixel"):
                    monkeypatch.setattr(
                        f"veil.protections.ciphers.{module}.pieces",
                        lambda images, most, rows, less=most: cut(images, most=less, rows=rows),
                    )
                encrypted = made(name).encrypt(plain)
                assert torch.equal(encrypted, expected)
                assert torch.equal(made(name).decrypt(encrypted, size), plain)
            monkeypatch.undo()

    def test_one_image_alone_is_as_in_a_batch(self, name: str) -> None:
        plain = images(5, 30, 21)
        together = made(name).encrypt(plain)
        for i in range(5):
            assert torch.equal(made(name).encrypt(plain[i : i + 1]), together[i : i + 1])

    def test_layout_in_memory_does_not_matter(self, name: str) -> None:
        plain = images(6, 20, 24)
        expected = made(name).encrypt(plain)
        wide = torch.zeros(6, 3, 23, 31, dtype=torch.uint8)
        wide[:, :, 1:21, 3:27] = plain
        for same in (
            plain.contiguous(memory_format=torch.channels_last),
            plain.transpose(2, 3).contiguous().transpose(2, 3),
            plain.repeat_interleave(2, 0)[::2],
            wide[:, :, 1:21, 3:27],
        ):
            assert torch.equal(same, plain)
            assert not same.is_contiguous()
            encrypted = made(name).encrypt(same)
            assert torch.equal(encrypted, expected)
            scattered = encrypted.contiguous(memory_format=torch.channels_last)
            assert torch.equal(made(name).decrypt(scattered), plain)

    def test_another_key_gives_other_images(self, name: str) -> None:
        plain = images(2, 16, 16)
        encrypted = made(name).encrypt(plain)
        assert not torch.equal(encrypted, plain)
        assert not torch.equal(made(name, OTHER).encrypt(plain), encrypted)
        for secret in range(20):
            wrong = made(name, Key(bytes([secret]) * 32)).decrypt(encrypted)
            assert (wrong != plain).float().mean() > 0.3

    def test_a_size_that_cannot_be_is_refused(self, name: str) -> None:
        encrypted = made(name).encrypt(images(1, 8, 8))
        for size in ((4, 8), (8, 9), (9, 8)):
            with pytest.raises(ValueError, match="do not become 8×8"):
                made(name).decrypt(encrypted, size)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
    def test_the_gpu_gives_the_same(self, name: str) -> None:
        for size in SIZES:
            plain = images(3, *size)
            encrypted = made(name).encrypt(plain.cuda())
            assert torch.equal(encrypted.cpu(), made(name).encrypt(plain))
            assert torch.equal(made(name).decrypt(encrypted, size).cpu(), plain)

    def test_threads_share_a_cipher(self, name: str) -> None:
        cipher, plains = made(name), [images(2, side, side) for side in (8, 12, 16, 20, 24, 28) * 4]
        with ThreadPoolExecutor(4) as pool:
            encrypted = list(pool.map(cipher.encrypt, plains))
        for plain, hidden in zip(plains, encrypted, strict=True):
            assert torch.equal(made(name).decrypt(hidden), plain)
