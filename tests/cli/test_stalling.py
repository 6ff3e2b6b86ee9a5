"""Files that would stall or end a command, as a user meets them: one failed row, in words, and the job goes on."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cards
import obfuscators
import pytest
import transformations
from commands import rows_of, said, veil
from hanging import ends_within
from stalling_images import REFUSED, ppm_in_words, small

from veil.images import decoding_pool, limits
from veil.protections.ciphers.keys import Key

Captured = pytest.CaptureFixture[str]
LONG = 120.0  # seconds, for a command that once hung or took minutes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good file of every kind."""
    folder = tmp_path_factory.mktemp("good")
    Key(bytes(range(32))).save(folder / "a.key")
    cards.write(folder)
    obfuscators.write(folder)
    transformations.tiny(folder / "tiny.safetensors")
    (folder / "good.png").write_bytes(small("PNG"))
    return folder


@pytest.fixture
def fresh_pool() -> Iterator[None]:
    """No process of another test decodes here, and none of this one later."""
    decoding_pool.POOL.end()
    yield
    decoding_pool.POOL.end()


def errors_of(out: Path) -> dict[str, str | None]:
    return {row["file"]: row["error"] for row in rows_of(out)}


def test_images_that_stall_are_failed_rows(tmp_path: Path, made: Path) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    (inputs / "good.png").write_bytes(small("PNG"))
    for name, (make, _) in REFUSED.items():
        (inputs / name).write_bytes(make())
    with ends_within(LONG):
        assert veil("encrypt", inputs, "-o", tmp_path / "out", "--cipher", "tanaka", "--key", made / "a.key") == 1
    errors = errors_of(tmp_path / "out")
    assert errors.pop("good.png") is None
    assert errors.keys() == REFUSED.keys()
    for name, (_, message) in REFUSED.items():
        assert message in str(errors[name])


FOLDER_COMMANDS: dict[str, list[str]] = {
    "protect": ["-m", "{made}/small.toml"],
    "encrypt": ["--cipher", "tanaka", "--key", "{made}/a.key"],
    "decrypt": ["--cipher", "tanaka", "--key", "{made}/a.key"],
    "transform apply": ["--with", "{made}/tiny.safetensors"],
    "obfuscate extract": ["--client", "{made}/client.safetensors"],
    "check": ["-m", "{made}/small.toml"],
}
"""Commands that read images, and what else they need."""


