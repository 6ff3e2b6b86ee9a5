"""Running a command in this process, and reading what it said and left."""

import json
from pathlib import Path
from typing import Any

import pytest

from veil.cli import main


def veil(*arguments: object) -> int:
    """Runs a command and returns its exit status."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What it wrote to standard error, in one line and without frames."""
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


def kept_of(out: Path, name: str = "") -> Path:
    """Where a folder job keeps what is not for others: a file of that name, or the folder."""
    inside = any((out / each).exists() for each in ("run.json", "rows.jsonl"))  # of folders of an older Veil
    return (out if inside else out.with_name(out.name + "-private")) / name


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The rows of a folder job."""
    return [json.loads(line) for line in kept_of(out, "rows.jsonl").read_text().splitlines()]


def change_rows(out: Path, /, **fields: Any) -> None:
    """Sets fields in every row of a folder job, as somebody would who passes the folder on."""
    rows = [row | fields for row in rows_of(out)]
    kept_of(out, "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def same(out: Path) -> dict[str, Any]:
    """Everything that two runs of one command must share: all files' bytes, and rows apart from times."""
    places = {"out": out, "kept": kept_of(out)}
    files = {
        f"{name}/{p.relative_to(place).as_posix()}": p.read_bytes()
        for name, place in places.items() for p in place.rglob("*") if p.is_file() and p.name != "rows.jsonl"
    }  # fmt: skip
    return {"files": files, "rows": [row | {"seconds": None} for row in rows_of(out)]}


def full_disk(monkeypatch: pytest.MonkeyPatch, suffix: str = ".png") -> None:
    """From now on no file of that suffix can be put in its place."""
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).suffix == suffix:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
