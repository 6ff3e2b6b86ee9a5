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


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The rows of a folder job."""
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


def change_rows(out: Path, /, **fields: Any) -> None:
    """Sets fields in every row of a folder job, as somebody would who passes the folder on."""
    rows = [row | fields for row in rows_of(out)]
    (out / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def same(out: Path) -> dict[str, Any]:
    """Everything that two runs of one command must share: all files' bytes, and rows apart from times."""
    files = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    files.pop("rows.jsonl")
    return {"files": files, "rows": [row | {"seconds": None} for row in rows_of(out)]}


def full_disk(monkeypatch: pytest.MonkeyPatch, suffix: str = ".png") -> None:
    """From now on no file of that suffix can be put in its place."""
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).suffix == suffix:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
