"""Names that come from files lead to places below their folder, or are refused."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veil.runtime import names
from veil.runtime.names import UnsafeName

GOOD = ["a.png", "sub/deep/a.png", "./a.png", "größe-写真-📷.png", "e\u0301.png", "-rf.png", "..a..png", "a..", "...",
        "\u202egpj.png", os.fsdecode(b"invalid-\xff.png"), "x" * 255]  # fmt: skip
BAD = {
    "text": [None, 3, b"a.png", ["a.png"], {"a": 1}],
    "not the name of a file": ["", ".", "./", "\ud800.png"],
    "leads out": ["..", "../a.png", "sub/../../a.png", "sub/..", "/a.png", "//a.png", "/", "C:/a.png", "c:a.png"],
    "control characters": ["a\0.png", "a\nb.png", "\x1b[31m.png", "a\x7f", "a\x85b"],
    "too long": ["x" * 256, "sub/" + "x" * 256 + "/a.png", "x/" * 3000 + "a"],
}
# Pieces that names are made of, by those who mean harm and by those who do not.
PIECES = st.sampled_from(
    ["..", ".", "/", "\\", "a", "sub", "out", "loop", "away", "file", "C:", " ", "\n", "\0", "é", "~", "x" * 200]
)
NAMES = st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=8).map("/".join))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links that stay below it, and with others that do not."""
    place = tmp_path_factory.mktemp("names")
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "victim.txt").write_text("precious")
    folder = place / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("")
    (folder / "link-to-sub").symlink_to("sub")
    (folder / "link-to-file").symlink_to("sub/file")
    (folder / "loop").symlink_to("loop")
    (folder / "away").symlink_to(place / "elsewhere")
    (folder / "sub" / "out").symlink_to("../..")
    (folder / "file").symlink_to(place / "elsewhere" / "victim.txt")
    (folder / "nowhere").symlink_to(place / "elsewhere" / "new.txt")
    (folder / "chain").symlink_to("away")
    return folder


@pytest.mark.parametrize("name", GOOD)
def test_plain_names_lie_below_the_folder(folder: Path, name: str) -> None:
    assert names.below(folder, name) == folder / name


@pytest.mark.parametrize(("reason", "name"), [(reason, name) for reason, each in BAD.items() for name in each])
def test_other_names_are_refused_in_one_line_that_can_be_shown(folder: Path, reason: str, name: object) -> None:
    with pytest.raises(UnsafeName, match=reason) as caught:
        names.below(folder, name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["a\\b.png", "..\\a.png", "a.png:stream", ".. /a.png", "sub./a.png", "a.png "])
def test_windows_reads_more_into_a_name(name: str) -> None:
    assert names.checked(name, windows=False) == name
    with pytest.raises(UnsafeName):
        names.checked(name, windows=True)


@pytest.mark.parametrize("name", ["link-to-sub/file", "link-to-sub/new", "link-to-file", "new/deep/file"])
def test_links_that_stay_below_the_folder_are_followed(folder: Path, name: str) -> None:
    assert names.below(folder, name) == folder / name


@pytest.mark.parametrize("name", ["away/victim.txt", "away/new", "sub/out/new", "file", "nowhere", "chain/a/b", "away"])
def test_links_that_lead_out_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(UnsafeName, match="by a link"):
        names.below(folder, name)


def test_a_folder_may_be_a_link_itself_and_need_not_be_there(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert names.below(tmp_path / "link", "sub/file") == tmp_path / "link/sub/file"
    assert names.below(tmp_path / "later", "sub/file") == tmp_path / "later/sub/file"
    with pytest.raises(UnsafeName, match="by a link"):
        names.below(tmp_path / "link", "away/victim.txt")


@pytest.mark.skipif(os.name == "nt", reason="names count in characters there")
def test_what_the_disk_finds_too_long_is_refused(folder: Path) -> None:
    with pytest.raises(UnsafeName, match="too long"):
        names.below(folder, "写" * 200)


@settings(deadline=None)
@given(name=NAMES)
def test_a_name_resolves_below_the_folder_or_is_refused(folder: Path, name: str) -> None:
    try:
        path = names.below(folder, name)
    except UnsafeName:
        return
    real = Path(os.path.realpath(path))
    assert real != folder.resolve()
    assert real.is_relative_to(folder.resolve())


@settings(deadline=None)
@given(
    parts=st.lists(st.text(st.characters(blacklist_characters="/"), min_size=1, max_size=60), min_size=1, max_size=4)
)
def test_plain_takes_away_what_is_not_for_a_name(parts: list[str]) -> None:
    """Of names of files there are, only those with half a character stay refused, which no disk has."""
    parts = [part for part in parts if part not in (".", "..")]
    name = names.plain("/".join(parts))
    if parts and not any("\ud800" <= character <= "\udfff" for character in name):
        assert names.checked(name, windows=False) == name
    assert names.plain(name) == name


def test_plain_leaves_other_names_as_they_are() -> None:
    assert [names.plain(name) for name in GOOD] == GOOD
    assert names.plain("two\nlines\t.png") == "two_lines_.png"
    assert names.plain("C:\\photo.png") == "C_\\photo.png"


def test_folders_are_looked_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(str(path)) or real(path))
    resolver = names.Resolver(folder)
    for number in range(1000):
        resolver.path(f"sub/{number}.png")
        resolver.path(f"{number}.png")
    assert len(asked) == 3


def test_a_resolver_of_many_folders_forgets_some_and_stays_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_REMEMBERED", 3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/out").symlink_to(tmp_path)
    inside = names.Resolver(tmp_path / "folder")
    for number in range(10):
        assert inside.path(f"{number}/a.png") == tmp_path / f"folder/{number}/a.png"
        with pytest.raises(UnsafeName, match="by a link"):
            inside.path("out/a.png")
    assert len(inside._inside) <= 3
