"""`veil protect` on folders as photographers have them: links, dates, formats, and what is for the owner alone."""

import json
import os
from pathlib import Path

import cards
import pytest
from commands import kept_of, rows_of, said, veil
from networks import photos
from PIL import Image

Captured = pytest.CaptureFixture[str]
QUICK = ("--budget", 8, "--max-iterations", 2, "--required-score", 0.5)
DATE = 1_000_000_000_123_456_789  # ns


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(cards.write(tmp_path_factory.mktemp("card")))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*files: Path | str, number: int = 0) -> None:
    """A photo in several places and formats, last modified at `DATE`."""
    image = Image.fromarray(photos(number + 1)[number].permute(1, 2, 0).numpy())
    for file in map(Path, files):
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
        os.utime(file, ns=(DATE, DATE))


def protect(card: str, *words: object, out: str = "out") -> None:
    assert veil("protect", *words, "-o", out, "-m", card, *QUICK) in (0, 3)


def names(out: str = "out") -> list[str]:
    return [row["file"] for row in rows_of(Path(out))]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_report_is_for_the_owner_and_the_terminal_says_so(place: Path, card: str, capsys: Captured) -> None:
    """REVIEW S7: it holds small pictures of the originals."""
    write("in/a.png")
    protect(card, "in")
    shown = " ".join(capsys.readouterr().out.split())
    assert "report (holds small pictures of the originals; do not share): out-private/report.html" in shown
    assert [file.name for file in (place / "out").iterdir()] == ["a.png"]
    assert (place / "out-private/report.html").stat().st_mode & 0o777 == 0o600
    assert list((place / "out-private").glob(".*")) == [place / "out-private/.lock"]


def test_a_report_of_others_is_not_overwritten(place: Path, card: str, capsys: Captured) -> None:
    """REVIEW S10."""
    write("in/a.png")
    (place / "out").mkdir()
    (place / "out/report.html").write_text("precious")
    assert veil("protect", "in", "-o", "out", "-m", card, *QUICK) == 2
    assert "out is not empty, and holds no run of Veil" in said(capsys)
    assert (place / "out/report.html").read_text() == "precious"


def test_dates_are_kept_where_asked_for_and_also_later(place: Path, card: str) -> None:
    """REVIEW U7. In 7c1583f there was no such option."""
    write("in/a.png")
    protect(card, "in")
    assert (place / "out/a.png").stat().st_mtime_ns > DATE
    protect(card, "in", "--keep-dates")
    assert (place / "out/a.png").stat().st_mtime_ns == DATE
    protect(card, "in", "--keep-dates", out="other")
    assert (place / "other/a.png").stat().st_mtime_ns == DATE


def test_same_writes_a_jpeg_for_a_jpeg(place: Path, card: str) -> None:
    """REVIEW U7. Files are judged as what they are: rows have the format."""
    write("in/a.jpg", "in/b.JPEG", "in/c.png", "in/d.webp", "in/e.tif", "in/f.bmp", "in/a.png")
    for _ in range(2):
        protect(card, "in", "--format", "same", "--quality", 90)
    rows = {row["file"]: (row["out"], row["format"]) for row in rows_of(place / "out")}
    assert rows == {
        "a.jpg": ("a.jpg", "jpeg"), "a.png": ("a.png", "png"), "b.JPEG": ("b.JPEG", "jpeg"), "c.png": ("c.png", "png"),
        "d.webp": ("d.webp", "webp"), "e.tif": ("e.tif", "tiff"), "f.bmp": ("f.png", "png"),
    }  # fmt: skip
    for out, format in rows.values():
        with Image.open(place / "out" / out) as image:
            assert image.format == format.upper()
    manifest = json.loads(kept_of(place / "out", "run.json").read_text())
    assert (manifest["format"], manifest["quality"]) == ("same", 90)


def test_names_that_clash_are_kept_apart(place: Path, card: str) -> None:
    write("in/a.bmp", "in/a.png", "in/A.gif")
    for _ in range(2):
        protect(card, "in", "--format", "same")
        outs = [row["out"] for row in rows_of(place / "out")]
        assert len({out.casefold() for out in outs}) == 3


@pytest.mark.parametrize("format", ["png", "same"])
def test_a_row_of_others_cannot_name_another_kind_of_file(
    place: Path, card: str, format: str, capsys: Captured
) -> None:
    write("in/a.jpg")
    protect(card, "in", "--format", format)
    file = kept_of(place / "out", "rows.jsonl")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"out": "a.sh"}) + "\n")
    assert veil("protect", "in", "-o", "out", "-m", card, *QUICK, "--format", format) == 2
    assert "names an output that cannot be used" in said(capsys)


def test_links_keep_the_names_that_were_given(place: Path, card: str) -> None:
    """REVIEW U7. In 7c1583f the real folders' names stood there."""
    write("real/one/a.png")
    write("real/two/b.png", number=1)
    (place / "holiday").symlink_to("real/one")
    (place / "family").symlink_to("real/two")
    protect(card, "holiday", "family")
    assert names() == ["holiday/a.png", "family/b.png"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["photos", "link"], ["photos/a.png", "photos/sub/b.png"]),
        (["link", "photos"], ["link/a.png", "link/sub/b.png"]),
        (["photos", "photos/sub", "photos/a.png"], ["photos/a.png", "photos/sub/b.png"]),
        (["photos/sub", "photos"], ["sub/b.png", "photos/a.png"]),
        (["photos/a.png", "photos"], ["photos/a.png", "photos/sub/b.png"]),
        (["photos/a.png", "./photos/a.png"], ["photos/a.png"]),
    ],
)
def test_nothing_is_done_twice(place: Path, card: str, given: list[str], expected: list[str]) -> None:
    """REVIEW U7. 7c1583f did files of two links to one folder, and of nested inputs, twice."""
    write("photos/a.png")
    write("photos/sub/b.png", number=1)
    (place / "link").symlink_to("photos")
    protect(card, *given)
    assert names() == expected


def test_a_link_in_the_tree_neither_loses_names_nor_ends_never(place: Path, card: str) -> None:
    """Links come before the real folders in the alphabet, where 7c1583f took their names."""
    write("photos/sub/b.png")
    write("elsewhere/c.png", number=1)
    (place / "photos/a-link").symlink_to("sub")
    (place / "photos/b-link").symlink_to("../elsewhere")
    (place / "photos/sub/up").symlink_to("..")
    (place / "elsewhere/self").symlink_to("self")
    (place / "photos/z.png").symlink_to("sub/b.png")
    protect(card, "photos")
    assert names() == ["b-link/c.png", "sub/b.png", "z.png"]
