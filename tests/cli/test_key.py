"""`veil key`."""

import getpass
import json
import os
import pty
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import veil

from veil.cli.key import PASSPHRASE
from veil.protections.ciphers import keys
from veil.protections.ciphers.keys import Key
from veil.protections.ciphers.keys import file as key_file

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def cheap_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrypt is quick, no passphrase is set, and none can be typed."""
    monkeypatch.setattr(key_file, "_SCRYPT_N", 16)
    monkeypatch.delenv(PASSPHRASE, raising=False)

    def no_terminal(prompt: str) -> str:
        warnings.warn("no terminal", getpass.GetPassWarning, stacklevel=2)
        return pytest.fail("it reads from standard input, and shows what is typed")

    monkeypatch.setattr(getpass, "getpass", no_terminal)


def typing(monkeypatch: pytest.MonkeyPatch, *words: str | type[Exception]) -> Iterator[str | type[Exception]]:
    """Answers to the prompts; what is left of them."""
    left = iter(words)

    def answer(prompt: str) -> str:
        word = next(left)
        if isinstance(word, str):
            return word
        raise word

    monkeypatch.setattr(getpass, "getpass", answer)
    return left


def test_new_show_check(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "a [key].key"
    assert veil("key", "new", path) == 0
    said = capsys.readouterr().out
    assert veil("key", "show", path) == 0
    said += capsys.readouterr().out
    assert veil("key", "check", path) == 0
    said += capsys.readouterr().out
    key = Key.load(path)
    assert said.count(key.fingerprint) == 3
    assert said.count("a [key].key") == 2
    assert "not protected by a passphrase" in said
    assert "passphrase   no" in said
    assert "is good" in said
    assert json.loads(path.read_text())["secret"] not in said
    assert key._secret.reveal().hex() not in said


def test_show_as_json(tmp_path: Path, capsys: Captured) -> None:
    Key(bytes(32)).save(tmp_path / "a.key", "passphrase")
    assert veil("key", "show", tmp_path / "a.key", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    made = keys.header(tmp_path / "a.key").created.isoformat(sep=" ")
    fingerprint = Key(bytes(32)).fingerprint
    assert shown == {"fingerprint": fingerprint, "created": made, "passphrase": True, "version": 1}


def test_a_passphrase_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv(PASSPHRASE, "from the environment")
    assert veil("key", "new", tmp_path / "a.key", "--passphrase") == 0
    assert veil("key", "check", tmp_path / "a.key") == 0
    assert Key.load(tmp_path / "a.key", "from the environment")
    assert veil("key", "new", tmp_path / "plain.key") == 0
    assert not keys.header(tmp_path / "plain.key").protected
    monkeypatch.setenv(PASSPHRASE, "another")
    assert veil("key", "check", tmp_path / "plain.key") == 0
    assert veil("key", "check", tmp_path / "a.key") == 2
    said = "".join(capsys.readouterr())
    assert "the passphrase is wrong" in said
    assert "from the environment" not in said
    assert "another" not in said


def test_a_passphrase_that_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    left = typing(monkeypatch, "typed", "typed", "typed", "wrong")
    assert veil("key", "new", tmp_path / "a.key", "--passphrase") == 0
    assert "protected by the passphrase" in capsys.readouterr().out
    assert veil("key", "show", tmp_path / "a.key") == 0
    assert veil("key", "check", tmp_path / "a.key") == 0
    assert veil("key", "check", tmp_path / "a.key") == 2
    assert list(left) == []
    assert Key.load(tmp_path / "a.key", "typed")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("one", "other"), "were not the same"),
        (("",), "no passphrase"),
        ((EOFError,), "no passphrase"),
        ((), "terminal"),
    ],
)
def test_no_key_without_its_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, words: tuple[str], message: str
) -> None:
    if words:
        typing(monkeypatch, *words)
    assert veil("key", "new", tmp_path / "a.key", "--passphrase") == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_stopped_at_the_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, KeyboardInterrupt)  # type: ignore[arg-type]
    assert veil("key", "new", tmp_path / "a.key", "--passphrase") in (1, 130)
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_is_no_options_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, "typed", "typed")
    for arguments in (("--passphrase", "secret"), ("--passphrase=secret",)):
        assert veil("key", "new", tmp_path / "a.key", *arguments) == 2
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_asked_in_vain(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.key").write_text("mine")
    assert veil("key", "new", tmp_path / "a.key", "--passphrase") == 2
    assert "never overwritten" in capsys.readouterr().err
    assert veil("key", "new", tmp_path / "absent/a.key", "--passphrase") == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "check"])
def test_what_is_wrong_is_one_line(tmp_path: Path, capsys: Captured, command: str) -> None:
    (tmp_path / "junk").write_bytes(b"\0junk")
    (tmp_path / "junk").chmod(0o600)
    Key(bytes(32)).save(tmp_path / "open.key")
    (tmp_path / "open.key").chmod(0o644)
    for name, message in {
        "absent": "there is no",
        "": "is a folder",
        "junk": "not a key file",
        "open.key": "chmod",
    }.items():
        assert veil("key", command, tmp_path / name) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.startswith("veil: ")
        assert error.count("\n") == 1


def test_at_a_terminal(tmp_path: Path) -> None:
    """A real one: what is typed is not shown, nor written anywhere."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != PASSPHRASE}
    patch = "from veil.protections.ciphers.keys import file; file._SCRYPT_N = 16"
    run = f"{patch}; from veil.cli import main; main(['key', 'new', 'a.key', '--passphrase'])"
    process = subprocess.Popen(
        [sys.executable, "-c", run], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said, typed, deadline = "", 0, time.monotonic() + 300
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                said += os.read(ours, 4096).decode()
            except OSError:  # the other end is closed
                break
            if typed < said.count("passphrase: ") + said.count("again: "):
                typed += 1
                os.write(ours, b"hush hush\n")
        assert process.wait(60) == 0, said
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert typed == 2, said
    assert "protected by the passphrase" in said
    assert "hush" not in said
    assert Key.load(tmp_path / "a.key", "hush hush")
