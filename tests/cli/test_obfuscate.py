"""`veil obfuscate` as a user meets it: training, sending, reading, cards, bad input, and being killed."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import full_disk, kept_of, rows_of, said, same, veil
from face_folders import made_folder
from obfuscators import drawn, write

from veil import images
from veil.cli.obfuscate import FAILED
from veil.data import faces, synthetic_faces
from veil.images import Photo
from veil.protections.features import feature_files
from veil.protections.features.card import TrainedWith, adversary_accuracies, trained_with
from veil.protections.features.file import Client, Service

Captured = pytest.CaptureFixture[str]
SMOKE = ("--scale", "smoke", "--pretraining", "1", "--epochs", "1", "--side", "32")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A client and its service."""
    return write(tmp_path_factory.mktemp("obfuscator"))


def photos(folder: Path, count: int) -> Path:
    """Small photos, every other one in a sub-folder."""
    (folder / "sub").mkdir(parents=True)
    for number in range(count):
        name = f"sub/{number:03}.png" if number % 2 else f"{number:03}.png"
        images.save(Photo(drawn(1, 20 + number % 3, 24, number)[0]), folder / name)
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return photos(tmp_path / "in", 6)


def test_images_become_features_and_features_answers(
    inputs: Path, tmp_path: Path, files: tuple[Path, Path], capsys: Captured
) -> None:
    client, service = Client.load(files[0]), Service.load(files[1])
    out = tmp_path / "out"
    assert veil("obfuscate", "extract", inputs, "--client", files[0], "-o", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    sizes = [file.stat().st_size for file in inputs.rglob("*.png")]
    assert summary == {
        "images": 6, "extracted": 6, "failed": 0, "client": client.fingerprint, "bytes": 24,
        "image_bytes": round(sum(sizes) / 6), "out": str(out),
    }  # fmt: skip
    table, lines = tmp_path / "answers.csv", tmp_path / "answers.jsonl"
    assert veil("obfuscate", "classify", out, "--service", files[1], "-o", table) == 0
    assert "6 files: 6 read, 0 failed; Smiling, Young" in " ".join(capsys.readouterr().out.split())
    assert veil("obfuscate", "classify", out, "--service", files[1], "-o", lines, "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"] == 6
    rows = list(csv.DictReader(table.read_text().splitlines()))
    again = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["file"] for row in rows] == [row["file"] for row in again] == [row["out"] for row in rows_of(out)]
    for row, other in zip(rows, again, strict=True):
        plain, _ = feature_files.prepared(images.load((inputs / row["file"]).with_suffix(".png")), client.size)
        wanted = service(client(plain[None]))[0].tolist()
        assert [float(row[name]) for name in service.target] == pytest.approx(wanted, abs=1e-6)
        assert [other[name] for name in service.target] == pytest.approx(wanted, abs=1e-6)
        assert (row["error"], other["error"]) == ("", None)


def test_what_is_done_is_not_done_again(
    inputs: Path, tmp_path: Path, files: tuple[Path, Path], capsys: Captured
) -> None:
    command = ["obfuscate", "extract", inputs, "--client", files[0], "-o", tmp_path / "out"]
    assert veil(*command) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "6 images: 6 extracted, 0 failed; 24 bytes are sent of an image, its file has" in shown
    first = same(tmp_path / "out")
    assert veil(*command) == 0
    assert "6 of 6 images are done already" in said(capsys)
    assert same(tmp_path / "out") == first
    other, _ = write(tmp_path / "other", seed=1)
    assert veil("obfuscate", "extract", inputs, "--client", other, "-o", tmp_path / "out") == 2
    assert "other settings: client " in said(capsys)


def test_failures_are_rows_and_status_1(
    inputs: Path, tmp_path: Path, files: tuple[Path, Path], capsys: Captured
) -> None:
    out = tmp_path / "out"
    (inputs / "000bad.jpg").write_text("not an image")
    assert veil("obfuscate", "extract", inputs, "--client", files[0], "-o", out) == FAILED
    assert "failed 000bad.jpg: not a photo" in said(capsys)
    (out / "000.features").write_bytes(b"hello")
    assert veil("obfuscate", "classify", out, "--service", files[1], "-o", tmp_path / "a.csv") == FAILED
    assert "failed 000.features: not a file of features" in said(capsys)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row["file"] for row in rows if row["error"]] == ["000.features"]
    assert rows[0]["Smiling"] == ""


