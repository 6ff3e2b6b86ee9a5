"""Files of strangers on the command line: one clear line that names the file and status 2, whatever is in them.

On commit 7c1583f all of these ended with a traceback, took the machine's memory, waited without end or succeeded.
"""

import csv
import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cards
import pytest
from commands import veil
from obfuscators import drawn, write
from safetensors.torch import load_file, save_file

from veil import images
from veil.images import Photo
from veil.models.residual import ResidualNet

Captured = pytest.CaptureFixture[str]
DEEP = "[" * 100_000
HUGE = "9" * 5_000


def one_line(capsys: Captured, *arguments: object) -> str:
    """The one line that a command says, which ends with status 2."""
    assert veil(*arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return " ".join(error.replace("│", " ").split())


def holds(line: str, text: str) -> bool:
    """Whether a line has a text, wherever the terminal broke it."""
    return "".join(text.split()) in "".join(line.split())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    images.save(Photo(drawn(1, 24, 24, 0)[0]), tmp_path / "in/a.png")
    return tmp_path / "in/a.png"


@pytest.fixture
def encrypting(photo: Path, tmp_path: Path, capsys: Captured) -> list[object]:
    """A command that encrypted a folder, and goes on with it."""
    assert veil("key", "new", tmp_path / "a.key") == 0
    command = ["encrypt", photo.parent, "-o", tmp_path / "out", "--key", tmp_path / "a.key", "--cipher", "pixel"]
    assert veil(*command) == 0
    capsys.readouterr()
    return command


@pytest.mark.parametrize("content", [DEEP, '{"a": ' + HUGE + "}", '{"a": 99999999999999999999}', '{"a": NaN}', "[]"])
def test_a_manifest_that_nobody_wrote(content: str, encrypting: list[object], tmp_path: Path, capsys: Captured) -> None:
    (manifest,) = tmp_path.rglob("run.json")
    manifest.write_text(content)
    assert "out" in one_line(capsys, *encrypting)
    line = one_line(capsys, "decrypt", tmp_path / "out", "-o", tmp_path / "back", "--key", tmp_path / "a.key")
    assert "run.json" in line


@pytest.mark.parametrize("content", [DEEP, '{"file": ' + HUGE + "}", '{"file": 99999999999999999999}', "[1]"])
def test_rows_that_nobody_wrote(content: str, encrypting: list[object], tmp_path: Path, capsys: Captured) -> None:
    (file,) = tmp_path.rglob("rows.jsonl")
    with file.open("a") as rows:
        rows.write(f"{content}\n{content}\n")
    assert "rows.jsonl" in one_line(capsys, *encrypting)


@pytest.mark.parametrize("content", [DEEP, '{"kind": ' + HUGE + "}", '{"kind": NaN}', "[]", "\udcff"])
def test_a_study_that_nobody_wrote(content: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "study.json").write_bytes(os.fsencode(content))
    assert "study.json" in one_line(capsys, "study", "report", tmp_path)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("99999999999999999999", "is not a whole number from 0 to 99,999"),
        (HUGE, "is not a whole number"),
        ("-1", "is not a whole number"),
        ("1,2", "every row must be a file and a class index"),
    ],
)
def test_labels_beyond_all_classes(index: str, reason: str, photo: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "labels.csv").write_text(f"file,class\nb.png,3\na.png,{index}\n")
    line = one_line(capsys, "protect", photo, "-o", tmp_path / "out", "--labels", tmp_path / "labels.csv")
    assert holds(line, "labels.csv, line 3")
    assert holds(line, reason)


def test_lists_that_are_pipes_are_not_waited_for(photo: Path, tmp_path: Path, capsys: Captured) -> None:
    for name in ("labels.csv", "card.toml", "client.safetensors", "a.features"):
        os.mkfifo(tmp_path / name)
    for name, command in {
        "client.safetensors": ["obfuscate", "show", tmp_path / "client.safetensors"],
        "labels.csv": ["protect", photo, "-o", tmp_path / "out", "--labels", tmp_path / "labels.csv"],
        "card.toml": ["models", tmp_path / "card.toml"],
    }.items():
        assert holds(one_line(capsys, *command), f"{name} cannot be read: this is not a regular file")


