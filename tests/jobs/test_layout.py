"""Outputs lie alone, everything else beside them, for the owner; and nothing of others is touched."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import kept_of, rows_of, said, veil
from PIL import Image

from veil.jobs.folders import FolderError
from veil.jobs.layout import Layout, layout_of, make_private

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Path:
    """The current folder, with two images in ``in`` and a key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in/sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "sub/b.png")):
        Image.new("RGB", (5, 7), (number, 2, 3)).save(tmp_path / "in" / name)
    assert veil("key", "new", "a.key") == 0
    capsys.readouterr()
    return tmp_path


def encrypt(*words: object, out: object = "out") -> int:
    return veil("encrypt", *(words or ("in",)), "-o", out, "--cipher", "tanaka", "--key", "a.key")


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def below(folder: Path) -> dict[str, bytes | None]:
    """All that lies in a folder: contents of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_outputs_lie_alone_and_the_rest_is_private(place: Path, umask: int) -> None:
    """REVIEW S7. In 7c1583f rows, run.json and a lock lay among the outputs, for all to read."""
    before = os.umask(umask)
    try:
        assert encrypt() == encrypt() == 0
    finally:
        os.umask(before)
    assert set(below(place / "out")) == {"a.png", "sub", "sub/b.png"}
    private = place / "out-private"
    assert {file.name for file in private.iterdir()} == {".lock", "rows.jsonl", "run.json"}
    assert private.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o077 == 0 for file in private.iterdir())


@pytest.mark.parametrize("name", ["mine.txt", "report.html", ".lock", "sub/.0123456789abcdef.part", "rows.jsonl"])
def test_a_folder_of_others_is_refused(place: Path, name: str, capsys: Captured) -> None:
    """REVIEW S10. In 7c1583f the lock was emptied, the report overwritten, and ``*.part`` deleted."""
    (place / "out" / name).parent.mkdir(parents=True)
    (place / "out" / name).write_text("precious")
    before = below(place)
    assert encrypt() == 2
    assert "out is not empty, and holds no run of Veil; choose a new or an empty folder" in said(capsys)
    assert below(place) == before


def test_a_lock_that_is_a_link_is_not_emptied(place: Path) -> None:
    """REVIEW S10."""
    (place / "victim").write_text("precious")
    (place / "out").mkdir()
    (place / "out/.lock").symlink_to(place / "victim")
    assert encrypt() == 2
    assert (place / "victim").read_text() == "precious"


def test_an_empty_folder_is_taken(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out-private").mkdir(0o777)
    assert encrypt() == 0
    assert (place / "out-private").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", ["file in it", "link", "file"])
def test_a_private_folder_of_others_is_refused(place: Path, kind: str, capsys: Captured) -> None:
    (place / "elsewhere").mkdir()
    if kind == "link":
        (place / "out-private").symlink_to(place / "elsewhere")
    elif kind == "file":
        (place / "out-private").write_text("precious")
    else:
        (place / "out-private").mkdir()
        (place / "out-private/rows.jsonl").write_text("precious")
    before = below(place)
    assert encrypt() == 2
    assert "out-private" in said(capsys)
    assert {name: content for name, content in below(place).items() if name != "out"} == before


def test_a_private_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out-private").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "out-private").stat().st_uid + 1)
    with pytest.raises(FolderError, match="belongs to somebody else"):
        make_private(tmp_path / "out-private")


def in_old_layout(out: Path) -> None:
    """Puts a run's files where 7c1583f had them."""
    for file in kept_of(out).iterdir():
        file.rename(out / file.name)
    kept_of(out).with_name(f"{out.name}-private").rmdir()


def test_an_old_folder_goes_on_where_it_lies(place: Path, capsys: Captured) -> None:
    assert encrypt() == 0
    in_old_layout(place / "out")
    (place / "out/a.png").unlink()
    assert encrypt() == 0
    assert "1 of 2 images are done already" in said(capsys)
    assert not (place / "out-private").exists()
    assert len(rows_of(place / "out")) == 2
    assert veil("decrypt", "out", "-o", "back", "--key", "a.key") == 0
    assert set(below(place / "back")) == {"a.png", "sub", "sub/b.png"}


def test_encrypted_images_are_decrypted_wherever_they_lie(place: Path, capsys: Captured) -> None:
    """With the private folder beside them; by ``--rows``; without either as before, by the cipher's name."""
    assert encrypt() == 0
    (place / "moved").mkdir()
    for name in ("out", "out-private"):
        (place / name).rename(place / "moved" / name)
    assert veil("decrypt", "moved/out/sub", "-o", "back", "--key", "a.key") == 0
    assert size(place / "back/b.png") == (5, 7)
    shutil.copytree(place / "moved/out", place / "cloud")
    assert veil("decrypt", "cloud", "-o", "back2", "--key", "a.key", "--rows", "moved/out-private") == 0
    assert size(place / "back2/a.png") == (5, 7)
    assert veil("decrypt", "cloud", "-o", "back3", "--key", "a.key") == 2
    assert "say --rows" in said(capsys)
    assert veil("decrypt", "cloud", "-o", "back3", "--key", "a.key", "--cipher", "tanaka") == 0
    assert size(place / "back3/a.png") == (8, 8)


def test_a_private_folder_is_no_output_folder(place: Path, capsys: Captured) -> None:
    assert encrypt() == 0
    assert encrypt(out="out-private") == 2
    assert "out-private holds the rows of" in said(capsys)


@pytest.mark.parametrize(
    ("words", "out", "message"),
    [
        ("in", "in", "in is an input: outputs would lie among the originals; choose a folder beside it"),
        ("in/.", "../{}/in", "/in is in: outputs would lie among the originals"),
        ("in", ".", ". holds the input in: outputs would lie among the originals"),
        ("in", "in/new", "in/new lies in the input in: a later run would take outputs for originals"),
        ("link", "in/new", "in/new lies in the input link"),
        ("in", "link", "link is in: outputs would lie among the originals"),
        ("in/a.png", "in", "in is the folder of in/a.png: outputs would lie among the originals"),
        ("in/sub/b.png", "in", "in holds the input in/sub/b.png"),
    ],
)  # fmt: skip
def test_in_place_is_refused_and_says_what_to_do(
    place: Path, words: str, out: str, message: str, capsys: Captured
) -> None:
    """REVIEW U7. 7c1583f said "no photos found", or wrote among the originals."""
    (place / "link").symlink_to("in")
    before = below(place)
    assert encrypt(words, out=out.format(place.name)) == 2
    assert message in (line := said(capsys))
    assert "choose a folder beside it, such as" in line
    assert below(place) == before


def test_a_single_photo_may_have_its_output_below_its_folder(place: Path) -> None:
    assert encrypt("in/a.png", out="in/new") == 0


def spellings(out: Path) -> Iterator[Path]:
    yield out
    yield Path(os.path.relpath(out))
    yield out / "sub/.."
    yield out.parent / "link"


def test_an_output_folder_has_one_private_folder_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("out")
    for out in spellings(tmp_path / "out"):
        assert Path(os.path.realpath(layout_of(out).private)) == tmp_path / "out-private"


def test_rows_are_found_in_either_place(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert layout_of(out) == Layout(out, tmp_path / "out-private")
    (out / "run.json").write_text(json.dumps({}))
    assert layout_of(out).old
    (tmp_path / "out-private").mkdir()
    (tmp_path / "out-private/run.json").write_text(json.dumps({}))
    assert layout_of(out).rows == tmp_path / "out-private/rows.jsonl"
