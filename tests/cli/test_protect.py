"""`veil protect` as a user meets it: exit states, rows, formats, bad input, and being killed half-way."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cards
import odd_images
import pytest
import torch
from commands import change_rows, full_disk, kept_of, rows_of, said, same, veil
from networks import photos
from PIL import Image

from veil import images
from veil.cli.protect import FAILED, NOT_PROTECTED

FIELDS = {
    "file", "out", "width", "height", "class_before", "class_after",
    "true_class", "icp_before", "icp_after", "ice_before", "ice_after", "target",
    "target_score", "iterations", "linf", "mean_abs", "mean_signed", "psnr",
    "ssim", "protected", "seconds", "error",
}  # fmt: skip
QUICK = ["--required-score", "0.8", "--budget", "16", "--step", "2"]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(cards.write(tmp_path_factory.mktemp("card")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inputs = tmp_path / "in"
    (inputs / "sub").mkdir(parents=True)
    for number, pixels in enumerate(photos(6)):
        name = f"sub/{number}.png" if number % 2 else f"{number}.png"
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(inputs / name)
    return inputs


def test_a_folder_of_photos(folder: Path, tmp_path: Path, card: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert veil("protect", folder, "-o", out, "-m", card, *QUICK, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["photos"], summary["protected"], summary["failed"]) == (6, 6, 0)
    rows = rows_of(out)
    assert [row["file"] for row in rows] == ["0.png", "2.png", "4.png", "sub/1.png", "sub/3.png", "sub/5.png"]
    for row in rows:
        assert set(row) >= FIELDS
        before, after = images.load(folder / row["file"]).pixels, images.load(out / row["out"]).pixels
        difference = (after.int() - before.int()).abs()
        assert int(difference.max()) == row["linf"] <= 16
        assert float(difference.float().mean()) / 255 == pytest.approx(row["mean_abs"])
        assert row["class_after"] != row["true_class"] == row["class_before"]
        assert row["target_score"] >= 0.8
        assert row["icp_after"] < row["icp_before"]
    assert "6 of 6" in kept_of(out, "report.html").read_text()


def test_rows_agree_with_the_network_asked_again(folder: Path, tmp_path: Path, card: str) -> None:
    from veil.models import catalog

    out = tmp_path / "out"
    veil("protect", folder, "-o", out, "-m", card, *QUICK)
    classifier = catalog.load(card)
    for row in rows_of(out):
        pixels = images.load(out / row["out"]).pixels
        probability = classifier(images.to_float(pixels)[None]).softmax(1)[0]
        assert classifier.classes[int(probability.argmax())] == row["class_after"]
        assert float(probability[row["targets"][0]]) == pytest.approx(row["target_score"], abs=1e-4)


def test_not_protected_is_said_and_released(folder: Path, tmp_path: Path, card: str) -> None:
    out = tmp_path / "out"
    status = veil("protect", folder, "-o", out, "-m", card, "--max-iterations", 1, "--budget", 1, "--retries", 0)
    assert status == NOT_PROTECTED
    assert all((out / row["out"]).exists() and not row["protected"] for row in rows_of(out))


def test_one_bad_photo_does_not_stop_the_others(
    folder: Path, tmp_path: Path, card: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "1bad.jpg").write_text("not a photo")
    out = tmp_path / "out"
    assert veil("protect", folder, "-o", out, "-m", card, *QUICK) == FAILED
    rows = rows_of(out)
    assert len(rows) == 7
    assert [row["file"] for row in rows if row["error"]] == ["1bad.jpg"]
    assert "failed 1bad.jpg: " in capsys.readouterr().err


def test_the_corpus_of_odd_images_gives_one_row_each(tmp_path: Path, card: str) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    made = [path for path in odd_images.corpus(inputs) if not path.is_dir()]  # a folder is an input of its own
    assert len(made) >= 300
    out = tmp_path / "out"
    status = veil("protect", *made, "-o", out, "-m", card, "--max-iterations", 2, "--retries", 0)
    assert status == FAILED
    rows = rows_of(out)
    assert len(rows) == len(made)
    assert len({row["file"] for row in rows}) == len(made)
    done = [row for row in rows if not row["error"]]
    assert len(done) >= 50
    for row in rows:
        assert row["error"] or (out / row["out"]).is_file()
        assert row["error"] is None or (row["error"] and "\n" not in row["error"])
    assert len({row["out"] for row in done}) == len(done)


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_lossless_formats_keep_the_protection(folder: Path, tmp_path: Path, card: str, format: str) -> None:
    out = tmp_path / "out"
    assert veil("protect", folder, "-o", out, "-m", card, *QUICK, "--format", format) == 0
    assert all(row["out"].endswith(images.FORMATS[format].suffix) for row in rows_of(out))


def test_jpeg_is_judged_as_decoded(folder: Path, tmp_path: Path, card: str) -> None:
    """What JPEG undoes is reported as not protected, whatever the descent reached."""
    out = tmp_path / "out"
    veil("protect", folder, "-o", out, "-m", card, *QUICK, "--format", "jpeg", "--quality", 20)
    rows = rows_of(out)
    assert max(row["linf"] for row in rows) > 16
    assert all(
        row["protected"] == (row["target_score"] >= 0.8 and row["class_after"] != row["true_class"]) for row in rows
    )


def test_alpha_grey_and_16_bit_survive(tmp_path: Path, card: str) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    colour, grey = photos(1)[0], photos(1, channels=1)[0]
    alpha = torch.randint(0, 256, colour.shape[1:], dtype=torch.uint8)
    rgba = torch.cat([colour, alpha[None]]).permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(rgba).save(inputs / "alpha.png")
    Image.fromarray(grey[0].numpy()).save(inputs / "grey.png")
    Image.fromarray(grey[0].numpy().astype("uint16") * 257).save(inputs / "deep.png")
    out = tmp_path / "out"
    veil("protect", inputs, "-o", out, "-m", card, *QUICK)
    assert torch.equal(images.load(out / "alpha.png").alpha, alpha)
    assert images.load(out / "grey.png").pixels.shape[0] == 1
    deep = next(row for row in rows_of(out) if row["file"] == "deep.png")
    assert any("16 bit" in note for note in deep["notes"])


def test_labels_give_the_true_class(folder: Path, tmp_path: Path, card: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file,class\n0.png,4\nsub/1.png,7\n")
    out = tmp_path / "out"
    veil("protect", folder, "-o", out, "-m", card, *QUICK, "--labels", labels)
    true = {row["file"]: row["networks"][0]["true_class"] for row in rows_of(out)}
    assert (true["0.png"], true["sub/1.png"]) == (4, 7)


def test_unseen_networks_and_survival(folder: Path, tmp_path: Path, card: str) -> None:
    other = cards.write(tmp_path, "other", seed=9)
    out = tmp_path / "out"
    veil("protect", folder, "-o", out, "-m", card, "--verify-with", other, "--survival", *QUICK)
    for row in rows_of(out):
        assert [view["role"] for view in row["networks"]] == ["descent", "unseen"]
        assert set(row["networks"][1]["survival"]) == {"jpeg90", "jpeg75", "half size and back"}
    assert "other" in kept_of(out, "report.html").read_text()


def test_an_ensemble_misleads_all_of_it(folder: Path, tmp_path: Path, card: str) -> None:
    other = cards.write(tmp_path, "other", seed=9)
    out = tmp_path / "out"
    veil("protect", folder, "-o", out, "-m", card, "-m", other, *QUICK)
    for row in rows_of(out):
        if row["protected"]:
            assert all(view["class_after"] != view["true_class"] for view in row["networks"])
            assert len({view["class_after_name"] for view in row["networks"]}) == 1


WRONG = [
    (["--budget", "0"], "budget must lie between 1 and 255"),
    (["--budget", "300"], "budget must lie between 1 and 255"),
    (["--targets", "3"], "--targets does not go with --scheme crs"),
    (["--model", "things10"], "near it: things100"),
    (["--model", "nowhere.toml"], "no model card"),
    (["--device", "abacus"], "no device"),
    (["--labels", "nowhere.csv"], "nowhere.csv"),
    (["--scheme", "none"], "there are crs, cis"),
    (["--unknown"], "No such option"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[" ".join(options) for options, _ in WRONG])
def test_wrong_usage_is_status_2_and_says_why(
    folder: Path,
    tmp_path: Path,
    card: str,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = [] if "--model" in options else ["-m", card]
    assert veil("protect", folder, "-o", tmp_path / "out", *model, *options) == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in said
    assert not kept_of(tmp_path / "out", "rows.jsonl").exists()


def test_missing_input_and_used_output_are_status_2(
    folder: Path, tmp_path: Path, card: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert veil("protect", tmp_path / "nowhere", "-o", out, "-m", card) == 2
    veil("protect", folder, "-o", out, "-m", card, *QUICK)
    assert veil("protect", folder, "-o", out, "-m", card, "--budget", 5) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_full_disk_is_one_line_per_photo(
    folder: Path, tmp_path: Path, card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk(monkeypatch)
    out = tmp_path / "out"
    assert veil("protect", folder, "-o", out, "-m", card, *QUICK) == FAILED
    assert all("No space left" in row["error"] for row in rows_of(out))
    monkeypatch.undo()
    assert veil("protect", folder, "-o", out, "-m", card, *QUICK) == 0
    assert not any(row["error"] for row in rows_of(out))


@pytest.mark.parametrize("absolute", [False, True])
def test_rows_of_others_cannot_name_a_file_outside(
    tmp_path: Path, card: str, absolute: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What made a rerun overwrite it: such a name in a row whose photo seems changed, and so is protected again."""
    Image.fromarray(photos(1)[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    victim, out = tmp_path / "victim.txt", tmp_path / "out"
    victim.write_text("precious")
    command = ["protect", tmp_path / "a.png", "-o", out, "-m", card, *QUICK]
    assert veil(*command) == 0
    (row,) = rows_of(out)
    named = str(victim) if absolute else "../victim.txt"
    change_rows(out, out=named, source=row["source"] | {"bytes": row["source"]["bytes"] + 1})
    capsys.readouterr()
    status = veil(*command)
    assert victim.read_bytes() == b"precious"
    assert status == 2
    assert "the row of a.png names an output that cannot be used" in said(capsys)


@pytest.mark.parametrize("lacks", ["protected", "networks", "linf", "source", "notes"])
def test_photos_whose_rows_lack_something_are_protected_again(
    tmp_path: Path, card: str, lacks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ended the summary with a traceback."""
    Image.fromarray(photos(1)[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    out = tmp_path / "out"
    command = ["protect", tmp_path / "a.png", "-o", out, "-m", card, *QUICK]
    assert veil(*command) == 0
    whole = rows_of(out)
    rows = [{key: value for key, value in row.items() if key != lacks} for row in whole]
    kept_of(out, "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    assert veil(*command) == 0
    assert "done already" not in said(capsys)
    assert [row | {"seconds": 0} for row in rows_of(out)] == [row | {"seconds": 0} for row in whole]


def test_a_linked_sub_folder_leads_no_photo_outside(
    folder: Path, tmp_path: Path, card: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    assert veil("protect", folder, "-o", out, "-m", card, *QUICK) == 0
    elsewhere.mkdir()
    shutil.rmtree(out / "sub")
    (out / "sub").symlink_to(elsewhere)
    assert veil("protect", folder, "-o", out, "-m", card, *QUICK) == FAILED
    failed = [row for row in rows_of(out) if row["error"]]
    assert [set(row) for row in failed] == [{"file", "out", "protected", "error"}] * 3
    assert all(row["error"].endswith("leads out of its folder, by a link") for row in failed)
    assert "3 of 6" in kept_of(out, "report.html").read_text()
    assert not list(elsewhere.iterdir())


def test_photos_with_control_characters_in_their_names_go_on_like_others(tmp_path: Path, card: str) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(photos(1)[0].permute(1, 2, 0).numpy()).save(tmp_path / "in" / "two\nlines.png")
    for _ in range(2):
        assert veil("protect", tmp_path / "in", "-o", tmp_path / "out", "-m", card, *QUICK) == 0
        assert [(row["file"], row["out"]) for row in rows_of(tmp_path / "out")] == [("two\nlines.png", "two_lines.png")]


def start(folder: Path, out: Path, card: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "veil", "protect", str(folder), "-o", str(out), "-m", card, *QUICK]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_killed_half_way_it_ends_the_same(tmp_path: Path, card: str, signal_number: signal.Signals) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    for number, pixels in enumerate(photos(150)):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(inputs / f"{number:03}.png")
    veil("protect", inputs, "-o", tmp_path / "whole", "-m", card, *QUICK)
    wait = random.Random(0)
    done = 0
    for _ in range(2):
        process = start(inputs, tmp_path / "out", card)
        rows = kept_of(tmp_path / "out", "rows.jsonl")
        enough = done + wait.randint(2, 12)
        while process.poll() is None and (not rows.exists() or rows.read_bytes().count(b"\n") < enough):
            time.sleep(0.01)
        process.send_signal(signal_number)
        process.wait()
        done = rows.read_bytes().count(b"\n")
    assert 0 < done < 150
    veil("protect", inputs, "-o", tmp_path / "out", "-m", card, *QUICK)
    assert same(tmp_path / "out") == same(tmp_path / "whole")


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, card: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    from veil.protections.noise.engine import Engine

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "_step", interrupted)
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    assert veil("protect", tmp_path / "a.png", "-o", tmp_path / "out", "-m", card) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_metadata_is_dropped_by_default_and_kept_without_place(tmp_path: Path, card: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera of Ada"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    Image.fromarray(photos(1)[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.jpg", exif=exif)
    veil("protect", tmp_path / "a.jpg", "-o", tmp_path / "bare", "-m", card, *QUICK)
    veil("protect", tmp_path / "a.jpg", "-o", tmp_path / "kept", "-m", card, *QUICK, "--keep-metadata")
    with Image.open(tmp_path / "bare/a.png") as bare, Image.open(tmp_path / "kept/a.png") as kept:
        assert not bare.getexif()
        assert kept.getexif()[0x010F] == "Camera of Ada"
        assert not kept.getexif().get_ifd(0x8825)


def test_module_and_version_run() -> None:
    found = subprocess.run([sys.executable, "-m", "veil", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("veil 0.")
    assert os.environ.get("OMP_NUM_THREADS")
