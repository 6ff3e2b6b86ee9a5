"""`veil audit` as a user meets it."""

import json
from pathlib import Path

import obfuscators
import pytest
from commands import rows_of, veil

Captured = pytest.CaptureFixture[str]


def test_an_audit_at_smoke_scale(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "out"
    assert veil("audit", "tanaka", "-o", out, "--scale", "smoke", "--attacks", "known-plaintext,affine", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    levels = {each["attacker"]: each["level"] for each in found["verdicts"]}
    assert levels["knows or chose a handful of the images"] == "exact"
    assert levels["may have as many images protected as they like"] == "exact"
    assert (out / "report.html").read_text().count("Known plaintext") >= 1
    before = rows_of(out)
    assert veil("audit", "tanaka", "-o", out, "--scale", "smoke", "--attacks", "chosen-plaintext") == 0
    new = [(row["kind"], row["attack"]) for row in rows_of(out) if row not in before and "attack" in row]
    assert new == [("attack", "chosen-plaintext"), ("shown", "chosen-plaintext")]
    assert "byte for byte" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "--scale", "smoke"), "no protection 'nothing'"),
        (("tanaka",), "--data"),
        (("tanaka", "--scale", "smoke", "--attacks", "gaa"), "no attack"),
        (("tanaka", "--scale", "smoke", "--classifier", "mnist-cnnn"), "no model"),
        (("tanaka", "--scale", "smoke", "--classifier", "things100"), "classes"),
        (("tanaka", "--data", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: Captured) -> None:
    assert veil("audit", *arguments, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error.replace("\n", " ")


def test_another_protection_is_refused_in_the_same_folder(tmp_path: Path, capsys: Captured) -> None:
    arguments = ("-o", tmp_path, "--scale", "smoke", "--attacks", "affine")
    assert veil("audit", "tanaka", *arguments) == 0
    assert veil("audit", "pixel-same", *arguments) == 2
    assert "other conditions (form, protection)" in capsys.readouterr().err.replace("\n", " ")


def test_a_clients_features_at_smoke_scale(tmp_path: Path, capsys: Captured) -> None:
    client, service = obfuscators.write(tmp_path / "made", size=(32, 32))
    out = tmp_path / "out"
    command = ("audit", client, "-o", out, "--scale", "smoke")
    assert veil(*command, "--service", service) == 2
    assert "Young" in capsys.readouterr().err  # drawn faces have no such attribute
    client, service = obfuscators.write(tmp_path / "smiles", size=(32, 32), target=("Smiling", "High_Cheekbones"))
    command = ("audit", client, "-o", out, "--scale", "smoke")
    assert veil(*command, "--service", service, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["about"] for each in found["verdicts"]] == ["Male", "the image", "the person"]
    assert (out / "report.html").read_text().count("Smiling") >= 1
    before = rows_of(out)
    assert veil(*command, "--service", service) == 0
    assert rows_of(out) == before
    assert "balanced accuracy" in capsys.readouterr().out


def test_what_does_not_belong_to_a_client_is_refused(tmp_path: Path, capsys: Captured) -> None:
    client, service = obfuscators.write(tmp_path / "one", size=(32, 32))
    _, other = obfuscators.write(tmp_path / "other", size=(32, 32), seed=1)
    for options, said in (
        (("--classifier", "things100"), "images"),
        (("--service", other), "another client"),
        (("--embedder", tmp_path / "none.onnx"), "none.onnx"),
    ):
        assert veil("audit", client, "-o", tmp_path / "out", "--scale", "smoke", *options) == 2
        assert said in capsys.readouterr().err.replace("\n", " ")
    assert veil("audit", service, "-o", tmp_path / "out", "--scale", "smoke") == 2
    assert "--service" in capsys.readouterr().err.replace("\n", " ")
    assert veil("audit", "tanaka", "-o", tmp_path / "out", "--scale", "smoke", "--service", service) == 2
    assert "clients" in capsys.readouterr().err.replace("\n", " ")
