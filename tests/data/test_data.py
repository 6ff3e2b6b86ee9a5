"""Data sets in their standard layouts, and augmentation of batches."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from idx_files import idx
from PIL import Image

from veil.data import augmentation, class_folders
from veil.data.decoding import OtherSize
from veil.data.layouts import mnist


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 10)):
        idx(tmp_path / f"{part}-images-idx3-ubyte.gz", random.integers(0, 256, (count, 28, 28)))
        idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", random.integers(0, 10, count))
    return tmp_path


def test_mnist_is_split_in_the_files_order(digits: Path) -> None:
    data = mnist.read(digits, validation=5)
    assert (len(data.train), len(data.validation), len(data.test)) == (25, 5, 10)
    whole = mnist.read_idx(digits / "train-images-idx3-ubyte.gz")
    assert torch.equal(torch.cat([data.train.images, data.validation.images])[:, 0], whole)
    assert data.train.images.dtype == torch.uint8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX"),
        (b"\0\0\x08", "not an IDX"),
        (b"\0\0\x0d\x01\0\0\0\x01....", "unsigned bytes"),
        (b"\0\0\x08\x03\0\0", "cut off"),
        (b"\0\0\x08\x01\0\0\0\x09abc", "3 bytes where"),
        (b"\x1f\x8bxx", "broken gzip"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "more than such a file can have"),
        (gzip.compress(b"\0\0\x08\x02\0\x01\0\0\0\x01\0\0" + bytes(100), mtime=0), "more than such a file can have"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x05" + bytes(1 << 20), mtime=0), r"more where \(5,\) needs 5"),
    ],
)
def test_broken_idx_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        mnist.read_idx(tmp_path / "x")


def test_missing_and_unequal_parts_are_refused(digits: Path) -> None:
    idx(digits / "t10k-labels-idx1-ubyte.gz", np.zeros(9))
    with pytest.raises(ValueError, match="t10k has images"):
        mnist.read(digits)
    (digits / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="train-images"):
        mnist.read(digits)


def test_mnist_is_the_real_one(shared: Path) -> None:
    data = mnist.read(shared / "mnist")
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_class_folders(tmp_path: Path) -> None:
    for name, colour in (("n02", 200), ("n01", 50)):
        (tmp_path / "train" / name / "images").mkdir(parents=True)
        Image.new("L", (8, 8), colour).save(tmp_path / "train" / name / "images" / "b.png")
        Image.new("RGB", (20, 10), (colour,) * 3).save(tmp_path / "train" / name / "a.jpg")
    (tmp_path / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\ttabby\n")
    data = class_folders.read(tmp_path / "train", 8)
    assert data.images.shape == (4, 3, 8, 8)
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.classes == ("n01", "n02")
    assert data.images.float().mean((1, 2, 3)).tolist() == pytest.approx([50, 50, 200, 200], abs=1)
    assert class_folders.read_words(tmp_path / "words.txt") == {"n01": "goldfish", "n02": "tabby"}
    with pytest.raises(FileNotFoundError, match="one folder per class"):
        class_folders.read(tmp_path / "absent", 8)


def reference(file: Path, side: int) -> np.ndarray:
    with Image.open(file) as opened:
        rgb = opened.convert("RGB")
    return np.asarray(rgb.resize((side, side), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def test_images_are_as_pillow_converts_them_one_by_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    for index in range(600):  # several chunks
        Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).save(tmp_path / f"a/{index:03}.png")
    for mode, suffix in (("RGBA", "png"), ("LA", "png"), ("P", "png"), ("1", "png"), ("CMYK", "jpg"), ("L", "tif")):
        colours = random.integers(0, 256, (20, 14, 3), np.uint8)
        Image.fromarray(colours).convert(mode).save(tmp_path / f"a/{mode}.{suffix}")
    expected = np.stack([reference(file, 9) for file in class_folders.list_files(tmp_path)[0]])
    assert np.array_equal(class_folders.read(tmp_path).images.numpy(), expected)


def test_more_than_8_bits_are_rounded_not_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "a/sixteen.png")
    data = class_folders.read(tmp_path)
    expected = np.broadcast_to((values / 257).round().astype(np.uint8), (3, 8, 8))
    assert np.array_equal(data.images[0].numpy(), expected)


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    for name in ("a/1.png", ".checkpoints/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "a/._1.png").write_bytes(b"what macOS adds")
    data = class_folders.read(tmp_path)
    assert (len(data), data.classes) == (1, ("a",))


def truncated(file: Path) -> None:
    Image.effect_noise((64, 64), 50).save(file, "jpeg")
    file.write_bytes(file.read_bytes()[:800])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncated, "cannot be read"),
        (lambda file: file.write_bytes(b""), "cannot be read .*empty"),
        (
            lambda file: file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
            "cannot be read .*format",
        ),
        (lambda file: file.symlink_to("nowhere"), "cannot be read .*no such file"),
    ],
    ids=["truncated", "empty", "program", "broken link"],
)
def test_a_broken_image_is_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    (tmp_path / "a").mkdir()
    for index in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / f"a/{index}.png")
    spoil(tmp_path / "a/broken.jpg")
    with pytest.raises(ValueError, match=rf"broken\.jpg: {message}"):
        class_folders.read(tmp_path)


def test_sizes_that_may_not_be_changed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (6, 4)).save(tmp_path / "a/0.png")
    with pytest.raises(OtherSize, match=r"0\.png: 6×4 pixels where 6×6 are expected"):
        class_folders.read(tmp_path, resizes=False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_augmentation_is_determined_by_the_generator() -> None:
    images, labels = torch.rand(6, 3, 16, 16), torch.arange(6)

    def augmented(seed: int) -> torch.Tensor:
        rng = generator(seed)
        changed = augmentation.colour_jitter(augmentation.random_resized_crop(images, 12, rng), rng)
        return augmentation.cutmix(changed, labels, rng)[0]

    assert torch.equal(augmented(0), augmented(0))
    assert not torch.equal(augmented(0), augmented(1))
    assert augmented(0).shape == (6, 3, 12, 12)
    assert 0 <= float(augmented(0).min()) <= float(augmented(0).max()) <= 1


def test_a_crop_of_the_whole_image_is_the_image_or_its_mirror() -> None:
    images = torch.rand(16, 3, 12, 12)
    # The aspect ratio still varies: judge by an image that is constant along each axis in turn.
    rows = torch.linspace(0, 1, 12).view(1, 1, 12, 1).expand(16, 3, 12, 12)
    found = augmentation.random_resized_crop(rows, 12, generator(), area=(1.0, 1.0))
    assert torch.allclose(found, found[..., :1].expand_as(found), atol=1e-5)
    plain = augmentation.random_resized_crop(images, 12, generator(), area=(1.0, 1.0), flip=False)
    assert plain.shape == images.shape


def test_cutmix_shares_add_up() -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 10, 10)
    for seed in range(20):
        mixed, pasted, share = augmentation.cutmix(images, torch.arange(4), generator(seed))
        expected = share * torch.arange(4.0) + (1 - share) * pasted
        torch.testing.assert_close(mixed.mean((1, 2, 3)), expected)
