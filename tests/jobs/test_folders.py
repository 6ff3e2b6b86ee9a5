"""The folder job: names, resume, locks, broken state."""

import json
import os
import re
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TextIO, TypedDict

import pytest

from veil.jobs import folders, recorder
from veil.jobs.folders import FolderError, Item, Job, Row, Run
from veil.jobs.row_formats import RowFormat, Stamp
from veil.runtime.files import printable

SUFFIXES = frozenset({".jpg", ".png", ".webp"})


class CopiedRow(TypedDict):
    file: str
    out: str
    error: None
    source: Stamp


FORMAT = RowFormat(command="`veil copy`", done=CopiedRow, failed={"protected": False})
Results = Generator[tuple[Item, Row | Exception], None, None]


def copying(items: Iterable[Item], workers: int = 2) -> Results:
    """Work that copies; a file with the content ``bad`` fails."""
    for item in items:
        content = item.source.read_bytes()
        if content == b"bad":
            yield item, ValueError("bad")
            continue
        item.out.parent.mkdir(parents=True, exist_ok=True)
        item.out.write_bytes(content)
        row = {"file": item.name, "out": item.out_name, "error": None, "source": folders.stamp(item.source)}
        yield item, row


def run(inputs: list[Path], out: Path, work=copying, *, synced=True, settings=None, **told) -> list[Row]:  # type: ignore[no-untyped-def]
    """The rows of a job; ``told`` are fields of `Run`."""
    settings = {"budget": 3} if settings is None else settings
    job = Job(work=work, suffixes=SUFFIXES, suffix=".png", settings=settings, rows=FORMAT, synced=synced)
    return list(folders.run(inputs, out, job, Run(**told)))


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
    assert folders.read_rows(tmp_path / "out-private/rows.jsonl") == rows


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


def test_outputs_have_plain_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a\nb.jpg", "a_b.jpg", "a\tb.jpg", "C:x.jpg", "sub\x1b/a.jpg"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    rows = run([tmp_path / "in"], tmp_path / "out")
    outs = {row["file"]: row["out"] for row in rows}
    assert sorted(outs.values()) == ["C_x.png", "a_b.jpg-2.png", "a_b.jpg-3.png", "a_b.jpg.png", "sub_/a.png"]
    assert all((tmp_path / "out" / out).read_text() == name for name, out in outs.items())
    assert run([tmp_path / "in"], tmp_path / "out") == rows


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
    assert names == ["in/a.jpg", "in/b.jpg", "in/sub/c.jpg", "in/sub/deep/d.webp", "in-2/a.jpg"]


def test_goes_on_and_does_nothing_twice(inputs: Path, tmp_path: Path) -> None:
    taken: list[str] = []

    def stopping(items: Iterable[Item], workers: int) -> Results:
        for number, pair in enumerate(copying(items)):
            if number == 2:
                raise KeyboardInterrupt
            yield pair

    def recording(items: Iterable[Item], workers: int) -> Results:
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
    (tmp_path / "out-private/rows.jsonl").write_text("\n".join([*lines, torn]))
    assert run([inputs], tmp_path / "out") == rows
    assert folders.read_rows(tmp_path / "out-private/rows.jsonl") == rows


def test_missing_outputs_changed_sources_and_failures_are_done_again(inputs: Path, tmp_path: Path) -> None:
    (inputs / "b.jpg").write_bytes(b"bad")
    first = run([inputs], tmp_path / "out")
    assert [bool(row["error"]) for row in first] == [False, True, False, False]
    (tmp_path / "out/a.png").unlink()
    (inputs / "b.jpg").write_bytes(b"mended")
    (inputs / "sub/c.jpg").write_bytes(b"another")
    done: list[int] = []
    rows = run([inputs], tmp_path / "out", started=lambda total, already, passed_over: done.append(already))
    assert done == [1]
    assert not any(row["error"] for row in rows)
    assert (tmp_path / "out/sub/c.png").read_bytes() == b"another"


