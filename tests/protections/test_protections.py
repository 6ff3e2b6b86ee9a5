"""The table of protections of images: its rows, a stranger's, and what a person may type."""

from pathlib import Path

import pytest
import torch
from contracts import check_protection
from torch import Generator, Tensor

from veil import protections
from veil.protections import PROTECTIONS, of_callable
from veil.protections.ciphers.keys import Key
from veil.protections.ciphers.pixel import PixelSame
from veil.protections.image_protection import ImageProtection
from veil.protections.transformation import METHODS, packaged
from veil.protections.transformation.method import TransformationMethod
from veil.runtime.scales import SCALES
from veil.runtime.tables import UnknownName


@pytest.mark.parametrize("name", PROTECTIONS)
def test_every_row_keeps_the_contract(name: str) -> None:
    row = PROTECTIONS[name]
    assert row.name == name
    check_protection(row)


def upside_down(images: Tensor) -> Tensor:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError("these are no images")
    return images.flip(2)


def noise(images: Tensor, *, generator: Generator | None) -> Tensor:
    return torch.randint(256, images.shape, dtype=torch.uint8, generator=generator)


ROW = ImageProtection(
    name="upside-down",
    title="images upside down",
    threat="nobody",
    broken_by="turning them around",
    create=lambda key, settings: lambda images, generator=None: upside_down(images),
)


def test_a_strangers_row_and_callable_keep_it_too() -> None:
    check_protection(ROW)
    check_protection(of_callable("anything", upside_down))


def test_a_callable_gets_the_generator_where_it_takes_one() -> None:
    images = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    first, again = (protections.find(noise).build()(images, Generator().manual_seed(1)) for _ in range(2))
    assert first.equal(again)
    assert first.any()


def test_what_a_person_may_mean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own_protections.py").write_text(
        "from veil.protections.plain import PROTECTION\nimport dataclasses\n"
        "ROW = dataclasses.replace(PROTECTION, name='mine')\ndef same(images):\n    return images\n"
    )
    monkeypatch.chdir(tmp_path)
    assert protections.find("own_protections:ROW").name == "mine"
    assert protections.find("own_protections:same").name == "own_protections:same"
    assert protections.find(ROW) is ROW
    assert protections.find(upside_down).name == "upside_down"
    network = packaged.load()
    assert protections.find(network).name == network.name
    assert protections.find(network).build() is network
    with pytest.raises(UnknownName, match="a class, not an object of it"):
        protections.find("pathlib:Path")
    with pytest.raises(TypeError, match="a int, which cannot be called"):
        protections.find(3)  # type: ignore[arg-type]


def test_the_use_of_keys_is_checked() -> None:
    with pytest.raises(ValueError, match="the use of keys is one of none, one, per image"):
        ImageProtection(name="x", title="x", threat="x", broken_by="x", create=ROW.create, key="two")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes one key"):
        ImageProtection(name="x", title="x", threat="x", broken_by="x", create=ROW.create, decrypts=True)
    with pytest.raises(ValueError, match="nobody can decrypt what upside-down made"):
        ROW.cipher(Key.new())
    with pytest.raises(ValueError, match="no keys to count"):
        ROW.effective_bits(4, 4)
    assert isinstance(PROTECTIONS["pixel-same"].cipher(Key.new()), PixelSame)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_presets_and_scales(name: str) -> None:
    row = METHODS[name]
    assert isinstance(row, TransformationMethod)
    assert row.name == name
    assert set(row.scales) == set(SCALES)
    assert {"paper", "veil"} <= set(row.presets)
    for preset in row.presets:
        for scale in SCALES:
            assert isinstance(row.settings_for(preset, scale), row.settings)
    with pytest.raises(ValueError, match="no preset 'other'; it has paper, veil"):
        row.settings_for("other", "smoke")