def test_features_of_another_client_are_one_error(
    inputs: Path, tmp_path: Path, files: tuple[Path, Path], capsys: Captured
) -> None:
    veil("obfuscate", "extract", inputs, "--client", files[0], "-o", tmp_path / "out")
    _, other = write(tmp_path / "other", seed=1)
    capsys.readouterr()
    assert veil("obfuscate", "classify", tmp_path / "out", "--service", other, "-o", tmp_path / "a.csv") == 2
    error = capsys.readouterr().err
    assert error.startswith("veil: ")
    assert error.count("\n") == 1
    assert f"features of the client {Client.load(files[0]).fingerprint}" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in",
        "other",
        "out",
        "out-private",
    ]  # no answers, no half of them


def test_a_full_disk_is_a_row_and_an_error(
    inputs: Path, tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    full_disk(monkeypatch, ".features")
    assert veil("obfuscate", "extract", inputs, "--client", files[0], "-o", tmp_path / "out") == FAILED
    monkeypatch.undo()
    assert veil("obfuscate", "extract", inputs, "--client", files[0], "-o", tmp_path / "out") == 0
    full_disk(monkeypatch, ".csv")
    capsys.readouterr()
    command = ["obfuscate", "classify", tmp_path / "out", "--service", files[1], "-o", tmp_path / "a.csv"]
    assert veil(*command) == 2
    assert "No space left" in said(capsys)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("extract", "IN", "--client", "SERVICE", "-o", "OUT"), "it is a service's, not a client's"),
        (("extract", "IN", "--client", "IN/000.png", "-o", "OUT"), "not a safetensors file"),
        (("extract", "IN", "--client", "none", "-o", "OUT"), "cannot be read"),
        (("extract", "none", "--client", "CLIENT", "-o", "OUT"), "there is no none"),
        (("extract", "IN", "--client", "CLIENT", "-o", "OUT", "--device", "tpu"), "no device"),
        (("classify", "IN", "--service", "CLIENT", "-o", "a.csv"), "it is a client's, not a service's"),
        (("classify", "IN", "--service", "SERVICE", "-o", "a.csv"), "no files of features"),
        (("classify", "IN", "--service", "SERVICE", "-o", "a.txt"), "*.csv or *.jsonl"),
        (("show", "IN/000.png"), "not a safetensors file"),
    ],
)
def test_wrong_usage_is_status_2_and_says_why(
    inputs: Path, tmp_path: Path, files: tuple[Path, Path], command: tuple[str, ...], message: str, capsys: Captured
) -> None:
    known = {
        "CLIENT": files[0],
        "SERVICE": files[1],
        "OUT": tmp_path / "out",
        "IN": inputs,
        "IN/000.png": inputs / "000.png",
    }
    assert veil("obfuscate", *(known.get(word, word) for word in command)) == 2
    assert message in said(capsys)
    assert not (tmp_path / "out").exists()


