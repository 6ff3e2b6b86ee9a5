"""Which files a job takes, in which order, under which names."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from veil.jobs import listing
from veil.jobs.database import Database, blob, text
from veil.jobs.folders import FolderError
from veil.jobs.naming import OutputNames

SUFFIXES = frozenset({".jpg"})


def expected(folder: Path) -> Iterator[Path]:
    """What a job takes, in its order, written down the obvious way."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from expected(entry)
        elif entry.suffix == ".jpg":
            yield entry


def test_the_order_is_that_of_sorted_folders(tmp_path: Path) -> None:
    draw = random.Random(0)
    names = ["a", "a.b", "a b", "a-", "A", "é", "z\udcff", "\U0001f4f7", "￮", "a!", "10", "9", "a\x1f"]
    for _ in range(200):
        parts = [draw.choice(names) for _ in range(draw.randint(0, 3))]
        file = tmp_path.joinpath("in", *parts, draw.choice(names) + draw.choice([".jpg", ".txt"]))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found = listing.find([tmp_path / "in"], SUFFIXES, tmp_path / "out")
    files = list(expected(tmp_path / "in"))
    assert list(found.files) == [(file, file.relative_to(tmp_path / "in").as_posix()) for file in files]
    assert len(found.files) == len(files) > 50
    assert found.passed_over == sum(file.suffix == ".txt" for file in (tmp_path / "in").rglob("*"))


def test_files_are_located_by_their_names(tmp_path: Path) -> None:
    for name in ("one/a.jpg", "one/b.jpg", "two/one/a.jpg", "alone.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inputs = [tmp_path / "one", tmp_path / "two/one", tmp_path / "alone.png"]
    paths = {name: path for path, name in listing.find(inputs, SUFFIXES, tmp_path / "out").files}
    assert list(paths) == ["one/a.jpg", "one/b.jpg", "one-2/a.jpg", "alone.png"]
    wanted = ["one-2/a.jpg", "alone.png", "not there"]
    assert listing.locate(inputs, SUFFIXES, tmp_path / "out", wanted) == {name: paths[name] for name in wanted[:2]}


def test_any_text_can_be_stored() -> None:
    texts = ["", "\0", "a\udcff", "\ud800", "￿", "\U0001f4f7", "é"]
    assert [text(blob(each)) for each in texts] == texts
    assert sorted(texts, key=blob) == sorted(texts)


def test_an_error_of_the_database_is_one_line() -> None:
    with pytest.raises(FolderError, match="does not fit into the temporary folder"):
        Database().run("INSERT INTO nowhere VALUES (1)")


@pytest.mark.parametrize(
    "name", ["a.jpg", "a", "a.", ".a", "..a", "a..b", "a.b.c", "x.y/a", "rows.jsonl/a.jpg", "é.jpg"]
)
def test_an_output_has_the_name_of_its_source_with_another_suffix(name: str) -> None:
    assert OutputNames(Database(), ".png", [name]).give(name) == Path(name).with_suffix(".png").as_posix()


def test_sources_that_want_one_name_keep_their_suffixes() -> None:
    given = ["a.jpg", "a.webp", "A.gif", "b.jpg"]
    names = OutputNames(Database(), ".png", given)
    assert [names.give(name) for name in given] == ["a.jpg.png", "a.webp.png", "A.gif.png", "b.png"]


def test_names_of_what_runs_leave_are_not_given() -> None:
    names = OutputNames(Database(), ".jsonl", ["rows.txt", "ROWS.a"])
    assert names.give("rows.txt") == "rows.txt.jsonl"
    assert OutputNames(Database(), ".jsonl", ["rows.txt"]).give("rows.txt") == "rows-2.jsonl"