def _nan_weights(card: Path) -> None:
    weights = card.with_suffix(".safetensors")
    state = load_file(weights)
    state["head.bias"][0] = float("nan")
    save_file(state, weights)


def _great_weights(card: Path) -> None:
    weights = card.with_suffix(".safetensors")
    save_file(
        {name: value * 1e30 if "weight" in name else value for name, value in load_file(weights).items()}, weights
    )


def _edit(old: str, new: str) -> Callable[[Path], None]:
    def change(card: Path) -> None:
        text = card.read_text()
        assert old in text
        card.write_text(text.replace(old, new))

    return change


def _great_image(card: Path) -> None:
    save_file(ResidualNet(10, stem=256, widths=(16,), depths=(1,)).state_dict(), card.with_suffix(".safetensors"))
    _edit("stem = 8", "stem = 256")(card)
    _edit("resize = 32\ncrop = 32", "resize = [4096, 4096]")(card)


CARDS = {
    "half a pixel": (_edit("resize = 32", "resize = [28.5, 28]"), "resize must be a whole number, or two"),
    "three sides": (_edit("resize = 32", "resize = [28, 28, 28]"), "resize must be a whole number, or two"),
    "no pair": (_edit("resize = 32", "resize = true"), "resize must be a whole number, or two"),
    "nan": (_edit("mean = [0.5, 0.5, 0.5]", "mean = [nan, 0.5, 0.5]"), "'nan' is not a finite number"),
    "infinite": (_edit("std = [0.25, 0.25, 0.25]", "std = [0.25, 1e999, 0.25]"), "'1e999' is not a finite number"),
    "beyond floats": (_edit("mean = [0.5, 0.5, 0.5]", "mean = [0.5, 1e300, 0.5]"), "must be numbers up to 1,000,000"),
    "words": (_edit("mean = [0.5, 0.5, 0.5]", 'mean = ["a", "b", "c"]'), "must be numbers"),
    "a number": (_edit("mean = [0.5, 0.5, 0.5]", "mean = 3"), "[input]"),
    "nan weights": (_nan_weights, "values that are not finite"),
    "great weights": (_great_weights, "gives outputs that are not finite"),
    "a table of one's own": (_edit("[options]", "[export]\nto = 1\n[options]"), "unknown field 'export'"),
    "a field of one's own": (_edit("crop = 32", "crop = 32\nmargin = 3"), "unknown field 'margin'; [input] has crop"),
    "a name that is none": (_edit('name = "small"', "name = 2020-01-01"), "name must be text"),
    "a name that moves the cursor": (_edit('name = "small"', r'name = "\u001b[2J"'), "cannot be shown"),
    "an accuracy that is none": (_edit("[input]", '[accuracy]\ntop1 = "x"\n[input]'), "top1 must be in percent"),
    "a network of terabytes": (
        _edit("widths = [16]\ndepths = [1]", "widths = [4096, 4096]\ndepths = [64, 64]"), "do not fit"),
    "classes of gigabytes": (_edit("num_classes = 10", "num_classes = 100000"), "do not fit"),
    "an image of gigabytes": (_great_image, "an image of 4096×4096 would take more than"),
    "brackets": (_edit("[options]", f"x = {'[' * 1000}\n[options]"), "brackets within brackets"),
}  # fmt: skip


@pytest.mark.parametrize("what", CARDS)
def test_a_card_that_cannot_be_used(what: str, photo: Path, tmp_path: Path, capsys: Captured) -> None:
    card = cards.write(tmp_path)
    change, reason = CARDS[what]
    change(card)
    line = one_line(capsys, "inspect", photo, "-m", card)
    assert reason in line
    assert "small." in line or "veil/residual" in line


def test_labels_that_move_the_cursor(photo: Path, tmp_path: Path, capsys: Captured) -> None:
    card = cards.write(tmp_path)
    (tmp_path / "small.txt").write_text("".join(f"\x1b[2Jthing {k}\n" for k in range(10)))
    assert "control characters" in one_line(capsys, "inspect", photo, "-m", card)


