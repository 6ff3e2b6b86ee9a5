"""`veil check`: photos as they came back from somewhere, with and without the run that released them."""

import json
import shutil
from pathlib import Path
from typing import Any

import cards
import pytest
from commands import change_rows, kept_of, rows_of, said, veil
from PIL import Image

from veil.cli.check import FAILED, NOT_PROTECTED
from veil.recipes import free_photos

Captured = pytest.CaptureFixture[str]
QUICK = ("--required-score", "0.4", "--budget", "40", "--step", "4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three free photos, protected."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "in").mkdir()
    for name in ("chelsea", "coffee", "astronaut"):
        pixels = free_photos.read(name, 128)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / "in" / f"{name}.png")
    card = cards.write(folder)
    assert veil("protect", folder / "in", "-o", folder / "out", "-m", card, *QUICK) == 0
    return {"in": folder / "in", "out": folder / "out", "card": card, "rows": rows_of(folder / "out")}


def checked(run: dict[str, Any], *options: object, to: Path) -> list[dict[str, Any]]:
    """The rows of a check, by name."""
    veil("check", *options, "-m", run["card"], "-o", to)
    return [json.loads(line) for line in (to / "rows.jsonl").read_text().splitlines()]


def test_untouched_photos_have_the_verdict_of_their_rows(run: dict[str, Any], tmp_path: Path, capsys: Captured) -> None:
    assert veil("check", run["out"], "--against", run["out"], "-m", run["card"], "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["photos"], summary["protected"], summary["failed"]) == (3, 3, 0)
    rows = checked(run, run["out"], "--against", run["out"], "--originals", run["in"], to=tmp_path / "check")
    for row, released in zip(rows, run["rows"], strict=True):
        assert (row["released"], row["matched"], row["unchanged"]) == (released["out"], "name", True)
        assert row["noise_left"] == pytest.approx(1, abs=1e-5)
        assert row["networks"][0]["class_after"] == released["networks"][0]["class_after"]
    assert (tmp_path / "check" / "report.html").stat().st_size > 1000


def test_renamed_recompressed_and_scaled_photos_are_found_and_measured(run: dict[str, Any], tmp_path: Path) -> None:
    back = tmp_path / "back"
    back.mkdir()
    with Image.open(run["out"] / "chelsea.png") as photo:
        photo.save(back / "IMG_0001.jpg", quality=75)
        photo.resize((64, 64), Image.Resampling.LANCZOS).save(back / "IMG_0002.png")
    jpeg, half = checked(run, back, "--against", kept_of(run["out"]), "--originals", run["in"], to=tmp_path / "check")
    for row in (jpeg, half):
        assert (row["released"], row["matched"], row["unchanged"]) == ("chelsea.png", "look", False)
        assert row["networks"][0]["first_before"] is True
    assert (jpeg["scale"], half["scale"]) == (1, 0.5)
    assert 25 < jpeg["psnr"] < 50
    assert 0.1 < jpeg["noise_left"] < 1
    assert 0.1 < half["noise_left"] < 1


def test_the_original_in_the_place_of_the_output_is_not_protected(run: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    shutil.copyfile(run["in"] / "coffee.png", tmp_path / "back" / "coffee.png")
    command = ["check", tmp_path / "back", "--against", run["out"], "-m", run["card"]]
    assert veil(*command) == NOT_PROTECTED
    (row,) = checked(run, tmp_path / "back", "--against", run["out"], "--originals", run["in"], to=tmp_path / "check")
    assert row["protected"] is False
    assert row["reason"] == "small has the true class first"
    assert row["noise_left"] == pytest.approx(0, abs=1e-5)


def test_without_run_and_labels_there_are_answers_and_no_verdict(
    run: dict[str, Any], tmp_path: Path, capsys: Captured
) -> None:
    assert veil("check", run["in"], "-m", run["card"]) == 0
    told = capsys.readouterr().out
    assert "3 without a verdict" in told
    assert "--against RUN or --labels CSV tells them" in " ".join(told.split())
    truths = {row["file"]: row["networks"][0]["true_class"] for row in run["rows"]}
    (tmp_path / "labels.csv").write_text("".join(f"{name},{index}\n" for name, index in truths.items()))
    assert veil("check", run["in"], "-m", run["card"], "--labels", tmp_path / "labels.csv") == NOT_PROTECTED
    assert "0 protected, 3 not protected" in " ".join(capsys.readouterr().out.split())


def test_what_is_no_photo_of_the_run_or_could_be_two_fails(
    run: dict[str, Any], tmp_path: Path, capsys: Captured
) -> None:
    both = tmp_path / "twice"
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        shutil.copyfile(run["in"] / "chelsea.png", tmp_path / "in" / f"{name}.png")
    veil("protect", tmp_path / "in", "-o", both, "-m", run["card"], *QUICK)
    (tmp_path / "back").mkdir()
    shutil.copyfile(both / "a.png", tmp_path / "back" / "c.png")
    shutil.copyfile(run["out"] / "astronaut.png", tmp_path / "back" / "d.png")
    (tmp_path / "back" / "e.png").write_text("no photo")
    capsys.readouterr()
    assert veil("check", tmp_path / "back", "--against", both, "-m", run["card"]) == FAILED
    told = said(capsys)
    assert "c.png: it looks like a.png and like b.png" in told or "c.png: it looks like b.png and like a.png" in told
    assert "d.png: it looks like no photo of the run" in told
    assert "e.png: not a photo" in told


def test_networks_of_the_run_are_asked_for_and_strangers_named(
    run: dict[str, Any], tmp_path: Path, capsys: Captured
) -> None:
    assert veil("check", run["out"], "--against", run["out"]) == 2
    assert "made against small; name them with --model" in said(capsys)
    (tmp_path / "other").mkdir()
    other = cards.write(tmp_path / "other", "small", seed=1)
    veil("check", run["out"], "--against", run["out"], "-m", other)
    assert "the noise was not made against small" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--against", "in"), "holds no run of `veil protect`"),
        (("--originals", "in"), "--originals needs --against"),
        (("-o", "out"), "not empty"),
        (("--labels", "nowhere.csv"), "--labels nowhere.csv"),
    ],
)
def test_wrong_usage_is_one_line(
    run: dict[str, Any], arguments: tuple[str, str], message: str, capsys: Captured
) -> None:
    options = [run.get(word, word) for word in arguments]
    assert veil("check", run["in"], "-m", run["card"], *options) == 2
    assert message in said(capsys)


def test_rows_of_others_are_refused_and_lead_nowhere(run: dict[str, Any], tmp_path: Path, capsys: Captured) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run["out"], copy)
    shutil.copytree(kept_of(run["out"]), kept_of(copy))
    change_rows(copy, networks=[])
    assert veil("check", copy / "astronaut.png", "--against", copy, "-m", run["card"]) == FAILED
    assert "its row is not of `veil protect`" in said(capsys)
    change_rows(copy, out="../in/astronaut.png")
    assert veil("check", copy / "astronaut.png", "--against", copy, "-m", run["card"]) == FAILED
    assert "it looks like no photo of the run" in said(capsys)
