"""A transformation: bytes to bytes, and its file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from veil import protections
from veil.metrics import ssim
from veil.models.unet import UNet
from veil.models.weights import HEADER
from veil.protections import PROTECTIONS
from veil.protections.transformation import Transformation, TransformationError, packaged
from veil.protections.transformation.packaged import DEFAULT, FOLDER
from veil.recipes import free_photos
from veil.runtime.tables import UnknownName

NETWORK = {"width": 8, "skips": 3, "up": 8, "norm": "group"}


@pytest.fixture(scope="module")
def transformation() -> Transformation:
    torch.manual_seed(0)
    network = UNet(8, skips=3)
    with torch.no_grad():
        network.head.weight *= 20  # far from grey
    return Transformation("tiny", network, "unet", {"data": "made"}, {"accuracy": 0.5})


def batch(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (33, 47), (64, 3), (200, 310)])
def test_any_size_stays(transformation: Transformation, size: tuple[int, int]) -> None:
    images = batch(3, 3, *size)
    changed = transformation(images)
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert changed.is_contiguous()


def test_an_image_alone_is_as_in_any_batch(transformation: Transformation) -> None:
    images = batch(300, 3, 32, 32)
    changed = transformation(images)
    for index in (0, 255, 256, 299):
        difference = transformation(images[index : index + 1]).int() - changed[index].int()
        assert int(difference.abs().max()) <= 1  # float32 sums in another order


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.zeros(1, 3, 8, 8), "uint8"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "batch of the shape"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "grey"),
        (torch.zeros(1, 4, 8, 8, dtype=torch.uint8), "three colours"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "no pixel"),
        (torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(1, 3, 4000, 4000), "16.0 megapixels are too large"),
    ],
)
def test_other_images_are_refused(transformation: Transformation, wrong: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        transformation(wrong)


def test_a_file_gives_the_same_back(transformation: Transformation, tmp_path: Path) -> None:
    file = tmp_path / "tiny.safetensors"
    transformation.save(file)
    again = Transformation.load(file)
    assert (again.name, again.method) == ("tiny", "unet")
    assert again.network.options == {"width": 8, "skips": 3, "up": 8, "norm": "group"}
    assert again.training == {"data": "made"}
    assert again.measured == {"accuracy": 0.5}
    assert again.fingerprint == transformation.fingerprint
    first = file.read_bytes()
    again.save(file)
    assert file.read_bytes() == first
    assert transformation.fingerprint != Transformation("tiny", UNet(8, skips=3), "unet").fingerprint


def spoil(file: Path, **changes: object) -> None:
    """Writes the file again with another card, or without one of its tensors."""
    from safetensors import safe_open

    with safe_open(file, "pt") as stored:
        card = json.loads(stored.metadata()[HEADER])
    tensors = load_file(file)
    if "tensor" in changes:
        tensors.pop("head.bias")
    if "infinite" in changes:
        tensors["head.bias"][0] = float("inf")
    if "other" in changes:
        tensors["head.bias"][0] += 1
    save_file(tensors, file, {HEADER: json.dumps(card | {k: v for k, v in changes.items() if k in card})})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "veil noise 1"}, "not a transformation"),
        ({"network": NETWORK | {"width": 16}}, "the weights do not fit"),
        ({"network": NETWORK | {"width": 12}}, "multiple of 8"),
        ({"network": NETWORK | {"up": 10**9}}, "width 1000000000"),
        ({"network": NETWORK | {"skips": 9}}, "0 to 5 skips"),
        ({"network": NETWORK | {"norm": "layer"}}, "no normalisation 'layer'"),
        ({"network": NETWORK | {"width": "8"}}, "damaged"),
        ({"network": {"width": 8}}, "damaged"),
        ({"network": NETWORK | {"norm": "batch"}}, "the weights do not fit"),
        ({"name": 7}, "damaged"),
        ({"tensor": None}, "the weights do not fit"),
        ({"infinite": None}, "not finite"),
        ({"other": None}, "not those that its card speaks of"),
    ],
)
def test_a_spoilt_file_is_refused_in_a_line(
    transformation: Transformation, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    file = tmp_path / "tiny.safetensors"
    transformation.save(file)
    spoil(file, **changes)
    with pytest.raises(TransformationError, match=said) as caught:
        Transformation.load(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_other_files_are_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(TransformationError) as caught:
        Transformation.load(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TransformationError, match="cannot be read"):
        Transformation.load(tmp_path / "nothing.safetensors")


def test_weights_that_a_file_cannot_hold_are_refused_at_once() -> None:
    large = UNet(8, skips=3)
    with torch.no_grad():
        large.head.weight[0] = 1e6
    with pytest.raises(TransformationError, match="too large for float16"):
        Transformation("large", large, "unet")


def test_the_fingerprint_is_of_the_weights_alone(transformation: Transformation) -> None:
    assert replace(transformation, name="other", training={}).fingerprint == transformation.fingerprint


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.safetensors")), ids=lambda file: file.stem)
def test_packaged_ones_hide_and_say_what_they_are(file: Path) -> None:
    """And each is a row of the table."""
    found = PROTECTIONS[file.stem].build()
    assert isinstance(found, Transformation)
    assert found.name == file.stem
    assert found.measured["accuracy"] > 0.9 * found.measured["plain_accuracy"]
    photo = free_photos.read("chelsea", 32)[None]
    shown = ssim(photo, found(photo))
    assert shown is not None
    assert abs(shown) < 0.1


def test_the_default_is_packaged() -> None:
    assert packaged.load().fingerprint == Transformation.load(FOLDER / f"{DEFAULT}.safetensors").fingerprint
    assert repr(packaged.load()) == f"Transformation('{DEFAULT}', {packaged.load().fingerprint})"


def test_a_transformation_is_named_by_its_file_too(transformation: Transformation, tmp_path: Path) -> None:
    transformation.save(tmp_path / "mine.safetensors")
    row = protections.find(tmp_path / "mine.safetensors")
    assert (row.name, row.form, row.takes_key) == ("tiny", "image", False)
    with pytest.raises(UnknownName, match="there is no protection 'transformation-cifar100'; there are plain, "):
        protections.find("transformation-cifar100")
    with pytest.raises(TransformationError, match="cannot be read"):
        protections.find(tmp_path / "nothing.safetensors")
