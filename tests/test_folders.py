"""The folder job: names, resume, locks, broken state."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from veil import folders
from veil.folders import FolderError, Item, Row

SUFFIXES = frozenset({".jpg", ".png", ".webp"})


def copying(items: Iterable[Item]) -> Iterator[tuple[Item, Row]]:
    """Work that copies; a file with the content ``bad`` fails."""
    for item in items:
        content = item.source.read_bytes()
        if content == b"bad":
            yield item, {"file": item.name, "out": None, "protected": False, "error": "bad"}
            continue
        item.out.parent.mkdir(parents=True, exist_ok=True)
        item.out.write_bytes(content)
        row = {"file": item.name, "out": item.out_name, "error": None, "source": folders.stamp(item.source)}
        yield item, row


def run(inputs: list[Path], out: Path, work=copying, **more) -> list[Row]:  # type: ignore[no-untyped-def]
    settings = more.pop("settings", {"budget": 3})
    return folders.run(inputs, out, work, suffixes=SUFFIXES, suffix=".png", settings=settings, **more)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name in ("a.jpg", "b.jpg", "sub/c.jpg", "sub/deep/d.webp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.jpg").write_text("hidden")
    return folder


def test_mirrors_sub_folders_and_keeps_the_order(inputs: Path, tmp_path: Path) -> None:
    seen = []
    rows = run([inputs], tmp_path / "out", started=lambda total, done, passed_over: seen.append((total, passed_over)))
    assert [row["file"] for row in rows] == ["a.jpg", "b.jpg", "sub/c.jpg", "sub/deep/d.webp"]
    assert [row["out"] for row in rows] == ["a.png", "b.png", "sub/c.png", "sub/deep/d.png"]
    assert all((tmp_path / "out" / row["out"]).read_text() == row["file"] for row in rows)
    assert seen == [(4, 1)]
    assert folders.read_rows(tmp_path / "out/rows.jsonl") == rows


def test_names_never_collide(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = ["a.jpg", "a.png", "A.webp", "a.jpg.png", "rows.jpg", "report.png", "b.png"]
    for name in names:
        (folder / name).write_text(name)
    rows = run([folder], tmp_path / "out")
    outs = [row["out"] for row in rows]
    assert len({out.casefold() for out in outs}) == len(names)
    assert next(row["out"] for row in rows if row["file"] == "b.png") == "b.png"
    assert all((tmp_path / "out" / row["out"]).read_text() == row["file"] for row in rows)


def test_names_stay_when_files_are_added(inputs: Path, tmp_path: Path) -> None:
    run([inputs], tmp_path / "out")
    (inputs / "a.webp").write_text("a.webp")
    (inputs / "a.png").write_text("a.png")
    rows = {row["file"]: row["out"] for row in run([inputs], tmp_path / "out")}
    assert rows["a.jpg"] == "a.png"
    assert len(set(rows.values())) == 6
    assert (tmp_path / "out" / rows["a.webp"]).read_text() == "a.webp"


def test_several_inputs_get_their_folders_names(inputs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "in"
    other.mkdir(parents=True)
    (other / "a.jpg").write_text("other")
    rows = run([inputs, other, inputs / "b.jpg"], tmp_path / "out")
    names = [row["file"] for row in rows]
    assert names == ["in/a.jpg", "in/b.jpg", "in/sub/c.jpg", "in/sub/deep/d.webp", "in-2/a.jpg", "b.jpg"]


def test_goes_on_and_does_nothing_twice(inputs: Path, tmp_path: Path) -> None:
    taken: list[str] = []

    def stopping(items: Iterable[Item]) -> Iterator[tuple[Item, Row]]:
        for number, pair in enumerate(copying(items)):
            if number == 2:
                raise KeyboardInterrupt
            yield pair

    def recording(items: Iterable[Item]) -> Iterator[tuple[Item, Row]]:
        for pair in copying(items):
            taken.append(pair[0].name)
            yield pair

    with pytest.raises(KeyboardInterrupt):
        run([inputs], tmp_path / "out", stopping)
    rows = run([inputs], tmp_path / "out", recording)
    assert taken == ["sub/c.jpg", "sub/deep/d.webp"]
    assert [row["file"] for row in rows] == ["a.jpg", "b.jpg", "sub/c.jpg", "sub/deep/d.webp"]
    assert run([inputs], tmp_path / "out", recording) == rows
    assert len(taken) == 2


@pytest.mark.parametrize("torn", ['{"file": "sub/c.jp', '{"file"', "\x00\x00"])
def test_a_row_cut_off_by_a_crash_is_done_again(inputs: Path, tmp_path: Path, torn: str) -> None:
    rows = run([inputs], tmp_path / "out")
    lines = [json.dumps(row) for row in rows[:2]]
    (tmp_path / "out/rows.jsonl").write_text("\n".join([*lines, torn]))
    assert run([inputs], tmp_path / "out") == rows
    assert folders.read_rows(tmp_path / "out/rows.jsonl") == rows


def test_missing_outputs_changed_sources_and_failures_are_done_again(inputs: Path, tmp_path: Path) -> None:
    (inputs / "b.jpg").write_bytes(b"bad")
    first = run([inputs], tmp_path / "out")
    assert [bool(row["error"]) for row in first] == [False, True, False, False]
    (tmp_path / "out/a.png").unlink()
    (inputs / "b.jpg").write_bytes(b"mended")
    (inputs / "sub/c.jpg").write_bytes(b"another")
    done: list[int] = []
    rows = run([inputs], tmp_path / "out", started=lambda total, already, passed_over: done.append(len(already)))
    assert done == [1]
    assert not any(row["error"] for row in rows)
    assert (tmp_path / "out/sub/c.png").read_bytes() == b"another"


def test_other_settings_are_refused(inputs: Path, tmp_path: Path) -> None:
    run([inputs], tmp_path / "out")
    with pytest.raises(FolderError, match="other settings \\(budget\\)"):
        run([inputs], tmp_path / "out", settings={"budget": 8})
    (tmp_path / "out/run.json").write_text("{broken")
    with pytest.raises(FolderError, match="other settings"):
        run([inputs], tmp_path / "out")


def test_one_process_at_a_time(inputs: Path, tmp_path: Path) -> None:
    with folders.locked(tmp_path / "out"), pytest.raises(FolderError, match="another process"):
        run([inputs], tmp_path / "out")
    assert len(run([inputs], tmp_path / "out")) == 4


def test_partial_files_of_a_killed_run_are_cleared_away(inputs: Path, tmp_path: Path) -> None:
    rest = tmp_path / "out/sub/.0123.part"
    rest.parent.mkdir(parents=True)
    rest.write_text("half")
    run([inputs], tmp_path / "out")
    assert not rest.exists()


def test_output_below_the_input_is_not_read(inputs: Path) -> None:
    first = run([inputs], inputs / "out")
    assert run([inputs], inputs / "out") == first


def test_link_loops_end(inputs: Path, tmp_path: Path) -> None:
    (inputs / "sub/up").symlink_to(inputs, target_is_directory=True)
    (inputs / "self.jpg").symlink_to(inputs / "self.jpg")
    listing = folders.find([inputs], SUFFIXES, tmp_path / "out")
    assert [name for _, name in listing.files] == [
        "a.jpg",
        "b.jpg",
        "self.jpg",
        "sub/c.jpg",
        "sub/deep/d.webp",
    ]


def test_nothing_to_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="there is no"):
        run([tmp_path / "nowhere"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderError, match="no photos found"):
        run([tmp_path / "empty"], tmp_path / "out")


def test_an_output_that_cannot_be_written_is_said(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderError, match="cannot write"):
        run([inputs], tmp_path / "file")


def test_printable() -> None:
    assert folders.printable("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert folders.printable(os.fsdecode(b"\xff.jpg")) == "\\udcff.jpg"
