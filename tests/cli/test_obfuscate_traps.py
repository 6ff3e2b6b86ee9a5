"""Traps of a first hour with `veil obfuscate`: data cut for smoke, splits that no audit takes, what is no face."""

import sys
from pathlib import Path

import obfuscators
import pytest
from commands import rows_of, said, veil
from face_folders import made_folder, people

from veil import images
from veil.data import faces
from veil.images import Photo
from veil.protections.features.card import trained_with
from veil.protections.features.file import Client

Captured = pytest.CaptureFixture[str]
SMOKE = ("--target", "Smiling", "--hide", "Male", "--scale", "smoke")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set of 700 faces, and the folder of a client that was trained with it at smoke scale."""
    home = tmp_path_factory.mktemp("smoke")
    data = made_folder(home / "faces", 700)
    assert veil("obfuscate", "train", *SMOKE, "--data", data, "-o", home / "out") == 0
    return data, home / "out"


def test_smoke_scale_cuts_the_data_and_the_audit_cuts_it_alike(
    trained: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    data, out = trained
    client = Client.load(out / "client.safetensors")
    assert client.training["images"] == 420
    known = trained_with(client.training)
    assert known is not None
    assert known.most == 600
    command = ("audit", out / "client.safetensors", "--data", data, "-o", tmp_path, "--scale", "smoke")
    assert veil(*command, "--attacks", "linear", "--no-control") == 0
    about = rows_of(tmp_path)[0]["about"]
    assert about["known"] is True
    assert sum(about["faces"].values()) == 600
    assert "may have been trained with" not in said(capsys)


def test_fewer_faces_are_always_the_same_ones_and_no_one_is_in_two_parts(trained: tuple[Path, Path]) -> None:
    few, again, whole = (faces.read(trained[0], 16, most=most) for most in (100, 100, None))
    assert few.fingerprint == again.fingerprint
    assert [len(part) for part in (few.train, few.validation, few.test)] == [70, 10, 20]
    assert len(whole.train) + len(whole.validation) + len(whole.test) == 700
    assert few.aspect == 1.0
    assert people(few.train).isdisjoint(people(few.test))
    assert len(people(few.train)) >= 70 / 4  # a few photos of each, not all of a few


def test_what_an_audit_would_refuse_is_refused_before_training(tmp_path: Path, capsys: Captured) -> None:
    """In the validation part nobody has the hidden attribute."""
    data = tmp_path / "faces"
    data.mkdir()
    lines = ["file,Smiling,Male,partition"]
    for number in range(60):
        images.save(Photo(obfuscators.drawn(1, 32, 32, number)[0]), data / f"{number}.png")
        part = ("train", "val", "test")[number % 3]
        lines.append(f"{number}.png,{number // 3 % 2},{int(part != 'val' and number // 3 % 2)},{part}")
    (data / "attributes.csv").write_text("\n".join(lines))
    assert veil("obfuscate", "train", *SMOKE, "--data", data, "-o", tmp_path / "out") == 2
    shown = said(capsys)
    assert "an audit of this client would be refused: Male is false of all 20 faces that are for validation" in shown
    assert "another --split or --seed" in shown
    assert not (tmp_path / "out").exists()


def test_a_landscape_is_refused_unless_its_middle_is_asked_for(
    trained: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "in").mkdir()
    images.save(Photo(obfuscators.drawn(1, 60, 90)[0]), tmp_path / "in/landscape.png")
    images.save(Photo(obfuscators.drawn(1, 64, 60)[0]), tmp_path / "in/portrait.png")
    client = trained[1] / "client.safetensors"
    command = ("obfuscate", "extract", tmp_path / "in", "--client", client)
    assert veil(*command, "-o", tmp_path / "out") == 1
    landscape, portrait = rows_of(tmp_path / "out")
    assert (
        "not framed like the faces that the client was trained with: 1.50 times as wide as high" in landscape["error"]
    )
    assert portrait["notes"][0] == "not checked to be a face"
    assert veil(*command, "-o", tmp_path / "cut", "--crop", "centre") == 0
    landscape, portrait = rows_of(tmp_path / "cut")
    assert landscape["notes"][:2] == ["its middle cut out, 60×60", "not checked to be a face"]
    assert veil("obfuscate", "show", client) == 0
    assert "of photos 1.00 times as wide as high" in capsys.readouterr().out


def test_a_missing_face_recogniser_is_one_line(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    command = ("audit", trained[1] / "client.safetensors", "--data", trained[0], "-o", tmp_path, "--scale", "smoke")
    assert veil(*command, "--embedder", tmp_path / "faces.onnx") == 2
    shown = capsys.readouterr().err
    assert 'pip install "veil[faces]"' in " ".join(shown.split())
    assert "Traceback" not in shown
    assert len(shown.strip().splitlines()) <= 2
