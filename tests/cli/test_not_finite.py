"""Networks whose values leave the range of numbers: a photo, or an attack, is lost by that, never a job."""

import json
import struct
from pathlib import Path

import cards
import obfuscators
import overflowing
import pytest
import torch
from commands import rows_of, said, veil
from overflowing import LOUD
from plugins import plug

from veil.attacks.images import ATTACKS
from veil.cli.protect import FAILED

Captured = pytest.CaptureFixture[str]
NO_ANSWER = "the network overflowing gives no finite answer for this photo"
QUICK = ("--max-iterations", "3")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overflowing.write(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overflowing.photo_folder(tmp_path_factory.mktemp("photos") / "in")


def errors_of(out: Path) -> dict[str, str | None]:
    return {row["file"]: row["error"] for row in rows_of(out)}


def only_the_loud_one_failed(out: Path, reason: str = NO_ANSWER) -> bool:
    errors = errors_of(out)
    return errors.pop(LOUD) == reason and not (out / LOUD).exists() and set(errors.values()) == {None}


@pytest.mark.parametrize("scheme", ["crs", "cis", "entropy"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_photo_without_an_answer_fails_alone(
    scheme: str, precision: str, card: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("protect", folder, "-o", out, "-m", card, "--scheme", scheme, "--precision", precision, *QUICK)
    assert veil(*words) == FAILED
    assert only_the_loud_one_failed(out)
    assert veil(*words) == FAILED  # the same command goes on


def test_judges_without_an_answer(card: Path, folder: Path, tmp_path: Path) -> None:
    """The photo was written when the judge is asked; a file that nobody can judge does not stay."""
    out, good = tmp_path / "out", cards.write(tmp_path)
    assert veil("protect", folder, "-o", out, "-m", good, "--verify-with", card, "--survival", *QUICK) == FAILED
    assert only_the_loud_one_failed(out)


def test_universal_noise(card: Path, folder: Path, tmp_path: Path, capsys: Captured) -> None:
    noise, out = tmp_path / "noise.safetensors", tmp_path / "out"
    words = ("fit-noise", folder, "-o", noise, "-m", card, "--iterations", "2")
    assert veil(*words, "--icp-weight", "0") == 0
    assert f"{LOUD}: {NO_ANSWER}; skipped" in said(capsys)
    protect = ("protect", folder, "-o", out, "-m", card, "--scheme", "entropy", "--universal", noise)
    assert veil(*protect) == FAILED
    assert only_the_loud_one_failed(out)


def test_noise_for_photos_that_have_no_answer_is_not_fitted(card: Path, tmp_path: Path, capsys: Captured) -> None:
    loud = overflowing.photo_folder(tmp_path / "in", 0)
    noise = tmp_path / "noise.safetensors"
    assert veil("fit-noise", loud, "-o", noise, "-m", card, "--iterations", "2") == 2
    assert "gives no finite answer for any photo of this size" in said(capsys)
    assert not noise.exists()


def test_inspect(card: Path, folder: Path, capsys: Captured) -> None:
    assert veil("inspect", folder / "0.png", "-m", card) == 0
    assert veil("inspect", folder / LOUD, "-m", card) == 2
    assert NO_ANSWER in said(capsys)


def test_check(card: Path, folder: Path, tmp_path: Path) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "checked"
    labels.write_text("".join(f"{file.name},4\n" for file in sorted(folder.iterdir())))
    assert veil("check", folder, "-m", card, "--labels", labels, "-o", out) == FAILED
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert {row["file"] for row in rows if row["error"] == NO_ANSWER} == {LOUD}
    assert len(rows) == len(list(folder.iterdir()))


@pytest.mark.parametrize("number", ["losses", "scores", "goals"])
def test_a_scheme_of_others_without_finite_numbers(number: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scheme = f"not_finite:{number.upper()}"
    assert veil("protect", folder, "-o", out, "-m", cards.write(tmp_path), "--scheme", scheme) == FAILED
    assert set(errors_of(out).values()) == {f"the scheme gives {number} that are not finite for this photo"}


def test_an_attack_that_diverges_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    plug(monkeypatch, ATTACKS, diverging="not_finite:DIVERGING")
    out = tmp_path / "out"
    words = ("audit", "tanaka", "-o", out, "--scale", "smoke", "--attacks", "diverging,affine", "--json")
    assert veil(*words) == 0
    rows = {row["attack"]: row for row in rows_of(out) if row.get("kind") == "attack"}
    assert "diverged" in rows["diverging"]["failed"]
    assert "ssim" not in rows["diverging"]
    assert "failed" not in rows["affine"]  # the rest went on
    capsys.readouterr()
    assert veil(*words) == 0
    assert len([row for row in rows_of(out) if row.get("attack") == "diverging"]) == 1  # and it is not tried again


def test_features_that_a_service_has_no_answer_for(tmp_path: Path) -> None:
    """Anybody may send features: these are finite, and so large that the network's sums are not."""
    card, reader = obfuscators.tiny(values=None, sent="float32")
    with torch.no_grad():
        for values in reader.network.parameters():
            if values.ndim > 1:
                values.mul_(100)
    service = tmp_path / "service.safetensors"
    reader.save(service)
    sent = card.send(obfuscators.drawn(2))
    folder, out = tmp_path / "sent", tmp_path / "answers.jsonl"
    folder.mkdir()
    for name, values in (("good", sent[0]), ("huge", torch.full_like(sent[0], 3e38))):
        head = b"VEILFEA1" + bytes.fromhex(card.fingerprint)
        (folder / f"{name}.features").write_bytes(head + struct.pack(f"<{values.numel()}f", *values.flatten().tolist()))
    assert veil("obfuscate", "classify", folder, "--service", service, "-o", out, "--json") == 1
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    errors = {Path(line["file"]).stem: line["error"] for line in lines}
    assert errors == {"good": None, "huge": "the network tiny gives no finite answer for these features"}