def test_other_settings_are_refused(inputs: Path, tmp_path: Path) -> None:
    run([inputs], tmp_path / "out")
    with pytest.raises(FolderError, match="other settings: budget 3 → 8; choose another folder"):
        run([inputs], tmp_path / "out", settings={"budget": 8})
    (tmp_path / "out-private/run.json").write_text("{broken")
    with pytest.raises(FolderError, match="cannot be read; choose another folder"):
        run([inputs], tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ({"seed": 0}, {"seed": 7}, "seed 0 → 7"),
        ({"settings": {"budget": 3.0, "step": 1}}, {"settings": {"budget": 8.0, "step": 1}}, "budget 3.0 → 8.0"),
        ({"key": None, "format": "png"}, {"key": "0f0f", "format": "webp"}, "key none → 0f0f; format png → webp"),
        ({"models": ["a"]}, {"models": ["a", "b"]}, 'models ["a"] → ["a", "b"]'),
        ({"threads": 2}, {}, "threads 2 → none"),
        ({}, {"torch": "2.9"}, "torch none → 2.9"),
        ({"name": "x" * 99}, {"name": "a\nb"}, f"name {'x' * 39}… → a\\nb"),
        ({str(n): 0 for n in range(6)}, {str(n): 1 for n in range(6)}, "3 0 → 1; and 2 more"),
    ],
)  # fmt: skip
def test_other_settings_are_named_old_and_new(
    inputs: Path, tmp_path: Path, old: dict[str, object], new: dict[str, object], message: str
) -> None:
    run([inputs], tmp_path / "out", settings=old)
    with pytest.raises(FolderError, match=re.escape(f"{message}; choose another folder")):
        run([inputs], tmp_path / "out", settings=new)


def test_one_process_at_a_time(inputs: Path, tmp_path: Path) -> None:
    with folders.locked(tmp_path / "out-private"), pytest.raises(FolderError, match="another process"):
        run([inputs], tmp_path / "out")
    assert len(run([inputs], tmp_path / "out")) == 4


