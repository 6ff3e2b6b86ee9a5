"""Protections from Python: images in memory, a transform in a Dataset, and where its key goes."""

import pickle
from collections.abc import Iterator
from multiprocessing import context
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn import images
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

import veil
from veil.protections.ciphers import PixelSame, Tanaka
from veil.protections.transformation import packaged

SECRET = bytes(range(50, 82))
BATCH = images(3, 9, 10)


@pytest.fixture
def key() -> veil.Key:
    return veil.Key(SECRET)


@pytest.fixture
def starting_a_process() -> Iterator[None]:
    """As if multiprocessing were starting a worker."""
    context.set_spawning_popen(object())
    yield
    context.set_spawning_popen(None)


def test_encrypting_and_decrypting_what_lies_in_memory(key: veil.Key, tmp_path: Path) -> None:
    encrypted = veil.encrypt(BATCH, key)
    assert encrypted.equal(PixelSame(key).encrypt(BATCH))
    assert veil.decrypt(encrypted, key).equal(BATCH)
    photo = Image.fromarray(BATCH[0].permute(1, 2, 0).numpy())
    tanaka = veil.encrypt(photo, key, "tanaka")
    assert tanaka.size == (12, 12)
    back = veil.decrypt([tanaka], key, "tanaka", size=(9, 10))
    assert np.array_equal(np.array(back[0]), np.array(photo))
    key.save(tmp_path / "a.key")
    assert veil.encrypt(BATCH, tmp_path / "a.key", "tanaka").equal(Tanaka(key).encrypt(BATCH))


def test_what_does_not_go_together_is_said(key: veil.Key) -> None:
    with pytest.raises(ValueError, match="pixel-same takes a key"):
        veil.encrypt(BATCH)
    with pytest.raises(ValueError, match="pixel-different takes no key"):
        veil.encrypt(BATCH, key, "pixel-different")
    with pytest.raises(ValueError, match="no protection 'caesar'"):
        veil.encrypt(BATCH, key, "caesar")
    with pytest.raises(ValueError, match="nobody can decrypt what plain made"):
        veil.ImageTransform("plain").decrypt(BATCH)


def test_transforming_what_lies_in_memory() -> None:
    wanted = packaged.load()(BATCH)
    assert veil.transform(BATCH).equal(wanted)
    assert veil.transform(BATCH[0]).equal(wanted[0])
    assert veil.transform(BATCH, lambda batch: batch.flip(2)).equal(BATCH.flip(2))
    array = veil.transform(BATCH[0].permute(1, 2, 0).numpy())
    assert np.array_equal(array, wanted[0].permute(1, 2, 0).numpy())
    found = veil.transform(BATCH)
    found[0] = 0  # no inference tensor, which could not be changed


def test_seeded_keys_follow_torchs_random_state() -> None:
    seeded, free = veil.ImageTransform("pixel-different", seeded=True), veil.ImageTransform("pixel-different")
    found = []
    for transform in (seeded, seeded, free):
        torch.manual_seed(3)
        found.append(transform(BATCH))
    assert found[0].equal(found[1])
    assert not found[0].equal(found[2])


def test_a_transform_says_what_it_is_and_not_its_key(key: veil.Key) -> None:
    transform = veil.ImageTransform("tanaka", key)
    assert repr(transform) == f"ImageTransform('tanaka', key {key.fingerprint})"
    assert repr(veil.ImageTransform("pixel-different", seeded=True)) == "ImageTransform('pixel-different', seeded)"
    assert SECRET.hex() not in repr(vars(transform))


def test_a_key_is_pickled_for_a_starting_worker_alone(key: veil.Key, tmp_path: Path) -> None:
    transform = veil.ImageTransform("pixel-same", key)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(transform)
    with pytest.raises(TypeError, match="not pickled"), (tmp_path / "checkpoint.pt").open("wb") as file:
        torch.save({"transform": transform}, file)
    assert SECRET not in (tmp_path / "checkpoint.pt").read_bytes()
    assert pickle.loads(pickle.dumps(veil.ImageTransform("pixel-different"))).row.name == "pixel-different"


@pytest.mark.usefixtures("starting_a_process")
def test_a_worker_has_the_same_transform(key: veil.Key) -> None:
    transforms: list[Any] = [
        veil.ImageTransform("pixel-same", key),
        veil.ImageTransform("transformation-cifar10"),
        veil.ImageTransform("torch:bitwise_not"),
        veil.ImageTransform(upside_down),
    ]
    for transform in transforms:
        again = pickle.loads(bytes(ForkingPickler.dumps(transform)))
        assert again(BATCH).equal(transform(BATCH))
        assert repr(again) == repr(transform)


def upside_down(pixels: Tensor) -> Tensor:
    return pixels.flip(2)


def test_a_loader_with_a_worker_gets_the_same_images(key: veil.Key) -> None:
    transform = veil.ImageTransform("pixel-same", key)

    def encrypted(part: list[Tensor]) -> Tensor:
        return transform(torch.stack(part))  # type: ignore[no-any-return]

    loader = DataLoader(list(BATCH), 2, collate_fn=encrypted, num_workers=1)  # type: ignore[arg-type]
    assert torch.cat(list(loader)).equal(transform(BATCH))
