"""`veil audit` of a client: who is judged, the gap to the training's adversary, and pictures for a study."""

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import obfuscators
import pytest
import torch
from commands import rows_of, said, veil
from face_folders import made_folder
from repository import REPOSITORY

from veil import images
from veil.audits.features import picture_rows
from veil.audits.protocol import faces_for
from veil.cli import audit_pictures
from veil.data import faces, synthetic_faces
from veil.data.faces import FaceParts
from veil.images import Photo
from veil.jobs.folders import FolderError
from veil.protections.features.file import Client
from veil.study import folder as studies
from veil.study.questions import Settings

Captured = pytest.CaptureFixture[str]
ATTRIBUTES: dict[str, Any] = {"size": (32, 32), "target": ("Smiling", "High_Cheekbones"), "hides": ("Male",)}


def card(parts: FaceParts) -> dict[str, Any]:
    """What `veil.protections.features.trainer` writes of them."""
    return {"data": parts.name, "fingerprint": parts.fingerprint, "split": parts.split, "split_seed": parts.seed}


def client(training: dict[str, Any]) -> Client:
    return obfuscators.tiny(**ATTRIBUTES, training=training)[0]


# What is refused, and what is only warned of


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces of fifty people, in no partition."""
    return made_folder(tmp_path_factory.mktemp("data") / "faces")


def test_other_faces_of_that_name_are_refused(data: Path, tmp_path: Path, capsys: Captured) -> None:
    fewer = made_folder(tmp_path / "faces", 200)
    client(card(faces.read(data, 32, split="paper"))).save(tmp_path / "client")
    assert veil("audit", tmp_path / "client", "--data", fewer, "-o", tmp_path / "out", "--scale", "smoke") == 2
    assert "may have been trained with; give that very set" in said(capsys)
    assert not (tmp_path / "out").exists()


def test_what_all_faces_of_a_part_have_is_said_first(tmp_path: Path, capsys: Captured) -> None:
    data = tmp_path / "faces"
    data.mkdir()
    lines = ["file,Smiling,High_Cheekbones,Male,partition"]
    for number in range(30):
        images.save(Photo(obfuscators.drawn(1, 32, 32, number)[0]), data / f"{number}.png")
        part = ("train", "val", "test")[number % 3]
        lines.append(f"{number}.png,{number % 2},{number % 2},{int(part != 'val' and number % 2)},{part}")
    (data / "attributes.csv").write_text("\n".join(lines))
    client({"data": "else"}).save(tmp_path / "client")
    assert veil("audit", tmp_path / "client", "--data", data, "-o", tmp_path / "out", "--scale", "smoke") == 2
    assert "Male is false of all 10 faces that are for validation" in said(capsys)
    assert not (tmp_path / "out").exists()


# The gap, and a whole audit


def test_an_audit_says_the_gap_and_leaves_what_a_study_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """With a reconstructor that draws negatives, in place of the one that is trained."""
    monkeypatch.setattr(picture_rows, "drawn_again", lambda audit, faces: 255 - faces)
    drawn = synthetic_faces.faces(600, 0, 32)
    training = card(drawn) | {"adversary": {"on": "60 validation images", "balanced_accuracy": {"Male": 0.5125}}}
    client(training).save(tmp_path / "client")
    out, pictures = tmp_path / "out", tmp_path / "out/faces"
    command = ("audit", tmp_path / "client", "-o", out, "--scale", "smoke")
    assert veil(*command, "--save-reconstructions", pictures, "--reconstructions", "20", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    strongest = max(
        row["balanced_accuracy"] for row in rows_of(out)
        if row.get("kind") == "attribute" and row.get("attribute") == "Male"
    )  # fmt: skip
    assert [{key: gap[key] for key in ("attribute", "training", "retrained", "gap")} for gap in printed["gaps"]] == [
        {
            "attribute": "Male",
            "training": 0.5125,
            "retrained": strongest,
            "gap": pytest.approx(strongest - 0.5125, abs=1e-4),
        }
    ]
    assert "What the training said of itself" in (out / "report.html").read_text()
    about = rows_of(out)[0]["about"]
    assert (about["known"], about["adversary"]) == (True, {"Male": 0.5125})
    assert about["faces"] == {"own": 60, "validation": 60, "judged": 60, "service": 420}

    judged = faces_for(client(training), drawn).judged
    names = [f"{number:06}.png" for number in range(20)]
    for name, face in zip(names, judged.images, strict=False):
        assert images.load(pictures / "original" / name).pixels.equal(face)
        assert images.load(pictures / "reconstructed" / name).pixels.equal(255 - face)
    assert sorted(file.name for file in (pictures / "reconstructed").iterdir()) == names
    assert judged.identities is not None
    rows = list(csv.reader((pictures / "identities.csv").read_text().splitlines()))
    assert rows == [
        ["file", "identity"],
        *([n, str(p)] for n, p in zip(names, judged.identities.tolist(), strict=False)),
    ]
    assert pictures.stat().st_mode & 0o077 == 0
    made = studies.from_folders(
        pictures / "original", pictures / "reconstructed", pictures / "identities.csv",
        Settings(questions=2, options=3, attention=1),
    )  # fmt: skip
    assert len(made.study.questions) == 3

    assert printed["reconstructions"] == str(pictures)
    before = rows_of(out)
    assert veil(*command) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the training's own adversary read 51.2 % (60 validation faces), the strongest retrained attacker" in shown
    assert f"a gap of {100 * (strongest - 0.5125):+.1f} points" in shown
    assert rows_of(out) == before
    assert veil(*command, "--save-reconstructions", pictures) == 2
    assert "is not empty; choose another folder" in said(capsys)


def test_pictures_have_a_folder_of_their_own(tmp_path: Path, capsys: Captured) -> None:
    client({}).save(tmp_path / "client")
    command = ("audit", tmp_path / "client", "--scale", "smoke", "-o", tmp_path / "out/deeper")
    for folder in ("out", "out/deeper"):
        assert veil(*command, "--save-reconstructions", tmp_path / folder) == 2
        assert "a folder of their own" in said(capsys)
    assert veil("audit", "tanaka", "-o", tmp_path / "out", "--scale", "smoke", "--save-reconstructions", "x") == 2
    assert "--save-reconstructions belongs to audits of clients" in said(capsys)


def test_pictures_of_strangers_have_no_identities(tmp_path: Path) -> None:
    some = synthetic_faces.faces(30, 0, 24).test
    unknown = faces.Faces(some.images, some.attributes, some.names, None)
    audit_pictures.write(unknown, some.images, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["original", "reconstructed"]
    assert "--identities" not in audit_pictures.command(tmp_path / "out")
    assert studies.from_folders(
        tmp_path / "out/original", tmp_path / "out/reconstructed", None, Settings(questions=2, options=2, attention=1)
    )  # fmt: skip


def test_pictures_appear_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit_pictures, "encode", full)
    some = synthetic_faces.faces(30, 0, 24).test
    with pytest.raises(FolderError, match="No space left"):
        audit_pictures.write(some, some.images, tmp_path / "out")
    assert not list(tmp_path.iterdir())


# The documentation


def commands(page: str, *, of: str) -> list[list[str]]:
    """The commands of the block on a page that holds some text."""
    blocks = re.findall(r"```console\n(.*?)```", (REPOSITORY / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    lines = next(block for block in blocks if of in block).splitlines()
    return [shlex.split(line.removeprefix("$ veil "), comments=True) for line in lines]


def test_the_examples_in_the_docs_work_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From training to a study, at smoke scale; with fewer questions, for there are fewer people."""
    more = {
        "train": ["--scale", "smoke"],
        "audit": ["--scale", "smoke"],
        "new": ["--questions", "2", "--attention", "1"],
    }
    monkeypatch.chdir(tmp_path)
    made_folder(tmp_path / "celeba", 420)
    (tmp_path / "photos").mkdir()
    images.save(Photo(obfuscators.drawn(1, 40, 50)[0]), tmp_path / "photos/one.png")
    given = commands("obfuscation.md", of="veil obfuscate train")
    given += commands("study.md", of="--save-reconstructions")
    assert len(given) == 7
    for words in given:
        extra = next((more[word] for word in words[:2] if word in more), [])
        assert veil(*words, *extra) == 0, words
    assert rows_of(tmp_path / "smile/audit")[0]["about"]["known"] is True
    original, reconstructed = (
        torch.stack([images.load(each).pixels for each in sorted((tmp_path / "smile/faces" / name).iterdir())])
        for name in ("original", "reconstructed")
    )
    assert original.shape == reconstructed.shape
    assert len(studies.read(tmp_path / "study").questions) == 3