def imposter(monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """Instead of decoding, every new process does something else."""
    program = f"import os, time; os.write(1, b'ready'); os.read(0, 10); {then}"
    monkeypatch.setattr(decoding_pool, "command", lambda: [sys.executable, "-I", "-S", "-c", program])


@pytest.mark.parametrize("command", FOLDER_COMMANDS)
def test_a_deadline_is_a_failed_row(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch, fresh_pool: None, command: str
) -> None:
    imposter(monkeypatch, "time.sleep(600)")
    (tmp_path / "slow.tiff").write_bytes(small("TIFF"))
    options = [option.format(made=made) for option in FOLDER_COMMANDS[command]]
    with ends_within(LONG):
        status = veil(*command.split(), tmp_path / "slow.tiff", "-o", tmp_path / "out", *options,
                      "--decode-timeout", "0.1")  # fmt: skip
    assert status == 1
    assert "decoding took more than 0.104 seconds, and was ended" in str(errors_of(tmp_path / "out")["slow.tiff"])


def test_a_deadline_ends_inspect(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch, fresh_pool: None, capsys: Captured
) -> None:
    imposter(monkeypatch, "time.sleep(600)")
    (tmp_path / "slow.tiff").write_bytes(small("TIFF"))
    with ends_within(LONG):
        status = veil("inspect", tmp_path / "slow.tiff", "-m", made / "small.toml", "--decode-timeout", "0.1")
    assert status == 2
    assert "decoding took more than 0.104 seconds" in said(capsys)


def test_a_real_file_that_takes_long_is_ended_and_the_job_goes_on(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SECONDS_PER_MEGAPIXEL", 0.05)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/slow.ppm").write_bytes(ppm_in_words(900))
    (tmp_path / "in/good.tiff").write_bytes(small("TIFF"))
    options = ["--cipher", "tanaka", "--key", made / "a.key", "--max-megapixels", "1", "--decode-timeout", "0.001"]
    with ends_within(LONG):
        assert veil("encrypt", tmp_path / "in/slow.ppm", "-o", tmp_path / "out", *options) == 1
    assert "decoding took more than 0.0415 seconds" in str(errors_of(tmp_path / "out")["slow.ppm"])
    assert veil("encrypt", tmp_path / "in/good.tiff", "-o", tmp_path / "good", *options[:4]) == 0


def test_a_decoder_that_crashes_is_a_failed_row(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch, fresh_pool: None
) -> None:
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for name in ("a.png", "b.tiff", "c.webp", "d.png"):
        (inputs / name).write_bytes(small({"tiff": "TIFF", "webp": "WEBP", "png": "PNG"}[name.split(".")[1]]))
    command = ["encrypt", inputs, "-o", out, "--cipher", "tanaka", "--key", made / "a.key"]
    with monkeypatch.context() as replaced:
        imposter(replaced, "os.kill(os.getpid(), 11)")
        assert veil(*command) == 1
    errors = errors_of(out)
    assert errors["a.png"] is errors["d.png"] is None
    assert errors["b.tiff"] == errors["c.webp"] == "its decoder crashed (signal SIGSEGV)"
    assert veil(*command) == 0


FILES: dict[str, list[str]] = {
    "a photo to protect": ["protect", "PIPE.jpg", "-o", "{out}", "-m", "{made}/small.toml"],
    "an image to encrypt": ["encrypt", "PIPE.jpg", "-o", "{out}", "--cipher", "tanaka", "--key", "{made}/a.key"],
    "an image to decrypt": [
        "decrypt", "PIPE.png", "-o", "{out}", "--cipher", "tanaka", "--key", "{made}/a.key"
    ],
    "a key": ["encrypt", "{made}/good.png", "-o", "{out}", "--cipher", "tanaka", "--key", "PIPE.key"],
    "a key to check": ["key", "check", "PIPE.key"],
    "an image to transform": ["transform", "apply", "PIPE.png", "-o", "{out}", "--with", "{made}/tiny.safetensors"],
    "a transformation": ["transform", "apply", "{made}/good.png", "-o", "{out}", "--with", "PIPE.safetensors"],
    "an image to extract": ["obfuscate", "extract", "PIPE.png", "-o", "{out}", "--client", "{made}/client.safetensors"],
    "a client": ["obfuscate", "extract", "{made}/good.png", "-o", "{out}", "--client", "PIPE.safetensors"],
    "features": [
        "obfuscate", "classify", "PIPE.features", "-o", "{out}.csv", "--service", "{made}/service.safetensors"
    ],
    "a service": ["obfuscate", "classify", "{made}", "-o", "{out}.csv", "--service", "PIPE.safetensors"],
    "a file to show": ["obfuscate", "show", "PIPE.safetensors"],
    "universal noise": [
        "protect", "{made}/good.png", "-o", "{out}", "-m", "{made}/small.toml", "--scheme", "entropy",
        "--universal", "PIPE.safetensors",
    ],
    "labels": ["protect", "{made}/good.png", "-o", "{out}", "-m", "{made}/small.toml", "--labels", "PIPE.csv"],
    "a photo to check": ["check", "PIPE.jpg", "-o", "{out}", "-m", "{made}/small.toml"],
    "a photo to inspect": ["inspect", "PIPE.jpg", "-m", "{made}/small.toml"],
    "a card": ["inspect", "{made}/good.png", "-m", "PIPE.toml"],
    "a card to list": ["models", "PIPE.toml"],
    "identities": [
        "study", "new", "--original", "{made}", "--reconstructed", "{made}", "-o", "{out}", "--identities", "PIPE.csv"
    ],
}  # fmt: skip
"""Commands whose one argument is a pipe to which nobody writes."""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
@pytest.mark.parametrize("file", FILES)
def test_pipes_are_refused_and_not_waited_for(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [argument.format(made=made, out=tmp_path / "out") for argument in FILES[file]]
    (pipe,) = (argument for argument in arguments if argument.startswith("PIPE"))
    os.mkfifo(pipe, 0o600)
    with ends_within(LONG):
        status = veil(*arguments)
    assert status in (1, 2)
    rows = rows_of(tmp_path / "out") if (tmp_path / "out-private/rows.jsonl").exists() else []
    words = said(capsys) + json.dumps(rows)
    words += (tmp_path / "out.csv").read_text() if (tmp_path / "out.csv").exists() else ""
    assert "Traceback" not in words
    assert any(phrase in words for phrase in ("not a regular file", "not a key file", "no such file", "there is no"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_an_output_that_became_a_pipe_is_written_again(tmp_path: Path, made: Path) -> None:
    command = ["encrypt", made / "good.png", "-o", tmp_path / "out", "--cipher", "tanaka", "--key", made / "a.key"]
    assert veil(*command) == 0
    (tmp_path / "out/good.png").unlink()
    os.mkfifo(tmp_path / "out/good.png")
    with ends_within(LONG):
        assert veil(*command) == 0
    assert (tmp_path / "out/good.png").is_file()
