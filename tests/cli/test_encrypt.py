"""`veil encrypt` and `veil decrypt` as a user meets them: exit states, rows, keys, bad input, and being killed."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import change_rows, full_disk, kept_of, rows_of, said, same, veil
from PIL import Image

from veil import images
from veil.cli.encrypt import FAILED
from veil.jobs import image_batches
from veil.protections.ciphers.keys import Key

Captured = pytest.CaptureFixture[str]
SECRET = bytes(range(100, 132))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "a.key"
    Key(SECRET).save(file)
    return file


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return write(tmp_path / "in", 6)


def write(folder: Path, count: int) -> Path:
    """Small images of different sizes, every other one in a sub-folder."""
    (folder / "sub").mkdir(parents=True)
    for number in range(count):
        image = Image.effect_noise((5 + number % 3, 7), 50).convert("RGB")
        image.save(folder / (f"sub/{number:03}.png" if number % 2 else f"{number:03}.png"))
    return folder


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
@pytest.mark.parametrize("cipher", ["tanaka", "pixel"])
def test_there_and_back(inputs: Path, tmp_path: Path, key: Path, cipher: str, format: str, capsys: Captured) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    options = ["--key", key, "--format", format, "--json"]
    assert veil("encrypt", inputs, "-o", there, "--cipher", cipher, *options) == 0
    summary = json.loads(capsys.readouterr().out)
    fingerprint = Key.load(key).fingerprint
    assert summary == {"images": 6, "encrypted": 6, "failed": 0, "key": fingerprint, "out": str(there)}
    assert veil("decrypt", there, "-o", back, *options) == 0
    assert json.loads(capsys.readouterr().out)["decrypted"] == 6
    suffix = images.FORMATS[format].suffix
    assert [row["file"] for row in rows_of(there)] == [f"00{n}.png" for n in (0, 2, 4)] + [
        f"sub/00{n}.png" for n in (1, 3, 5)
    ]
    for row in rows_of(there):
        before = images.load(inputs / row["file"]).pixels
        hidden = images.load(there / row["out"]).pixels
        after = images.load(back / row["out"]).pixels
        assert row["out"].endswith(suffix)
        assert not hidden[:, : before.shape[1], : before.shape[2]].equal(before)
        assert after.equal(before)


def test_per_image_says_that_nobody_decrypts(inputs: Path, tmp_path: Path, key: Path, capsys: Captured) -> None:
    out = tmp_path / "out"
    assert veil("encrypt", inputs, "-o", out, "--cipher", "pixel", "--per-image") == 0
    assert "nobody can decrypt these images, so keep the originals" in said(capsys)
    assert json.loads(kept_of(out, "run.json").read_text())["key"] is None
    first = same(out)
    assert veil("encrypt", inputs, "-o", out, "--cipher", "pixel", "--per-image") == 0
    assert "6 of 6 images are done already" in said(capsys)
    assert same(out) == first
    assert veil("decrypt", out, "-o", tmp_path / "back", "--key", key) == 2
    assert "thrown away: nobody can decrypt it" in said(capsys)
    assert not (tmp_path / "back").exists()


def test_another_key_is_refused(inputs: Path, tmp_path: Path, key: Path, capsys: Captured) -> None:
    veil("encrypt", inputs, "-o", tmp_path / "out", "--cipher", "tanaka", "--key", key)
    Key.new().save(tmp_path / "other.key")
    capsys.readouterr()
    assert veil("decrypt", tmp_path / "out", "-o", tmp_path / "back", "--key", tmp_path / "other.key") == 2
    assert f"was encrypted with the key {Key.load(key).fingerprint}, not with" in said(capsys)
    assert not (tmp_path / "back").exists()
    assert veil("encrypt", inputs, "-o", tmp_path / "out", "--cipher", "tanaka", "--key", tmp_path / "other.key") == 2
    assert "other settings: key " in said(capsys)


def test_the_key_is_nowhere(inputs: Path, tmp_path: Path, key: Path, capsys: Captured) -> None:
    veil("encrypt", inputs, "-o", tmp_path / "out", "--cipher", "tanaka", "--key", key)
    veil("decrypt", tmp_path / "out", "-o", tmp_path / "back", "--key", key)
    shown = capsys.readouterr()
    contents = [shown.out.encode(), shown.err.encode()]
    contents += [file.read_bytes() for out in ("out", "back") for file in (tmp_path / out).rglob("*") if file.is_file()]
    for form in (SECRET, SECRET.hex().encode(), base64.b64encode(SECRET).rstrip(b"=")):
        assert not any(form in content for content in contents)


WRONG = [
    (["--cipher", "tanaka", "--per-image"], "--per-image does not go with tanaka, which has one key for all"),
    (["--cipher", "tanaka"], "give --key FILE, or --per-image"),
    (["--cipher", "pixel", "--per-image", "--key", "KEY"], "give --key FILE, or --per-image"),
    (["--cipher", "caesar", "--key", "KEY"], "there is no cipher 'caesar'; there are tanaka, pixel"),
    (["--key", "KEY"], "Missing option '--cipher'"),
    (["--cipher", "tanaka", "--key", "nowhere.key"], "there is no nowhere.key"),
    (["--cipher", "tanaka", "--key", "KEY", "--format", "jpeg"], "JPEG changes pixels: changed ones decrypt to noise"),
    (["--cipher", "tanaka", "--key", "KEY", "--format", "gif"], "there is no format 'gif'; take png, webp, tiff"),
    (["--cipher", "tanaka", "--key", "KEY", "--size", "0"], "--size"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[" ".join(options) for options, _ in WRONG])
def test_wrong_usage_is_status_2_and_says_why(
    inputs: Path, tmp_path: Path, key: Path, options: list[str], message: str, capsys: Captured
) -> None:
    given = [key if option == "KEY" else option for option in options]
    assert veil("encrypt", inputs, "-o", tmp_path / "out", *given) == 2
    assert message in said(capsys)
    assert not (tmp_path / "out").exists()


def test_decrypt_needs_to_know_the_cipher(inputs: Path, tmp_path: Path, key: Path, capsys: Captured) -> None:
    assert veil("decrypt", inputs, "-o", tmp_path / "out", "--key", key) == 2
    assert "say --cipher" in said(capsys)
    assert veil("decrypt", inputs, "-o", tmp_path / "out", "--key", key, "--cipher", "pixel") == 0


def test_bad_files_do_not_stop_the_others(inputs: Path, tmp_path: Path, key: Path, capsys: Captured) -> None:
    (inputs / "000bad.jpg").write_text("not an image")
    Image.new("RGB", (101, 100)).save(inputs / "large.png")
    there, options = tmp_path / "there", ["--cipher", "tanaka", "--key", key, "--max-megapixels", 0.01]
    assert veil("encrypt", inputs, "-o", there, *options) == FAILED
    assert "failed 000bad.jpg: not a photo" in (told := said(capsys))
    assert "failed large.png: 101 × 100 pixels are more than the limit" in told
    assert {row["file"] for row in rows_of(there) if row["error"]} == {"000bad.jpg", "large.png"}
    with Image.open(there / "000.png") as image:
        image.save(there / "again.jpg")
    assert veil("decrypt", there, "-o", tmp_path / "back", "--key", key) == FAILED
    assert "failed again.jpg: stored with loss (JPEG" in said(capsys)
    assert sum(row["error"] is None for row in rows_of(tmp_path / "back")) == 6
    (inputs / "000bad.jpg").unlink()
    assert veil("encrypt", inputs, "-o", there, *options[:-1], 1) == 0


def test_a_full_disk_is_one_line_per_image(
    inputs: Path, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk(monkeypatch)
    out = tmp_path / "out"
    assert veil("encrypt", inputs, "-o", out, "--cipher", "tanaka", "--key", key) == FAILED
    assert all(row["error"] == "the file cannot be written (No space left on device)" for row in rows_of(out))
    assert not list(out.rglob("*.part"))
    monkeypatch.undo()
    assert veil("encrypt", inputs, "-o", out, "--cipher", "tanaka", "--key", key) == 0


CHANGED = {"bytes": 1, "modified_ns": 1}  # no longer the file that a row speaks of, so that it is done again


@pytest.mark.parametrize("out", ["../victim.txt", "../victim.png", "VICTIM", "sub/../../victim.txt", ".lock", "", 7])
def test_rows_of_others_cannot_name_a_file_outside(tmp_path: Path, key: Path, out: object, capsys: Captured) -> None:
    inputs, there = write(tmp_path / "in", 1), tmp_path / "there"
    command = ["encrypt", inputs, "-o", there, "--cipher", "tanaka", "--key", key]
    assert veil(*command) == 0
    victims = [tmp_path / "victim.txt", tmp_path / "victim.png", there / "kept.txt"]
    for victim in victims:
        victim.write_text("precious")
    change_rows(there, out=str(victims[0]) if out == "VICTIM" else out, source=CHANGED)
    before = same(there)
    capsys.readouterr()
    status = veil(*command)
    assert [victim.read_bytes() for victim in victims] == [b"precious"] * 3
    assert status == 2
    assert "the row of 000.png names an output that cannot be used" in (told := said(capsys))
    assert "remove that row, or choose another folder" in told
    assert same(there) == before


def test_two_rows_cannot_name_one_output(inputs: Path, tmp_path: Path, key: Path, capsys: Captured) -> None:
    command = ["encrypt", inputs, "-o", tmp_path / "out", "--cipher", "tanaka", "--key", key]
    veil(*command)
    change_rows(tmp_path / "out", out="000.png")
    assert veil(*command) == 2
    assert "the row of 002.png names an output that cannot be used: '000.png' belongs to another row" in said(capsys)


def test_a_linked_sub_folder_leads_no_output_outside(inputs: Path, tmp_path: Path, key: Path, capsys: Captured) -> None:
    """The images beside it are encrypted all the same."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    command = ["encrypt", inputs, "-o", out, "--cipher", "tanaka", "--key", key]
    veil(*command)
    (out / "sub").rename(tmp_path / "moved")
    elsewhere.mkdir()
    (elsewhere / "001.png").write_text("precious")
    (out / "sub").symlink_to(elsewhere)
    status = veil(*command)
    assert (elsewhere / "001.png").read_bytes() == b"precious"
    assert status == FAILED
    assert "failed sub/001.png: the output is not written: 'sub/001.png' leads out of its folder, by a link" in said(
        capsys
    )
    assert [row["file"] for row in rows_of(out) if row["error"]] == ["sub/001.png", "sub/003.png", "sub/005.png"]
    assert [path.name for path in elsewhere.iterdir()] == ["001.png"]
    (out / "sub").unlink()
    assert veil(*command) == 0
    assert len(list((out / "sub").iterdir())) == 3


