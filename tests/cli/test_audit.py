"""`veil audit` as a user meets it."""

import json
from pathlib import Path

import obfuscators
import pytest
from commands import rows_of, veil

from veil import images
from veil.data import synthetic
from veil.images import Photo

Captured = pytest.CaptureFixture[str]


def test_an_audit_at_smoke_scale(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "out"
    assert veil("audit", "tanaka", "-o", out, "--scale", "smoke", "--attacks", "known-plaintext,affine", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    texts = {each["attacker"]: each["text"] for each in found["verdicts"]}
    assert "gives every image back, byte for byte" in texts["knows or chose a handful of the images"]
    assert texts["may have as many images protected as they like"].startswith("As above")
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


def test_smoke_scale_gives_no_verdict_anywhere(tmp_path: Path, capsys: Captured) -> None:
    """Neither on the terminal, nor in JSON, nor on the page; scale and n stand beside every number."""
    none = "smoke scale: shows that everything runs; no verdict"
    command = (
        "audit",
        "pixel-different",
        "-o",
        tmp_path,
        "--scale",
        "smoke",
        "--attacks",
        "feature-reconstruction,affine",
    )
    assert veil(*command) == 0
    shown = capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    for text in (shown, page):
        assert text.count(none) >= 4
        assert not [level for level in ("nothing found", "not shown", "lower bound", "leaks") if level in text]
        assert "2 attacks, 24 images, smoke scale" in text
    assert veil(*command, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scale"] == "smoke"
    assert {(one["level"], one["verdict"], one["images"], one["scale"]) for one in found["verdicts"]} == {
        ("smoke", none, 24, "smoke")
    }  # fmt: skip


def photos(folder: Path) -> Path:
    """Drawn images as a data set of two parts."""
    parts = synthetic.small_images(train=60, test=30, classes=2, side=16, seed=0)
    for name, part in (("train", parts.train), ("test", parts.test)):
        for number, (image, label) in enumerate(zip(part.images, part.labels.tolist(), strict=True)):
            place = folder / name / f"class{label}"
            place.mkdir(parents=True, exist_ok=True)
            images.save(Photo(image), place / f"{number}.png")
    return folder


def test_nothing_is_found_only_where_the_control_was_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "randomly.py").write_text(
        "import torch\n\n\ndef protect(images, generator=None):\n"
        "    return torch.randint(0, 256, images.shape, dtype=torch.uint8, generator=generator)\n"
    )
    data, pairs = photos(tmp_path / "photos"), "may have as many images protected as they like"

    def audited(out: str, *options: str) -> tuple[dict[str, str], str]:
        command = ("audit", "randomly:protect", "--data", data, "-o", out, "--attacks", "affine,chosen-plaintext")
        assert veil(*command, "--json", *options) == 0
        said = json.loads(capsys.readouterr().out)["verdicts"]
        return {one["attacker"]: one["verdict"] for one in said}, (tmp_path / out / "report.html").read_text()

    verdicts, page = audited("out", "--no-control")
    assert verdicts[pairs] == "not shown: no control"
    assert "No control:" in page
    assert "nothing found" not in page
    before = rows_of(tmp_path / "out")
    verdicts, page = audited("out")  # the folder goes on: only its controls are measured
    assert verdicts[pairs] == "nothing found (the same attack breaks pixel-same exactly: affine map of every pixel)"
    assert verdicts["sees protected images"] == "not tried"
    assert "Attacks that report nothing, made against something else" in page
    rows = rows_of(tmp_path / "out")
    assert rows[: len(before)] == before
    assert [row["kind"] for row in rows[len(before) :] if "kind" in row] == ["control", "control"]
    assert veil("audit", "randomly:protect", "--data", data, "-o", "out", "--attacks", "affine,chosen-plaintext") == 0
    assert "(2 attacks, 30 images, cpu scale)" in capsys.readouterr().out


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
    shown = capsys.readouterr().out
    assert "balanced accuracy over 120 faces of 20 people" in shown
    assert shown.count("smoke scale: shows that everything runs; no verdict") == 3


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
