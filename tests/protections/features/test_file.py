"""Clients and services: what they return, in any batch, and their files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from obfuscators import drawn, tiny, write
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from veil.models.obfuscator import FeatureClassifier, Obfuscator
from veil.models.weights import HEADER
from veil.protections.features.encoding import Encoding
from veil.protections.features.file import Client, ObfuscatorError, Service, load, pair

EITHER = pytest.mark.parametrize("values", [8, None])


@pytest.mark.parametrize("encoding", [Encoding("uint8", -1, 1), Encoding("uint8", 0, 3.7), Encoding("uint8", -5, -4.9)])
def test_eight_bits_are_the_nearest_of_256_levels(encoding: Encoding) -> None:
    assert encoding.low is not None
    assert encoding.high is not None
    step = (encoding.high - encoding.low) / 255
    levels = torch.arange(256, dtype=torch.uint8)
    assert encoding.encode(encoding.decode(levels)).equal(levels)
    torch.testing.assert_close(encoding.decode(levels), torch.linspace(encoding.low, encoding.high, 256))
    values = torch.empty(5, 7).uniform_(encoding.low, encoding.high, generator=torch.Generator().manual_seed(0))
    assert float((encoding.decode(encoding.encode(values)) - values).abs().max()) <= step / 2 + 1e-6
    beyond = torch.tensor([encoding.low - 9, encoding.high + 9])
    assert encoding.encode(beyond).tolist() == [0, 255]


def test_floats_are_sent_as_they_are_or_rounded_to_half() -> None:
    values = torch.tensor([0.1, -3.0, 1e6, -1e6])
    assert Encoding("float32").encode(values).equal(values)
    half = Encoding("float16")
    assert half.encode(values).dtype == torch.float16
    assert half.decode(half.encode(values)).tolist() == [float(torch.tensor(0.1).half()), -3.0, 65504.0, -65504.0]
    with pytest.raises(ValueError, match="sent as float16, not float32"):
        half.decode(values)
    for encoding in (half, Encoding("float32"), Encoding("uint8", 0, 1)):
        for wrong in (float("nan"), float("inf")):
            with pytest.raises(ValueError, match="not finite"):
                encoding.encode(torch.tensor([0.5, wrong]))
    with pytest.raises(ValueError, match="not finite"):
        half.decode(torch.tensor([float("nan")]).half())


def test_the_encoding_is_chosen_by_what_is_sent() -> None:
    assert Encoding.of(None, torch.zeros(2, 8, 1, 1)) == Encoding("uint8", -1, 1)
    assert Encoding.of("float32", torch.zeros(2, 8, 1, 1)) == Encoding("float32")
    maps = torch.arange(2000.0).view(2, 10, 10, 10)
    assert Encoding.of(None, maps) == Encoding("float16")
    assert Encoding.of("uint8", maps) == Encoding("uint8", 0, 1997)  # 1,998 of 2,000 lie at or below it
    assert Encoding.of("uint8", torch.zeros(1, 4, 8, 8)) == Encoding("uint8", 0, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("uint4",), "no encoding 'uint4'"), (("float16", 0.0, 1.0), "takes no range"), (("uint8",), "takes a range"),
        (("uint8", 1.0, 1.0), "takes a range"), (("uint8", 0.0, float("nan")), "takes a range"),
        (("uint8", -float("inf"), 0.0), "takes a range"),
    ],
)  # fmt: skip
def test_other_encodings_are_refused(wrong: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Encoding(*wrong)


@EITHER
@pytest.mark.parametrize("sent", ["uint8", "float16", "float32"])
def test_a_client_returns_what_was_sent_decoded(values: int | None, sent: Any) -> None:
    client, service = tiny(values, sent)
    images = drawn(5)
    features = client(images)
    assert features.shape == (5, *client.shape) == (5, *service.shape)
    assert features.dtype == torch.float32
    encoded = client.send(images)
    assert str(encoded.dtype) == f"torch.{sent}"
    assert client.encoding.decode(encoded).equal(features)
    exact = client.features(images / 255)
    assert client.encoding.encode(exact).float().sub(encoded.float()).abs().max() <= (1 if sent == "uint8" else 1e-2)
    answers = service(features)
    assert answers.shape == (5, 2)
    torch.testing.assert_close(answers, service.network(features).sigmoid())


@EITHER
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_an_image_is_the_same_in_any_batch(values: int | None, norm: str) -> None:
    client, service = tiny(values, norm=norm)
    images = drawn(64)
    whole = client.send(images)
    logits = service.logits(client(images))
    for size in (1, 7):
        assert torch.cat([client.send(part) for part in images.split(size)]).equal(whole)
        features = client(images)
        assert torch.cat([service.logits(part) for part in features.split(size)]).equal(logits)


@EITHER
def test_the_white_box_has_gradients(values: int | None) -> None:
    client, _ = tiny(values)
    images = torch.rand(2, 3, *client.size, requires_grad=True)
    client.features(images).square().sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().sum()) > 0
    assert not any(each.requires_grad for each in client.network.parameters())


def test_attackers_can_learn_from_what_comes_out() -> None:
    client, service = tiny()
    attacker = torch.nn.Linear(8, 1)
    attacker(client(drawn(3)).flatten(1)).sum().backward()
    assert not service(client(drawn(3))).is_inference()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (drawn(1, 32, 32), "takes images of 32×36 pixels, not 32×32"),
        (drawn(1).float(), "uint8"),
        (drawn(1)[0], "batch of the shape"),
        (drawn(1)[:, :1], "grey"),
        (drawn(1)[:0], "no pixel"),
    ],
)
def test_other_images_are_refused(wrong: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tiny()[0](wrong)


@pytest.mark.parametrize(
    "wrong", [torch.zeros(1, 9, 1, 1), torch.zeros(8, 1, 1), torch.zeros(0, 8, 1, 1), torch.zeros(1, 8, 1, 1).byte()]
)
def test_other_features_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="takes features"):
        tiny()[1](wrong)


def test_networks_that_do_not_fit_are_refused() -> None:
    client, service = tiny()
    with pytest.raises(ObfuscatorError, match="multiples of 4"):
        replace(client, size=(30, 36))
    with pytest.raises(ObfuscatorError, match="2 labels, 1 names"):
        replace(service, target=("Smiling",))
    large = Obfuscator(8, values=8)
    with torch.no_grad():
        large.maps[0].weight[0] = 1e6
    with pytest.raises(ObfuscatorError, match="too large for float16"):
        replace(client, network=large)


@EITHER
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_files_give_the_same_back(values: int | None, norm: str, tmp_path: Path) -> None:
    client, service = tiny(values, norm=norm, measured={"Smiling": None})
    for one, file in ((client, tmp_path / "client"), (service, tmp_path / "service")):
        one.save(file)
        again = load(file)
        assert type(again) is type(one)
        names = ("name", "encoding", "target", "hides", "training", "measured", "fingerprint", "shape")
        assert [getattr(again, name) for name in names] == [getattr(one, name) for name in names]
        assert again.network.options == one.network.options
        first = file.read_bytes()
        again.save(file)
        assert file.read_bytes() == first
        assert not any(each.is_meta for each in again.network.state_dict().values())
    again_client, again_service = Client.load(tmp_path / "client"), Service.load(tmp_path / "service")
    assert (again_client.size, again_client.service) == (client.size, service.fingerprint)
    assert again_service.client == client.fingerprint
    images = drawn(3)
    assert again_client(images).equal(client(images))
    assert again_service(client(images)).equal(service(client(images)))


def test_neither_file_holds_anything_of_the_other(tmp_path: Path) -> None:
    client, service = write(tmp_path)
    held = [set(load_file(file)) for file in (client, service)]
    assert not held[0] & held[1]
    assert held[0] == set(Obfuscator(8, values=8).state_dict())
    assert held[1] == set(FeatureClassifier((8, 1, 1), 2, 8).state_dict())
    assert b"Male" in client.read_bytes()  # people are told what is hidden, and nothing is kept from phones


def test_statistics_of_normalisation_are_kept_whole(tmp_path: Path) -> None:
    """A running variance of a million, or of a ten-millionth, is no float16."""
    client, _ = tiny()
    network = Obfuscator(8, values=8)
    network.load_state_dict(client.network.state_dict())
    network.maps[1].running_var[:] = torch.tensor([1e6, 1e-7, *[1.0] * 6])
    extreme = replace(client, network=network)
    extreme.save(tmp_path / "client")
    stored = load_file(tmp_path / "client")
    assert stored["maps.1.running_var"].dtype == torch.float32
    assert stored["maps.0.weight"].dtype == torch.float16
    assert Client.load(tmp_path / "client").network.maps[1].running_var.equal(network.maps[1].running_var)
    assert Client.load(tmp_path / "client")(drawn(2)).equal(extreme(drawn(2)))


def test_fingerprints_are_of_what_is_sent() -> None:
    client, service = tiny()
    assert replace(client, name="other", training={}, service="").fingerprint == client.fingerprint
    assert replace(client, size=(36, 32)).fingerprint != client.fingerprint
    assert replace(client, encoding=Encoding("float16")).fingerprint != client.fingerprint
    assert replace(service, name="other", client="").fingerprint == service.fingerprint
    others = tiny(seed=1)
    assert len({client.fingerprint, service.fingerprint, *(one.fingerprint for one in others)}) == 4


def spoil(file: Path, **changes: Any) -> None:
    """Writes the file again with another card, or other tensors."""
    with safe_open(file, "pt") as stored:
        card = json.loads(stored.metadata()[HEADER])
    tensors = load_file(file)
    first = min(name for name in tensors if name.endswith("weight"))
    match changes.pop("tensor", None):
        case "missing":
            tensors.pop(first)
        case "more":
            tensors["more"] = torch.zeros(3)
        case "infinite":
            tensors[first].view(-1)[0] = float("inf")
        case "other":
            tensors[first].view(-1)[0] += 1
        case "float32":
            tensors[first] = tensors[first].float()
    network = card["network"] | changes.pop("network", {})
    removed = changes.pop("without", None)
    card = {key: value for key, value in (card | {"network": network} | changes).items() if key != removed}
    save_file(tensors, file, {HEADER: json.dumps(card)})


BOTH: list[tuple[dict[str, Any], str]] = [
    ({"kind": "veil transformation 1"}, "header does not say so|neither|another thing"),
    ({"kind": 7}, "header does not say so"),
    ({"network": {"width": 12}}, "multiple of 8"),
    ({"network": {"width": 10**9}}, "damaged"),
    ({"network": {"width": "8"}}, "damaged"),
    ({"network": {"width": True}}, "damaged"),
    ({"network": {"norm": "layer"}}, "no normalisation"),
    ({"network": {"depth": 3}}, "damaged"),
    ({"encoding": {"dtype": "uint4", "low": None, "high": None}}, "no encoding"),
    ({"encoding": {"dtype": "uint8", "low": "a", "high": 1}}, "not supported"),
    ({"encoding": {"dtype": "uint8"}}, "damaged"),
    ({"shape": [8, 1]}, "damaged"),
    ({"shape": [9, 1, 1]}, "damaged"),
    ({"target": "Smiling"}, "damaged"),
    ({"target": [1, 2]}, "damaged"),
    ({"without": "fingerprint"}, "damaged"),
    ({"without": "measured"}, "damaged"),
    ({"tensor": "missing"}, "missing"),
    ({"tensor": "more"}, "do not fit"),
    ({"tensor": "infinite"}, "not finite"),
    ({"tensor": "other"}, "not those that its card speaks of"),
    ({"tensor": "float32"}, "do not fit"),
]
CLIENTS: list[tuple[dict[str, Any], str]] = [
    ({"network": {"width": 16}}, "the weights do not fit"),
    ({"network": {"width": 1 << 16}}, "the weights do not fit"),
    ({"size": [30, 36]}, "multiples of 4"),
    ({"size": [1 << 20, 36]}, "damaged"),
    ({"size": [64, 64]}, "not those that its card speaks of"),
    ({"encoding": {"dtype": "float16", "low": None, "high": None}}, "not those that its card speaks of"),
    ({"network": {"values": None}}, "the weights do not fit"),
    ({"network": {"values": 10**9}}, "damaged"),
    ({"input": {"resize": "nearest"}}, "prepared in a way"),
]
SERVICES: list[tuple[dict[str, Any], str]] = [
    ({"target": ["Smiling"]}, "2 labels, 1 names"),
    ({"network": {"labels": 3}}, "the weights do not fit"),
    ({"network": {"shape": [8, 1]}}, "damaged"),
    ({"network": {"shape": None}}, "damaged"),
    ({"network": {"shape": [60000, 60000, 60000], "head": "fc"}}, "do not fit"),
    ({"without": "client"}, "damaged"),
]


def refused(read: Any, file: Path, said: str) -> None:
    with pytest.raises(ObfuscatorError, match=said) as caught:
        read(file)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize(("changes", "said"), BOTH + CLIENTS, ids=str)
def test_a_spoilt_client_is_refused_in_a_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    file = write(tmp_path)[0]
    spoil(file, **changes)
    refused(Client.load, file, said)
    refused(load, file, said)


@pytest.mark.parametrize(("changes", "said"), BOTH + SERVICES, ids=str)
def test_a_spoilt_service_is_refused_in_a_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    file = write(tmp_path)[1]
    spoil(file, **changes)
    refused(Service.load, file, said)
    refused(load, file, said)


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", None])
def test_other_files_are_refused_in_a_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "x.safetensors"
    if content is not None:
        file.write_bytes(content)
    for read in (Client.load, Service.load, load):
        refused(read, file, "x.safetensors: ")


def test_one_is_not_taken_for_the_other(tmp_path: Path) -> None:
    client, service = write(tmp_path)
    refused(Service.load, client, "it is a client's, not a service's")
    refused(Client.load, service, "it is a service's, not a client's")


def test_a_pair_knows_each_other() -> None:
    client, service = pair(
        Obfuscator(8), FeatureClassifier((16, 8, 9), 1, 8, head="fc"), size=(32, 36), name="maps",
        encoding=Encoding("float16"), target=("Smiling",), hides=(),
    )  # fmt: skip
    assert (client.service, service.client) == (service.fingerprint, client.fingerprint)
    assert service(client(drawn(2))).shape == (2, 1)