@pytest.mark.parametrize("there", [True, False])
def test_a_linked_output_leads_nothing_outside(inputs: Path, tmp_path: Path, key: Path, there: bool) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim.txt"
    command = ["encrypt", inputs, "-o", out, "--cipher", "tanaka", "--key", key]
    veil(*command)
    (out / "000.png").unlink()
    if there:
        victim.write_text("precious")
    (out / "000.png").symlink_to(victim)
    assert veil(*command) == FAILED
    assert [row["file"] for row in rows_of(out) if row["error"]] == ["000.png"]
    assert victim.exists() == there
    assert not there or victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["rows.jsonl", ".lock", "run.json"])
def test_a_linked_file_of_the_job_is_refused(
    inputs: Path, tmp_path: Path, key: Path, name: str, capsys: Captured
) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim.txt"
    command = ["encrypt", inputs, "-o", out, "--cipher", "tanaka", "--key", key]
    veil(*command)
    victim.write_bytes(kept_of(out, name).read_bytes() + b"\n")
    before = victim.read_bytes()
    kept_of(out, name).unlink()
    (tmp_path / "out-private" / name).symlink_to(victim)
    (inputs / "000.png").unlink()
    assert veil(*command) == 2
    assert "is a link that leads out of the folder; remove it" in said(capsys)
    assert victim.read_bytes() == before