def test_gzip_that_unpacks_to_a_thousand_times_its_size(tmp_path: Path) -> None:
    """8 MB that would be 8 GB. With 7c1583f this ended for want of memory, here at 6 GiB."""
    member = gzip.compress(bytes(1 << 26))
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(member * 128)
    ended = subprocess.run(
        [sys.executable, "-m", "veil", "reproduce", "liu2019", "table2", "--data", tmp_path / "mnist",
         "-o", tmp_path / "out", "--work", tmp_path / "work"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert "train-images-idx3-ubyte.gz: not an IDX file" in ended.stderr


def test_features_that_are_a_pipe_are_one_failure(tmp_path: Path, capsys: Captured) -> None:
    _, service = write(tmp_path)
    os.mkfifo(tmp_path / "a.features")
    answers = tmp_path / "answers.jsonl"
    assert veil("obfuscate", "classify", tmp_path / "a.features", "--service", service, "-o", answers) == 1
    assert json.loads(answers.read_text())["error"] == "cannot be read (this is not a regular file)"


def test_a_spreadsheet_runs_nothing_of_the_answers(tmp_path: Path, capsys: Captured) -> None:
    client, service = write(tmp_path)
    (tmp_path / "in").mkdir()
    names = ['=HYPERLINK("x")', "+1", "-1", "@x", "plain"]
    for name in names:
        images.save(Photo(drawn(1, 24, 24, 0)[0]), tmp_path / "in" / f"{name}.png")
    assert veil("obfuscate", "extract", tmp_path / "in", "--client", client, "-o", tmp_path / "out") == 0
    answers = tmp_path / "answers.csv"
    assert veil("obfuscate", "classify", tmp_path / "out", "--service", service, "-o", answers) == 0
    rows = list(csv.DictReader(answers.read_text().splitlines()))
    assert sorted(row["file"] for row in rows) == sorted(
        f"{name}.features" if name == "plain" else f"'{name}.features" for name in names
    )
    assert all(0 <= float(row["Smiling"]) <= 1 for row in rows)


OWN = {
    "raises": ("raise KeyError('colour')", "fails on images (48, 3, 32, 32): KeyError: 'colour'"),
    "gives nothing": ("return None", "gives a NoneType, not a tensor of images"),
    "gives a half": ("return images[:, :, ::2]", "an audit needs images of the same number"),
    "gives floats": ("return images.float()", "an audit needs images of the same number"),
    "ends the program": ("raise SystemExit", "fails on images (48, 3, 32, 32): SystemExit"),
    "ends it well": ("raise SystemExit(0)", "fails on images (48, 3, 32, 32): SystemExit: 0"),
}


@pytest.mark.parametrize("what", OWN)
def test_a_callable_that_cannot_be_audited(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    body, reason = OWN[what]
    module = f"own_{what.replace(' ', '_')}"
    (tmp_path / f"{module}.py").write_text(f"def protect(images):\n    {body}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert reason in one_line(capsys, "audit", f"{module}:protect", "-o", "out", "--scale", "smoke")


def test_a_module_that_ends_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    (tmp_path / "own_end.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    line = one_line(capsys, "audit", "own_end:protect", "-o", "out", "--scale", "smoke")
    assert "own_end:protect cannot be imported: SystemExit: 0" in line


def test_what_a_callable_prints_is_not_among_the_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "own_words.py").write_text(
        "print('read')\ndef protect(images):\n    print('called')\n    return images\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    command = ("audit", "own_words:protect", "-o", "out", "--scale", "smoke", "--attacks", "affine", "--json")
    assert veil(*command) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["verdicts"]
    assert "called" in shown.err


def test_an_attack_that_ends_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    (tmp_path / "own_attack.py").write_text(
        "from veil.attacks.images import ImageAttack\n"
        "def give_up(plain, protected):\n    raise SystemExit(0)\n"
        "ROW = ImageAttack(name='give-up', title='nothing', knows='few', attack=give_up)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    command = ("audit", "plain", "-o", "out", "--scale", "smoke", "--attacks", "own_attack:ROW")
    assert "the attack give-up fails: SystemExit: 0" in one_line(capsys, *command)