def test_partial_files_of_a_killed_run_are_cleared_away_and_no_others(inputs: Path, tmp_path: Path) -> None:
    run([inputs], tmp_path / "out")
    (tmp_path / "out-private/.unfinished").write_text(f"{'a' * 16}\n{'b' * 16}\n{'c' * 16}")
    names = [f".{letter * 16}-{'0' * 16}.part" for letter in "abcd"] + [".0123456789abcdef.part", ".mine.part"]
    for name in names:
        (tmp_path / "out/sub" / name).write_text("half")
    run([inputs], tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out/sub").glob(".*")) == sorted(names[2:])
    assert sorted(file.name for file in (tmp_path / "out-private").iterdir()) == [".lock", "rows.jsonl", "run.json"]


@pytest.mark.parametrize("content", ["precious\n", "a" * 16 + "\nprecious\n", "x" * 100_000])
def test_a_list_of_unfinished_processes_that_others_wrote_is_left(inputs: Path, tmp_path: Path, content: str) -> None:
    run([inputs], tmp_path / "out")
    (tmp_path / "out-private/.unfinished").write_text(content)
    with pytest.raises(FolderError, match=r"\.unfinished was not written by Veil"):
        run([inputs], tmp_path / "out")
    assert (tmp_path / "out-private/.unfinished").read_text() == content


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
    assert printable("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert printable(os.fsdecode(b"\xff.jpg")) == "\\udcff.jpg"


def test_files_of_one_name_get_their_folders_names(tmp_path: Path) -> None:
    for folder in ("one", "two", "other/two"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.jpg").write_text(folder)
    given = [tmp_path / folder / "a.jpg" for folder in ("one", "two", "other/two")]
    rows = run(given, tmp_path / "out")
    assert [row["file"] for row in rows] == ["one/a.jpg", "two/a.jpg", "two-2/a.jpg"]
    assert [(tmp_path / "out" / row["out"]).read_text() for row in rows] == ["one", "two", "other/two"]
    assert run(given, tmp_path / "out") == rows


@pytest.mark.parametrize("out", ["../a.png", "/a.png", "a.jpg", "rows.jsonl", "sub/..", "", False, {}, "A.PNG"])
def test_rows_that_no_run_can_have_written_are_refused(inputs: Path, tmp_path: Path, out: object) -> None:
    rows = run([inputs], tmp_path / "out")
    lines = [json.dumps(row | ({"out": out} if number == 1 else {})) for number, row in enumerate(rows)]
    (tmp_path / "out-private/rows.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(FolderError, match=r"rows\.jsonl: the row of b\.jpg names an output that cannot be used"):
        run([inputs], tmp_path / "out")
    assert (tmp_path / "out-private/rows.jsonl").read_text() == "\n".join(lines) + "\n"


@pytest.mark.parametrize("lacks", ["error", "out", "source"])
def test_rows_that_lack_something_are_done_again(inputs: Path, tmp_path: Path, lacks: str) -> None:
    rows = run([inputs], tmp_path / "out")
    short = [{key: value for key, value in row.items() if key != lacks} for row in rows]
    (tmp_path / "out-private/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in short))
    done: list[int] = []
    again = run([inputs], tmp_path / "out", started=lambda total, already, passed_over: done.append(already))
    assert done == [0]
    assert [row["file"] for row in again] == [row["file"] for row in rows]
    assert all((tmp_path / "out" / row["out"]).read_text() == row["file"] for row in again)


def linked(inputs: Path, out: Path, to: Path) -> list[Row]:
    """The rows of a second run, for which the folder of two outputs has become a link."""
    run([inputs], out)
    shutil.rmtree(out / "sub")
    (out / "sub").symlink_to(to)
    return run([inputs], out)


def test_failures_by_links_have_the_fields_of_the_job(inputs: Path, tmp_path: Path) -> None:
    rows = linked(inputs, tmp_path / "out", tmp_path)
    assert [row["error"] is None for row in rows] == [True, True, False, False]
    assert rows[2] == {
        "file": "sub/c.jpg", "out": None, "protected": False,
        "error": "the output is not written: 'sub/c.png' leads out of its folder, by a link",
    }  # fmt: skip
    assert folders.read_rows(tmp_path / "out-private/rows.jsonl") == rows


def test_a_link_within_the_folder_may_stay(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "in/other").mkdir()
    (tmp_path / "in/other/e.jpg").touch()
    assert not any(row["error"] for row in linked(inputs, tmp_path / "out", Path("other")))
    assert (tmp_path / "out/other/c.png").read_text() == "sub/c.jpg"


def test_what_runs_leave_is_not_counted_as_passed_over(inputs: Path, tmp_path: Path) -> None:
    run([inputs], tmp_path / "out")
    assert folders.find([tmp_path / "out"], SUFFIXES, tmp_path / "next").passed_over == 0


def test_outputs_reach_the_disk_before_their_rows(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    appended: list[list[str]] = []
    append = recorder.rows.append

    def appending(handle: TextIO, *rows: Row) -> list[tuple[int, int]]:
        assert {tmp_path / "out" / row["out"] for row in rows if row["out"]} <= set(synced)
        appended.append([row["file"] for row in rows])
        return append(handle, *rows)

    (inputs / "b.jpg").write_bytes(b"bad")
    monkeypatch.setattr(recorder, "_AT_ONCE", 3)
    monkeypatch.setattr(recorder, "_SECONDS", 1e9)
    monkeypatch.setattr(recorder, "_sync", synced.append)
    monkeypatch.setattr(recorder.rows, "append", appending)
    run([inputs], tmp_path / "out", synced=False)
    assert appended == [["a.jpg", "b.jpg", "sub/c.jpg"], ["sub/deep/d.webp"]]
    assert tmp_path / "out/sub" in synced


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_rows_that_wait_are_written_however_the_work_ends(
    inputs: Path, tmp_path: Path, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(items: Iterable[Item], workers: int) -> Results:
        yield from list(copying(items))[:3]
        raise end

    monkeypatch.setattr(recorder, "_SECONDS", 1e9)
    with pytest.raises(end):
        run([inputs], tmp_path / "out", ending, synced=False)
    assert [row["file"] for row in folders.read_rows(tmp_path / "out-private/rows.jsonl")] == [
        "a.jpg",
        "b.jpg",
        "sub/c.jpg",
    ]


def test_rows_wait_no_longer_than_a_moment(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def looking(items: Iterable[Item], workers: int) -> Results:
        for pair in copying(items):
            found.append(len(folders.read_rows(tmp_path / "out-private/rows.jsonl")))
            yield pair

    monkeypatch.setattr(recorder, "_SECONDS", 0)
    run([inputs], tmp_path / "out", looking, synced=False)
    assert found == [0, 1, 2, 3]


def test_failures_say_why_in_a_line() -> None:
    item = Item(0, Path(), "0", Path(), "0")
    assert folders.failure(item, MemoryError(), {"protected": False}) == {
        "file": "0", "out": None, "protected": False, "error": "not enough memory",
    }  # fmt: skip
    assert folders.failure(item, KeyError(), {})["error"] == "KeyError"
    assert folders.failure(item, ValueError("two\nlines"), {})["error"] == "two lines"