FOREIGN: list[tuple[str, str]] = [
    ("[1, 2]", "line 7: not a row, which is a JSON object"),
    ("3", "line 7: not a row"),
    ("null", "line 7: not a row"),
    ("[" * 100_000 + "]" * 100_000, "line 7: not a row"),
    ('{"file": ' + "9" * 5000 + "}", "line 7: not a row"),
    ('{"out": "a.png", "error": null}', "names no file; remove that row"),
    ('{"file": ["a.png"], "error": null}', "names no file; remove that row"),
    ("\udcff", "is not text in UTF-8"),
]


@pytest.mark.parametrize(("line", "message"), FOREIGN, ids=range(len(FOREIGN)))
def test_a_line_that_is_no_row_is_said(
    inputs: Path, tmp_path: Path, key: Path, line: str, message: str, capsys: Captured
) -> None:
    out = tmp_path / "out"
    command = ["encrypt", inputs, "-o", out, "--cipher", "tanaka", "--key", key]
    veil(*command)
    with kept_of(out, "rows.jsonl").open("ab") as rows:
        rows.write(os.fsencode(line + "\n"))
    capsys.readouterr()
    for again in (command, ["decrypt", out, "-o", tmp_path / "back", "--key", key]):
        assert veil(*again) == 2
        assert message in said(capsys)


