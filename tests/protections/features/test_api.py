"""`veil.obfuscate` and `veil.classify`: images of any kind in, features, and answers out."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from obfuscators import drawn, tiny, write
from PIL import Image

import veil
from veil import images
from veil.images import Photo
from veil.protections.features import feature_files
from veil.protections.features.api import Answers, FeatureFolder, Features
from veil.protections.features.feature_files import OtherClient
from veil.protections.features.file import Client, Service, load


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A client and its service."""
    return write(tmp_path_factory.mktemp("obfuscator"))


@pytest.fixture(scope="module")
def pair(files: tuple[Path, Path]) -> tuple[Client, Service]:
    client, service = (load(file) for file in files)
    assert isinstance(client, Client)
    assert isinstance(service, Service)
    return client, service


def kinds(folder: Path) -> dict[str, Any]:
    """One image of another size than the client's, in all kinds."""
    pixels = drawn(1, 20, 50)[0]
    images.save(Photo(pixels), folder / "one.png")
    array = pixels.permute(1, 2, 0).numpy()
    return {
        "path": folder / "one.png", "text": str(folder / "one.png"), "photo": Photo(pixels), "tensor": pixels,
        "array": array, "pillow": Image.fromarray(array),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["path", "text", "photo", "tensor", "array", "pillow"])
def test_an_image_of_any_kind_has_the_features_of_its_file(
    kind: str, pair: tuple[Client, Service], tmp_path: Path
) -> None:
    client = pair[0]
    given = kinds(tmp_path)
    features = veil.obfuscate(given[kind], client, device="cpu")
    plain, _ = feature_files.prepared(Photo(given["tensor"]), client.size)
    assert features.sent.equal(client.send(plain[None]))
    assert features.values.equal(client(plain[None]))
    assert repr(features) == f"Features(1 × 8×1×1 uint8, client {client.fingerprint})"
    features.save(tmp_path / "one.features")
    assert feature_files.read(tmp_path / "one.features", pair[1]).equal(features.values[0])


def test_batches_are_their_images(pair: tuple[Client, Service]) -> None:
    batch = drawn(3)
    whole = veil.obfuscate(batch, pair[0], device="cpu")
    assert len(whole) == 3
    assert whole.sent.equal(pair[0].send(batch))
    as_array = veil.obfuscate(batch.permute(0, 2, 3, 1).numpy(), pair[0], device="cpu")
    as_list = veil.obfuscate([batch[0], Image.fromarray(batch[1].permute(1, 2, 0).numpy()), batch[2]], pair[0])
    assert as_array.sent.equal(whole.sent)
    assert as_list.sent.equal(whole.sent)
    with pytest.raises(ValueError, match="one image, not of 3"):
        whole.save("three.features")


def test_a_service_answers(files: tuple[Path, Path], pair: tuple[Client, Service]) -> None:
    client, service = pair
    features = veil.obfuscate(drawn(3), files[0], device="cpu")
    answers = veil.classify(features, files[1], device="cpu")
    wanted = service(client(drawn(3)))
    assert answers["Smiling"] == pytest.approx(wanted[:, 0].tolist())
    assert answers[2].probabilities == pytest.approx(tuple(wanted[2].tolist()))
    assert len(answers) == 3
    assert veil.classify(features.values, service, device="cpu")["Young"] == answers["Young"]
    with pytest.raises(KeyError, match="the service tells Smiling, Young"):
        answers["Male"]
    with pytest.raises(OtherClient, match=f"features of the client {client.fingerprint}"):
        veil.classify(features, tiny(seed=1)[1])


def test_answers_are_shown(pair: tuple[Client, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = veil.classify(veil.obfuscate(drawn(2), pair[0], device="cpu"), pair[1], device="cpu")
    assert repr(answers) == "Answers(2 of Smiling, Young)"
    one = Answers(answers.names, answers.answers[:1])
    assert repr(one).startswith("Answers(Smiling: 0.")
    assert one._repr_html_().count("<td>") == 3
    lines: list[Any] = []
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(json_normalize=lines.extend))
    answers.to_dataframe()
    assert [set(line) for line in lines] == [{"file", "Smiling", "Young", "error"}] * 2


def test_folders_become_files(pair: tuple[Client, Service], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        images.save(Photo(drawn(1, 20, 50, number)[0]), tmp_path / f"in/{number}.png")
    (tmp_path / "in/3.png").write_text("no image")
    folder = veil.obfuscate(tmp_path / "in", pair[0], tmp_path / "out", device="cpu")
    assert isinstance(folder, FeatureFolder)
    assert [row["file"] for row in folder.rows] == ["0.png", "1.png", "2.png", "3.png"]
    assert repr(folder) == f"FeatureFolder({str(tmp_path / 'out')!r}, 4 images, 1 failed)"
    (tmp_path / "out/1.features").write_bytes(b"hello")
    answers = veil.classify(tmp_path / "out", pair[1], device="cpu")
    alone = veil.classify(veil.obfuscate(tmp_path / "in/2.png", pair[0], device="cpu"), pair[1], device="cpu")
    assert [answer.file for answer in answers] == ["0.features", "1.features", "2.features"]
    assert answers[1].error == "not a file of features"
    assert answers["Smiling"] == [answers["Smiling"][0], None, alone["Smiling"][0]]
    assert "not a file of features" in answers._repr_html_()


def test_what_is_refused(pair: tuple[Client, Service], tmp_path: Path) -> None:
    client, service = pair
    with pytest.raises(ValueError, match="needs a folder for its features"):
        veil.obfuscate(tmp_path, client)
    with pytest.raises(TypeError, match="files and folders of photos are taken, not ndarray"):
        veil.obfuscate(np.zeros((4, 4, 3), np.uint8), client, tmp_path / "out")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="uint8"):
        veil.obfuscate(torch.rand(3, 32, 36), client)
    with pytest.raises(ValueError, match="there is no image"):
        veil.obfuscate([], client)
    with pytest.raises(ValueError, match="tiny takes features"):
        veil.classify(torch.rand(2, 9, 1, 1), service)
    service.save(tmp_path / "service")
    with pytest.raises(ValueError, match="it is a service's, not a client's"):
        veil.obfuscate(drawn(1), tmp_path / "service")
    assert isinstance(veil.obfuscate(drawn(1), client), Features)
