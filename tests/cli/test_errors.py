"""Errors that reach the end of a command: one line of a reasonable length, and exit status 2."""

import errno

import pytest
from commands import said, veil

from veil.cli import app


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "veil: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "out/x"), "veil: out/x: Permission denied"),
        (FileNotFoundError("there is no folder x"), "veil: there is no folder x"),
        (ValueError("two\nlines"), r"veil: two\nlines"),
        (ValueError("a" * 1_000_000), f"veil: {'a' * 2000}…"),
    ],
)
def test_an_error_is_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raises(**_: object) -> None:
        raise error

    monkeypatch.setattr(app, "app", raises)
    assert veil("protect") == 2
    assert said(capsys) == line