def test_ctrl_c_says_how_to_go_on(
    inputs: Path, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(image_batches, "_changed", interrupted)
    assert veil("encrypt", inputs, "-o", tmp_path / "out", "--cipher", "tanaka", "--key", key) == 130
    assert "the same command goes on" in said(capsys)


def test_what_was_fetched_is_recorded_and_not_compared(
    inputs: Path, tmp_path: Path, key: Path, capsys: Captured
) -> None:
    """A new commit on a hub may have the same weights, of which there are fingerprints."""
    command = ["encrypt", inputs, "-o", tmp_path / "out", "--key", key, "--cipher", "pixel"]
    assert veil(*command) == 0
    (manifest,) = tmp_path.rglob("run.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"fetched": ["timm/x@0123"]}))
    assert veil(*command) == 0
    assert "6 of 6 images are done already" in said(capsys)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Path:
    """A folder with 400 images in ``in``, and these encrypted in ``whole``."""
    folder = tmp_path_factory.mktemp("many")
    write(folder / "in", 400)
    veil("encrypt", folder / "in", "-o", folder / "whole", "--cipher", "tanaka", "--key", key)
    return folder


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_killed_half_way_it_ends_the_same(many: Path, tmp_path: Path, key: Path, signal_number: signal.Signals) -> None:
    out = tmp_path / "out"
    command = ["encrypt", str(many / "in"), "-o", str(out), "--cipher", "tanaka", "--key", str(key)]
    process = subprocess.Popen(
        [sys.executable, "-m", "veil", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and sum(1 for _ in out.rglob("*.png")) < 100:
        time.sleep(0.01)
    process.send_signal(signal_number)
    process.wait()
    assert process.returncode == (130 if signal_number == signal.SIGINT else -signal.SIGKILL)
    done = rows_of(out)
    assert len(done) < 400
    assert done or signal_number == signal.SIGKILL  # Ctrl-C leaves the time to write rows that wait
    assert all((out / row["out"]).is_file() for row in done)
    veil(*command)
    assert same(out) == same(many / "whole")
