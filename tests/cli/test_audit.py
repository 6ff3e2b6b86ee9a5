"""`veil audit` as a user meets it."""

import json
from pathlib import Path

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
    assert [row.get("attack") for row in rows_of(out) if row not in before and "attack" in row] == ["chosen-plaintext"]
    assert "byte for byte" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "--scale", "smoke"), "no protection nothing"),
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