def test_cards_are_shown(files: tuple[Path, Path], capsys: Captured) -> None:
    client, service = Client.load(files[0]), Service.load(files[1])
    assert veil("obfuscate", "show", files[0], "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["fingerprint"], shown["service"]) == (
        "client",
        client.fingerprint,
        service.fingerprint,
    )
    assert (shown["hides"], shown["bytes"], shown["shape"]) == (["Male"], 24, [8, 1, 1])
    assert veil("obfuscate", "show", files[0]) == 0
    text = capsys.readouterr().out
    assert "sends        8×1×1 values as uint8: 24 bytes an image\n" in text
    assert "takes        images resized to 36×32 pixels\n" in text
    assert "measured     nothing said\n" in text
    assert veil("obfuscate", "show", files[1]) == 0
    text = capsys.readouterr().out
    assert "for          Smiling, Young\nhides        Male\n" in text
    assert f"its client   {client.fingerprint}\n" in text


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, files: tuple[Path, Path]) -> Path:
    """A folder with 300 images in ``in``, and their features in ``whole``."""
    folder = tmp_path_factory.mktemp("many")
    photos(folder / "in", 300)
    veil("obfuscate", "extract", folder / "in", "--client", files[0], "-o", folder / "whole")
    return folder


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_killed_half_way_it_ends_the_same(
    many: Path, tmp_path: Path, files: tuple[Path, Path], signal_number: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = ["obfuscate", "extract", str(many / "in"), "--client", str(files[0]), "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "veil", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and sum(1 for _ in out.rglob("*.features")) < 40:
        time.sleep(0.005)
    process.send_signal(signal_number)
    process.wait()
    assert process.returncode == (130 if signal_number == signal.SIGINT else -signal.SIGKILL)
    done = rows_of(out) if kept_of(out, "rows.jsonl").exists() else []
    assert len(done) < 300
    assert all((out / row["out"]).is_file() for row in done)
    veil(*command)
    assert same(out) == same(many / "whole")


# veil obfuscate train


def test_train_makes_both_files(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "made"
    command = ["obfuscate", "train", "--target", "Smiling", "--hide", "Male,Heavy_Makeup", "-o", out, *SMOKE]
    assert veil(*command, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    client, service = Client.load(out / "client.safetensors"), Service.load(out / "service.safetensors")
    assert result["fingerprints"] == [client.fingerprint, service.fingerprint]
    assert (client.service, service.client) == (service.fingerprint, client.fingerprint)
    assert (client.name, client.target, client.hides) == ("made", ("Smiling",), ("Male", "Heavy_Makeup"))
    assert 0 <= result["utility"]["Smiling"]["balanced_accuracy"] <= 1
    assert client.measured["on"] == "made-faces, 120 test images"
    with_what = trained_with(client.training)
    assert trained_with(service.training) == with_what
    assert with_what == TrainedWith("made-faces", synthetic_faces.faces(600, 0, 32).fingerprint, "official", 0)
    assert adversary_accuracies(client.training) == adversary_accuracies(service.training)
    assert set(adversary_accuracies(client.training)) == {"Male", "Heavy_Makeup"}
    assert veil(*command) == 0  # from its checkpoints
    shown = " ".join(capsys.readouterr().out.split())
    assert "Smiling: the service is right in" in shown
    assert "What attackers read is not known yet" in shown
    assert f"veil audit {out / 'client.safetensors'} --scale smoke -o {out / 'audit'}" in shown
    assert Client.load(out / "client.safetensors").fingerprint == client.fingerprint


def test_train_reads_a_folder_of_faces(tmp_path: Path, capsys: Captured) -> None:
    """Maps, of 8 bits, and no attribute to hide."""
    data, lines = tmp_path / "faces", ["file,Smiling"]
    data.mkdir()
    for number in range(40):
        images.save(Photo(drawn(1, 40, 40, number)[0]), data / f"{number:02}.png")
        lines.append(f"{number:02}.png,{number % 2}")
    (data / "attributes.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    options = ("--values", "0", "--sent", "uint8", "--data", data, "--lambda2", "1", "--name", "maps")
    assert veil("obfuscate", "train", "--target", "Smiling", "-o", out, *SMOKE, *options) == 0
    client = Client.load(out / "client.safetensors")
    assert (client.name, client.shape, client.hides, client.encoding.dtype) == ("maps", (16, 8, 8), (), "uint8")
    assert client.encoding.low == 0


def test_a_card_says_with_which_split_it_was_trained_and_what_its_adversary_read(
    tmp_path: Path, capsys: Captured
) -> None:
    data = made_folder(tmp_path / "faces")
    out = tmp_path / "out"
    options = ("--hide", "Male", "--data", data, "--split", "paper", "--seed", "4", "--json")
    assert veil("obfuscate", "train", "--target", "Smiling", "-o", out, *SMOKE, *options) == 0
    log = json.loads(capsys.readouterr().out)["logs"]["adversarial"]
    parts = faces.read(data, 32, split="paper", seed=4)
    for card in (Client.load(out / "client.safetensors").training, Service.load(out / "service.safetensors").training):
        assert trained_with(card) == TrainedWith("faces", parts.fingerprint, "paper", 4)
        assert adversary_accuracies(card) == {"Male": pytest.approx(log[-1]["watched_adversary"], abs=1e-4)}
        assert card["adversary"]["on"] == f"{len(parts.validation)} validation images"


def test_what_hides_nothing_had_no_adversary(tmp_path: Path) -> None:
    assert veil("obfuscate", "train", "--target", "Smiling", "-o", tmp_path / "out", *SMOKE) == 0
    assert adversary_accuracies(Client.load(tmp_path / "out/client.safetensors").training) == {}


PRINT = "0123456789abcdef"


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ({"data": "a b", "fingerprint": PRINT, "split": "paper", "split_seed": 3, "seed": 4},
         TrainedWith("a b", PRINT, "paper", 3)),
        ({"data": f"a b {PRINT}", "seed": 4}, None),
        ({"data": f"a b {PRINT}"}, None),
        ({"data": "a b", "seed": 4}, None),
        ({}, None),
        ({"data": "a", "fingerprint": PRINT, "split": "half", "split_seed": 3}, None),
        ({"data": "a", "fingerprint": PRINT, "split": ["paper"], "split_seed": 3}, None),
        ({"data": "a", "fingerprint": PRINT, "split": "paper", "split_seed": True}, None),
        ({"data": 7, "fingerprint": PRINT, "split": "paper", "split_seed": 3}, None),
    ],
)  # fmt: skip
def test_what_a_card_says_of_its_faces(card: dict[str, object], found: TrainedWith | None) -> None:
    assert trained_with(card) == found


@pytest.mark.parametrize("said", [None, 7, {}, {"balanced_accuracy": [0.5]}, {"balanced_accuracy": {"Male": "much"}},
                                  {"balanced_accuracy": {"Male": float("nan")}}])  # fmt: skip
def test_what_a_card_does_not_say_of_adversaries_is_nothing(said: object) -> None:
    assert adversary_accuracies({"adversary": said}) == {}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--target", "Smiling", "--hide", "Smiling", *SMOKE), "cannot be hidden from it: Smiling"),
        (("--target", "Smilling", *SMOKE), "did you mean Smiling"),
        (("--target", "Smiling", "--hide", "male", *SMOKE), "did you mean Male"),
        (("--target", "Smiling", "--hide", "Male,Male", *SMOKE), "named twice: Male"),
        (("--target", " , ", *SMOKE), "at least one attribute"),
        (("--target", "Smiling"), "give --data"),
        (("--target", "Smiling", "--data", "nowhere"), "there is no folder nowhere"),
        (("--target", "Smiling", *SMOKE, "--width", "12"), "multiple of 8"),
        (("--target", "Smiling", *SMOKE, "--side", "34"), "--side is a multiple of 4"),
        (("--target", "Smiling", *SMOKE, "--learning-rate", "0"), "learning_rate"),
    ],
)
def test_train_refuses_what_cannot_be(options: tuple[str, ...], reason: str, tmp_path: Path, capsys: Captured) -> None:
    assert veil("obfuscate", "train", "-o", tmp_path / "out", *options) == 2
    assert reason in said(capsys)


def test_an_attribute_of_all_images_is_refused(tmp_path: Path, capsys: Captured) -> None:
    data, lines = tmp_path / "faces", ["file,Smiling,Male"]
    data.mkdir()
    for number in range(20):
        images.save(Photo(drawn(1, 32, 32, number)[0]), data / f"{number:02}.png")
        lines.append(f"{number:02}.png,{number % 2},1")
    (data / "attributes.csv").write_text("\n".join(lines))
    command = ["obfuscate", "train", "--target", "Smiling", "--hide", "Male", "-o", tmp_path / "out", "--data", data]
    assert veil(*command, *SMOKE) == 2
    assert "Male is true of all 14 training images" in said(capsys)
