"""Studies as folders: pairs by name, nothing that tells the answer, whole or not there."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from study_faces import pictures, small
from study_faces import write as write_photos

from veil.images import load
from veil.study import folder
from veil.study.questions import Settings, StudyError

FEW = Settings(questions=4, attention=1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_photos(tmp_path / "original", pictures(24))
    write_photos(tmp_path / "reconstructed", 255 - pictures(24)[:8], "jpg")
    return tmp_path


def identities(photos: Path, text: str) -> Path:
    file = photos / "identities.csv"
    file.write_text(text)
    return file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = small()
    folder.write(made, tmp_path / "study")
    assert folder.read(tmp_path / "study") == made.study
    found = folder.read_images(tmp_path / "study", made.study)
    assert found.keys() == made.images.keys()
    for name in found:
        assert torch.equal(load(tmp_path / "study" / "images" / f"{name}.png").pixels, made.images[name])
    assert (tmp_path / "study").stat().st_mode & 0o077 == 0, "the folder holds the solutions"


def test_pairs_are_found_by_name_whatever_the_suffix(photos: Path) -> None:
    made = folder.from_folders(photos / "original", photos / "reconstructed", None, FEW)
    originals = pictures(24)
    for each in made.study.questions:
        number = int(each.subject.removesuffix(".png"))
        assert torch.equal(made.images[each.options[each.right]], originals[number])
        if not each.attention:
            shown = load(photos / "reconstructed" / f"{number:02}.jpg").pixels
            assert torch.equal(made.images[each.shown], shown)
    again = folder.from_folders(photos / "original", photos / "reconstructed", None, FEW)
    assert again.study == made.study


def test_no_distractor_shares_the_person(photos: Path) -> None:
    rows = [f"{number:02}.png,{number % 8}" for number in range(23)]  # 23.png is nobody known, and left out
    file = identities(photos, "file,identity\n" + "\n".join(rows))
    settings = Settings(questions=5, attention=2, another_photo=True)
    made = folder.from_folders(photos / "original", photos / "reconstructed", file, settings)
    originals = pictures(24)
    for each in made.study.questions:
        numbers = [
            next(n for n in range(24) if torch.equal(originals[n], made.images[option])) for option in each.options
        ]  # fmt: skip
        subject = int(each.subject.removesuffix(".png"))
        assert [n % 8 == subject % 8 for n in numbers] == [place == each.right for place in range(4)]
        assert (numbers[each.right] == subject) == each.attention
        assert 23 not in numbers


def test_files_say_nothing_beside_their_pixels(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    folder.write(folder.from_folders(photos / "original", photos / "reconstructed", None, FEW), out)
    sizes = set()
    for file in (out / "images").iterdir():
        with Image.open(file) as image:
            assert image.info == {}
            sizes.add(image.size)
    assert sizes == {(12, 12)}
    names = {file.stem for file in (out / "images").iterdir()}
    assert all(len(name) == 16 for name in names)


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder.write(small(), tmp_path / "empty")
    with pytest.raises(StudyError, match="not empty"):
        folder.write(small(), tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="not empty"):
        folder.write(small(), tmp_path / "file")
    with pytest.raises(StudyError, match="cannot write"):
        folder.write(small(), tmp_path / "file" / "study")


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StudyError, match="No space left"):
        folder.write(small(), tmp_path / "study")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "every row"),
        ("00.png", "every row"),
        ("00.png,", "every row"),
        ("00.png,1\n00.jpg,2", "more than once"),
        ("00.png,1\n01.png,1", "there are 1"),
    ],
)
def test_bad_identities_are_refused(photos: Path, text: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        folder.from_folders(photos / "original", photos / "reconstructed", identities(photos, text), FEW)


def test_bad_folders_are_refused(photos: Path) -> None:
    with pytest.raises(StudyError, match="no folder"):
        folder.from_folders(photos / "none", photos / "reconstructed", None, FEW)
    (photos / "original" / "00.jpg").write_bytes((photos / "reconstructed" / "00.jpg").read_bytes())
    with pytest.raises(StudyError, match="one name"):
        folder.from_folders(photos / "original", photos / "reconstructed", None, FEW)
    (photos / "original" / "00.jpg").unlink()
    (photos / "original" / "03.png").unlink()
    with pytest.raises(StudyError, match=r"no original for .*03\.jpg"):
        folder.from_folders(photos / "original", photos / "reconstructed", None, FEW)
    (photos / "original" / "03.png").write_bytes(b"no picture")
    with pytest.raises(StudyError, match=r"03\.png: not a photo"):
        folder.from_folders(photos / "original", photos / "reconstructed", None, Settings(questions=8, attention=2))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"}, {"version": 2}, {"name": "../x"}, {"questions": []}, {"questions": [{}]},
        {"settings": {"options": 5}}, {"contact": 3}, {"more": 1},
    ],
)  # fmt: skip
def test_damaged_studies_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    folder.write(small(), tmp_path / "study")
    file = tmp_path / "study" / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(StudyError, match=r"no study|damaged"):
        folder.read(tmp_path / "study")


def test_a_study_with_a_path_for_a_name_is_refused(tmp_path: Path) -> None:
    folder.write(small(), tmp_path / "study")
    file = tmp_path / "study" / "study.json"
    found = json.loads(file.read_text())
    found["questions"][0]["shown"] = "../../secret"
    file.write_text(json.dumps(found))
    with pytest.raises(StudyError, match="damaged"):
        folder.read(tmp_path / "study")
    file.write_text("{")
    with pytest.raises(StudyError, match="cannot be read"):
        folder.read(tmp_path / "study")
    file.unlink()
    with pytest.raises(StudyError, match="veil study new"):
        folder.read(tmp_path / "study")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    made = small()
    folder.write(made, tmp_path / "study")
    (tmp_path / "study" / "images" / f"{made.study.questions[0].shown}.png").unlink()
    with pytest.raises(StudyError, match=made.study.questions[0].shown):
        folder.read_images(tmp_path / "study", made.study)


@pytest.mark.parametrize("linked", ["picture", "folder"])
def test_a_picture_behind_a_link_is_never_shown_to_participants(tmp_path: Path, linked: str) -> None:
    made = small()
    folder.write(made, tmp_path / "study")
    place = tmp_path / "study" / "images"
    if linked == "folder":
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
    else:
        picture = place / f"{made.study.questions[0].shown}.png"
        picture.unlink()
        (tmp_path / "secret").write_text("secret")
        picture.symlink_to(tmp_path / "secret")
    with pytest.raises(StudyError, match="leads out of its folder, by a link"):
        folder.read_images(tmp_path / "study", made.study)
