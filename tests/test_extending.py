"""Packages that extend Veil: the example, and the one of docs/extending.md, installed and used on the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cards
import numpy as np
import pytest
from commands import kept_of
from contracts import check_feature_attacker, check_image_attack, check_scheme
from networks import photos
from PIL import Image
from repository import REPOSITORY

EXAMPLE = REPOSITORY / "examples/plugin"
RUN = """
import json, sys
from veil.cli import main

for command in json.load(sys.stdin):
    try:
        main(command)
    except SystemExit as stop:
        assert stop.code in (0, 3, None), (command, stop.code)
"""


HELP = """
import sys
from veil.cli import main

for command in sys.argv[1:]:
    try:
        main([command, "--help"])
    except SystemExit:
        pass
assert "torch" not in sys.modules, "torch was imported"
"""


def install(package: Path, target: Path) -> None:
    """As pip does it for people, into a folder of its own; nothing is fetched."""
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, package], check=True)


def run(target: Path, where: Path, *commands: list[str]) -> None:
    """Commands of ``veil``, one after the other in one process that has the packages in ``target``."""
    path = os.pathsep.join([str(target), str(REPOSITORY / "src")])
    subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(commands), cwd=where, text=True, check=True,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


def helps(target: Path, *commands: str) -> str:
    """What ``--help`` of commands says, all in one process, which must not import torch for it."""
    path = os.pathsep.join([str(target), str(REPOSITORY / "src")])
    done = subprocess.run(
        [sys.executable, "-c", HELP, *commands], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "1000", "TERM": "dumb"},
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which examples/plugin was installed."""
    folder = tmp_path_factory.mktemp("example")
    copy = folder / "source"
    copy.mkdir()
    for file in EXAMPLE.rglob("*"):  # setuptools builds beside the sources, which must stay as they are
        if file.is_file() and "egg-info" not in str(file) and "build" not in file.relative_to(EXAMPLE).parts:
            (copy / file.relative_to(EXAMPLE)).parent.mkdir(parents=True, exist_ok=True)
            (copy / file.relative_to(EXAMPLE)).write_bytes(file.read_bytes())
    install(copy, folder / "installed")
    return folder / "installed"


def photo(folder: Path) -> None:
    folder.mkdir()
    Image.fromarray(photos(1)[0].permute(1, 2, 0).numpy()).save(folder / "a.png")


def test_the_examples_rows_are_in_help_without_torch(example: Path) -> None:
    said = helps(example, "protect", "audit")
    assert "least-likely: networks see the class that they held for least likely" in said
    assert "nearest-pair" in said
    assert "nearest-mean" in said


def test_the_example_protects_audits_and_is_reported(example: Path, tmp_path: Path) -> None:
    photo(tmp_path / "in")
    card = str(cards.write(tmp_path))
    quick = ["--budget", "16", "--required-score", "0.3", "--max-iterations", "5", "--batch", "4"]
    run(
        example, tmp_path,
        ["protect", "in", "-o", "out", "--scheme", "least-likely", "-m", card, *quick],
        ["protect", "in", "-o", "typed", "--scheme", "veil_example.least_likely:SCHEME", "-m", card, *quick],
        ["audit", "plain", "--scale", "smoke", "-o", "audit", "--attacks", "nearest-pair"],
    )  # fmt: skip
    page = kept_of(tmp_path / "out", "report.html").read_text()
    assert "name the class that they held for least likely" in page
    assert json.loads(kept_of(tmp_path / "out", "run.json").read_text())["scheme"] == "least-likely"
    assert "name the class that they held for least likely" in kept_of(tmp_path / "typed", "report.html").read_text()
    assert (tmp_path / "typed/a.png").read_bytes() == (tmp_path / "out/a.png").read_bytes()
    assert "plain image of the nearest pair" in (tmp_path / "audit/report.html").read_text()


def test_the_examples_own_tests_pass(example: Path) -> None:
    path = os.pathsep.join([str(example), str(REPOSITORY / "src")])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", EXAMPLE, EXAMPLE / "tests"]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path}, cwd=example)


def test_the_examples_rows_keep_the_contracts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(EXAMPLE / "src")
    from veil_example import least_likely, nearest_mean, nearest_pair  # type: ignore[import-not-found]

    check_scheme(least_likely.SCHEME)
    check_image_attack(nearest_pair.ATTACK, tmp_path)
    check_feature_attacker(nearest_mean.ATTACKER)


def test_the_package_of_the_documentation(tmp_path: Path) -> None:
    """A row of every other kind takes the files that docs/extending.md says, and no other."""
    text = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")
    files = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", text, re.DOTALL)
    assert len(files) == 6
    for name, content in files:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(content)
    install(tmp_path / "source", tmp_path / "installed")

    photo(tmp_path / "photos")
    (tmp_path / "numbers").mkdir()
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "numbers/images.npz",
        **{f"{part}_x": random.integers(0, 256, (20, 3, 16, 16), np.uint8) for part in ("train", "test")},
        **{f"{part}_y": np.arange(20) % 4 for part in ("train", "test")},
    )  # fmt: skip
    card = str(cards.write(tmp_path))
    commands = [line.split()[2:] for line in text.splitlines() if line.startswith("$ veil ")]
    assert [command[0] for command in commands] == ["audit", "protect", "train", "reproduce"]
    commands[1] += ["-m", card, "--budget", "16", "--required-score", "0.3", "--max-iterations", "5", "--batch", "4"]
    run(tmp_path / "installed", tmp_path, *commands, ["report", "doe2031", "--scale", "smoke"])

    assert "inverted" in (tmp_path / "audit/report.html").read_text()
    (row,) = map(json.loads, kept_of(tmp_path / "out", "rows.jsonl").read_text().splitlines())
    assert list(row["networks"][0]["survival"]) == ["jpeg90", "jpeg75", "half size and back", "blur"]
    assert "blurred a little" in kept_of(tmp_path / "out", "report.html").read_text()
    assert 'architecture = "veil/two-layers"' in (tmp_path / "net/model.toml").read_text()
    page = tmp_path / "results/doe2031/report/smoke/report.html"
    assert "Brightness (Table 1)" in page.read_text()
