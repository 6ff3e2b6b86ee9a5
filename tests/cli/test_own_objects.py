"""Objects of one's own where commands name protections, attacks and methods: ``module:object``."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import kept_of, rows_of, said, veil
from PIL import Image

from veil import images
from veil.protections.ciphers.keys import Key

OWN = '''
import torch
from veil.attacks.images import ImageAttack
from veil.protections.image_protection import ImageProtection


class Xor:
    """Every value with the key's first byte."""

    def __init__(self, key):
        self.byte = key.stream("xor", "byte").bytes(1)[0]

    def encrypt(self, images):
        return images ^ self.byte

    def decrypt(self, images, size=None):
        return images ^ self.byte

    def __call__(self, images, generator=None):
        return self.encrypt(images)


XOR = ImageProtection(
    name="xor", title="values with a byte of the key", threat="nobody", broken_by="one known value", key="one",
    create=lambda key, settings: Xor(key), decrypts=True, form="pixels",
)


def undo(plain, protected):
    byte = int(plain[0, 0, 0, 0] ^ protected[0, 0, 0, 0])
    return lambda images: images ^ byte


UNDO = ImageAttack(name="undo", title="a known value", knows="few", attack=undo)


def flip(images):
    return images.flip(3)
'''
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def own(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the current folder, which no other test has imported."""
    name = f"own_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    pixels = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3)
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in/a.png")
    return name


def test_a_cipher_of_ones_own(own: str, tmp_path: Path, capsys: Captured) -> None:
    Key.new().save(tmp_path / "a.key")
    assert veil("encrypt", "in", "-o", "out", "--cipher", f"{own}:XOR", "--key", "a.key") == 0
    assert json.loads(kept_of(tmp_path / "out", "run.json").read_text())["cipher"] == "xor"
    capsys.readouterr()
    assert veil("decrypt", "out", "-o", "back", "--key", "a.key") == 2  # a name in a file imports nothing
    assert "out was encrypted with xor, which this Veil does not have; say --cipher" in said(capsys)
    assert veil("decrypt", "out", "-o", "back", "--key", "a.key", "--cipher", f"{own}:XOR") == 0
    assert images.load(tmp_path / "back/a.png").pixels.equal(images.load(tmp_path / "in/a.png").pixels)
    assert veil("encrypt", "in", "-o", "out2", "--cipher", f"{own}:XOR", "--per-image") == 2
    assert "--per-image does not go with" in said(capsys)
    assert veil("encrypt", "in", "-o", "out3", "--cipher", f"{own}:flip", "--key", "a.key") == 2
    assert "which has no key" in said(capsys)


def test_a_transformation_of_ones_own(own: str, tmp_path: Path, capsys: Captured) -> None:
    assert veil("transform", "apply", "in", "-o", "out", "--with", f"{own}:flip", "--json") == 0
    assert json.loads(capsys.readouterr().out)["transformation"] == f"{own}:flip"
    assert images.load(tmp_path / "out/a.png").pixels.equal(images.load(tmp_path / "in/a.png").pixels.flip(2))
    assert veil("transform", "apply", "in", "-o", "again", "--with", f"{own}:XOR") == 2
    assert "has one key for all images, and is no transformation" in said(capsys)
    assert veil("transform", "show", f"{own}:flip") == 2
    assert "has no card" in said(capsys)


def test_an_audit_of_ones_own(own: str, tmp_path: Path, capsys: Captured) -> None:
    command = ("audit", f"{own}:XOR", "-o", "audit", "--scale", "smoke")
    assert veil(*command, "--attacks", f"{own}:UNDO,affine", "--json") == 0
    found = json.loads(capsys.readouterr().out)["verdicts"]
    assert [verdict["attack"] for verdict in found[2:]] == ["undo", "undo"]
    assert found[2]["text"] == "A known value gives every image back, byte for byte from one known image."
    rows = rows_of(tmp_path / "audit")
    assert veil(*command, "--attacks", "affine") == 0  # the rows of what is not named stay, and are read
    assert rows_of(tmp_path / "audit") == rows
    assert veil(*command, "--attacks", f"{own}:undo") == 2
    assert "is of the type function, not ImageAttack" in said(capsys)


def test_a_method_that_there_is_not(own: str, capsys: Captured) -> None:
    assert veil("transform", "train", "-o", "out", "--scale", "smoke", "--method", f"{own}:flip") == 2
    assert "type function, not TransformationMethod" in said(capsys)
    assert veil("transform", "train", "-o", "out", "--scale", "smoke", "--preset", "loud") == 2
    assert "unet has no preset 'loud'; it has paper, veil" in said(capsys)
