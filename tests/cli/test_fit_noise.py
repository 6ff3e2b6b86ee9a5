"""`veil fit-noise` and `veil protect --universal` as a user meets them."""

import json
import math
import shutil
from pathlib import Path

import cards
import pytest
import torch
from commands import kept_of, rows_of, said, veil
from networks import photos
from PIL import Image
from torch.nn import functional as F

from veil import images
from veil.cli.protect import FAILED, NOT_PROTECTED
from veil.models import catalog
from veil.protections.noise import fitting
from veil.protections.noise.fitting import FitSettings, Group, by_size, fit_groups
from veil.protections.noise.protector import Protector
from veil.protections.noise.universal import NoNoise, UniversalNoise, add

QUICK = ["--budget", "24", "--iterations", "40", "--batch-size", "8"]


def write(folder: Path, count: int, size: tuple[int, int] = (32, 40), seed: int = 0, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(photos(count, seed)):
        resized = F.interpolate(pixels[None].float(), size, mode="bilinear")[0].round().to(torch.uint8)
        Image.fromarray(resized.permute(1, 2, 0).numpy()).save(folder / f"{prefix}{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(cards.write(tmp_path_factory.mktemp("card")))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, card: str) -> Path:
    """A noise for photos of 32 × 40 pixels."""
    place = tmp_path_factory.mktemp("fitted")
    assert veil("fit-noise", write(place / "in", 12), "-o", place / "noise.safetensors", "-m", card, *QUICK) == 0
    return place / "noise.safetensors"


def test_fit_then_protect(fitted: Path, card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs, out = write(tmp_path / "new", 8, seed=5), tmp_path / "out"
    protect = ["protect", inputs, "-o", out, "-m", card, "--scheme", "entropy", "--universal", fitted]
    assert veil(*protect, "--json") in (0, NOT_PROTECTED)
    summary = json.loads(capsys.readouterr().out)
    noise, classifier = UniversalNoise.load(fitted), catalog.load(card)
    rows = rows_of(out)
    assert len(rows) == summary["photos"] == 8
    for row in rows:
        original = images.load(inputs / row["file"]).pixels
        released = images.load(out / row["out"]).pixels
        assert torch.equal(released, add(original, noise.noises[3, 32, 40]))
        assert row["linf"] <= 24
        assert (row["iterations"], row["target"], row["targets"], row["error"]) == (0, "all classes alike", [], None)
        after = classifier(images.to_float(released)[None])
        assert row["class_after"] == classifier.classes[int(after.argmax())]
        assert row["protected"] == (row["class_after"] != row["true_class"] and row["ice_after"] >= row["ice_before"])
    assert sum(row["ice_after"] for row in rows) > sum(row["ice_before"] for row in rows)
    assert sum(row["icp_after"] for row in rows) < sum(row["icp_before"] for row in rows)
    manifest = json.loads(kept_of(out, "run.json").read_text())
    assert (manifest["universal"], manifest["settings"]) == (noise.fingerprint, {})
    assert veil(*protect) in (0, NOT_PROTECTED)
    assert "8 of 8 photos are done already" in said(capsys)


def test_without_a_universal_noise_the_manifest_is_as_it_was(card: str) -> None:
    described = Protector(card, "entropy").describe()
    assert "universal" not in described
    assert described["settings"]["required_score"] == 0.95


def test_another_noise_in_the_same_folder_is_refused(
    fitted: Path, card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, out = write(tmp_path / "in", 1), tmp_path / "out"
    noise = UniversalNoise.load(fitted)
    other = UniversalNoise(noises={size: each / 2 for size, each in noise.noises.items()}, models=noise.models)
    other.save(tmp_path / "other.safetensors")
    protect = ["protect", inputs, "-o", out, "-m", card, "--scheme", "entropy"]
    veil(*protect, "--universal", fitted)
    assert veil(*protect, "--universal", tmp_path / "other.safetensors") == 2
    assert "other settings: universal " in said(capsys)
    assert veil(*protect) == 2
    assert "other settings: universal " in said(capsys)
    renamed = shutil.copy(fitted, tmp_path / "renamed.safetensors")
    assert veil(*protect, "--universal", renamed) in (0, NOT_PROTECTED)


def test_a_photo_of_another_size_fails_alone(
    fitted: Path, card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, out = write(tmp_path / "in", 3), tmp_path / "out"
    write(inputs, 1, (40, 32), prefix="a")
    Image.new("L", (40, 32), 90).save(inputs / "grey.png")
    status = veil("protect", inputs, "-o", out, "-m", card, "--scheme", "entropy", "--universal", fitted)
    assert status == FAILED
    errors = {row["file"]: row["error"] for row in rows_of(out) if row["error"]}
    assert errors == {
        "a00.png": "there is no noise for photos of 3x40x32 (channels, height, width); there is for 3x32x40",
        "grey.png": "there is no noise for photos of 1x32x40 (channels, height, width); there is for 3x32x40",
    }
    assert "failed a00.png: there is no noise" in said(capsys)
    assert not (out / "a00.png").exists()


def test_in_memory_the_size_is_an_error(fitted: Path, card: str) -> None:
    protector = Protector(card, "entropy", universal=fitted)
    fits, other = torch.full((3, 32, 40), 128, dtype=torch.uint8), torch.full((3, 30, 40), 128, dtype=torch.uint8)
    assert protector.protect(images.Photo(fits)).row["iterations"] == 0
    with pytest.raises(NoNoise, match="3x30x40"):
        protector.protect(images.Photo(other))


def test_universal_noise_goes_with_entropy_alone(
    fitted: Path, card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, out = write(tmp_path / "in", 1), tmp_path / "out"
    protect = ["protect", inputs, "-o", out, "-m", card, "--universal", fitted]
    assert veil(*protect) == 2
    assert "--universal does not go with --scheme crs" in said(capsys)
    assert veil(*protect, "--scheme", "entropy", "--budget", 8) == 2
    assert "--budget does not go with --universal" in said(capsys)
    assert not out.exists()
    with pytest.raises(ValueError, match="does not go with the scheme cis"):
        Protector(card, "cis", universal=fitted)
    with pytest.raises(ValueError, match="takes no settings"):
        Protector(card, "entropy", universal=fitted, budget=8)


def test_another_file_is_refused(card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs, out = write(tmp_path / "in", 1), tmp_path / "out"
    weights = Path(card).with_suffix(".safetensors")
    for file, reason in (
        (weights, "not a file of universal noise"),
        (inputs / "00.png", "not a safetensors file"),
        (tmp_path / "nowhere", "cannot be read"),
    ):
        assert veil("protect", inputs, "-o", out, "-m", card, "--scheme", "entropy", "--universal", file) == 2
        assert reason in said(capsys)
    assert not out.exists()


def test_networks_of_no_part_in_the_fit_are_named(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = cards.write(tmp_path, "other", seed=9)
    inputs = write(tmp_path / "in", 1)
    veil("protect", inputs, "-o", tmp_path / "out", "-m", other, "--scheme", "entropy", "--universal", fitted)
    assert "the noise was not fitted to other, but to small" in said(capsys)


def test_sizes_labels_and_what_is_left_out(card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs, out = write(tmp_path / "in", 12), tmp_path / "made" / "noise.safetensors"
    write(inputs / "small", 3, (20, 24), prefix="s")
    (inputs / "bad.jpg").write_text("no photo")
    (inputs / "notes.txt").write_text("no photo either")
    (tmp_path / "labels.csv").write_text("file,class\n" + "".join(f"{number:02}.png,3\n" for number in range(12)))
    status = veil(
        "fit-noise", inputs, "-o", out, "-m", card, "--iterations", 2, "--max-photos", 10, "--budget", 3.9,
        "--labels", tmp_path / "labels.csv", "--json",
    )  # fmt: skip
    assert status == 0
    captured = capsys.readouterr()
    made = json.loads(captured.out)
    small, large = made["effects"]
    assert (large["size"], large["network"], large["fitted"], large["measured"]) == ("3x32x40", "small", 8, 2)
    assert (small["size"], small["fitted"], small["measured"]) == ("3x20x24", 3, 3)
    assert (large["held_out"], small["held_out"]) == (True, False)
    for effect in made["effects"]:
        assert 0 <= effect["ice_before"] <= math.log(10)
        assert 0 <= effect["icp_before"] <= 1
    assert large["on_top_before"] < small["on_top_before"] == 1  # the small ones have no label, so what is seen is true
    assert "bad.jpg: " in captured.err
    assert "3x32x40: 10 of 12 photos drawn, 2 left out" in captured.err
    noise = UniversalNoise.load(out)
    assert noise.fingerprint == made["fingerprint"]
    assert noise.photos == {(3, 20, 24): 3, (3, 32, 40): 8}
    assert noise.models == {"small": catalog.load(card).fingerprint()}
    assert (noise.settings["budget"], noise.settings["max_photos"], noise.settings["seed"]) == (3.9, 10, 0)
    assert all(float(each.abs().max()) <= 3 / 255 + 1e-6 for each in noise.noises.values())


def test_the_tables_name_photos_and_what_changed(card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = write(tmp_path / "in", 5)
    write(inputs, 4, (20, 24), prefix="s")
    assert veil("fit-noise", inputs, "-o", tmp_path / "n.safetensors", "-m", card, "--iterations", 2) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3x32x40: fitted to 4 photos, measured on 1 others" in shown
    assert "3x20x24: fitted to 4 photos, measured on the same, which says nothing of others" in shown
    assert "│ small │ 100% →" in shown  # without labels the network's own first choice counts as true


def test_same_seed_same_bytes(card: str, tmp_path: Path) -> None:
    inputs = write(tmp_path / "in", 6)
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        out = tmp_path / f"{name}.safetensors"
        veil("fit-noise", inputs, "-o", out, "-m", card, "--iterations", 3, "--max-photos", 5, "--seed", seed)
    one, again, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("one", "again", "other"))
    assert one == again
    assert one != other


WRONG = [
    (["--out", "noise.bin"], "must end in .safetensors"),
    (["--out", "there.safetensors"], "is there already"),
    (["--budget", "0"], "budget must lie between 1 and 255"),
    (["--icp-weight", "-1"], "icp weight must not be negative"),
    (["--iterations", "0"], "must be at least 1"),
    (["--device", "abacus"], "no device"),
    (["--model", "nowhere.toml"], "no model card"),
    (["--labels", "nowhere.csv"], "nowhere.csv"),
    (["--labels", "wrong.csv"], "small has no class 10, only 0 to 9"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[" ".join(options) for options, _ in WRONG])
def test_wrong_usage_is_status_2_and_says_why(
    options: list[str],
    message: str,
    card: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", 1)
    Path("there.safetensors").write_text("precious")
    Path("wrong.csv").write_text("00.png,10\n")
    out = [] if "--out" in options else ["--out", "noise.safetensors"]
    model = [] if "--model" in options else ["-m", card]
    assert veil("fit-noise", "in", *out, *model, *options) == 2
    assert message in said(capsys)
    assert not Path("noise.safetensors").exists()
    assert Path("there.safetensors").read_text() == "precious"


def test_no_readable_photo_is_status_2(card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no photo")
    out = tmp_path / "n.safetensors"
    assert veil("fit-noise", bad, "-o", out, "-m", card) == 2
    assert "bad.jpg: " in (told := said(capsys))
    assert "no photo to fit to" in told
    assert veil("fit-noise", tmp_path / "nowhere", "-o", out, "-m", card) == 2
    assert "there is no" in said(capsys)
    assert not out.exists()


def test_stopping_writes_nothing_and_says_so(
    card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "fit", interrupted)
    out = tmp_path / "n.safetensors"
    assert veil("fit-noise", write(tmp_path / "in", 1), "-o", out, "-m", card) == 130
    assert "nothing was written" in said(capsys)
    assert not out.exists()


def test_memory_is_bounded_and_said(card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MAX_PIXELS", 5 * 32 * 40)
    monkeypatch.setattr(fitting, "MAX_BATCH_PIXELS", 2 * 32 * 40 + 1)
    inputs, lines = write(tmp_path / "in", 7), []
    settings = FitSettings(iterations=1)
    files = [(path, path.name) for path in sorted(inputs.iterdir())]
    groups = by_size(files, settings, seed=0, say=lines.append)
    assert [len(group.files) for group in groups] == [5]
    noise, _ = fit_groups([catalog.load(card)], groups, settings, truths={}, seed=0, say=lines.append)
    assert noise.photos == {(3, 32, 40): 4}
    assert lines == ["3x32x40: 5 of 7 photos drawn, 2 left out", "3x32x40: 2 photos per step instead of 16"]
    assert settings.universal((3, 9000, 9000)).batch_size == 1


def test_photos_that_vanish_before_the_fit_are_named(card: str, tmp_path: Path) -> None:
    inputs, lines = write(tmp_path / "in", 2), []
    files = tuple((path, path.name) for path in sorted(inputs.iterdir()))
    classifiers, settings = [catalog.load(card)], FitSettings(iterations=1)
    (inputs / "00.png").unlink()
    noise, _ = fit_groups(classifiers, [Group((3, 32, 40), files)], settings, truths={}, seed=0, say=lines.append)
    assert noise.photos == {(3, 32, 40): 1}
    assert lines[0].startswith("00.png: ")
    (inputs / "01.png").unlink()
    with pytest.raises(ValueError, match="none of the photos of 3x32x40"):
        fit_groups(classifiers, [Group((3, 32, 40), files)], settings, truths={}, seed=0)


def test_what_counts_as_true_in_an_ensemble(tmp_path: Path, card: str) -> None:
    """Networks of the first one's class names share its truth; another one has its own first choice."""
    same = catalog.load(str(cards.write(tmp_path, "same", seed=9)))
    other = catalog.load(str(cards.write(tmp_path, "other", seed=5)))
    other.classes = tuple(f"object {k}" for k in range(10))
    classifiers = [catalog.load(card), same, other]
    logits = [torch.randn(4, 10, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    labels = fitting.true_classes(classifiers, logits, [None, 7, None, 0])
    first, third = logits[0].argmax(1), logits[2].argmax(1)
    assert labels[0].tolist() == labels[1].tolist() == [int(first[0]), 7, int(first[2]), 0]
    assert labels[2].tolist() == third.tolist()
    with pytest.raises(ValueError, match="the same name"):
        fit_groups([same, same], [], FitSettings(), truths={}, seed=0)


def test_an_ensemble_is_fitted_and_measured_by_network(card: str, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    other = cards.write(tmp_path, "other", seed=9)
    inputs, out = write(tmp_path / "in", 6), tmp_path / "n.safetensors"
    assert veil("fit-noise", inputs, "-o", out, "-m", card, "-m", other, "--iterations", 2, "--json") == 0
    assert [effect["network"] for effect in json.loads(capsys.readouterr().out)["effects"]] == ["small", "other"]
    assert set(UniversalNoise.load(out).models) == {"small", "other"}


def test_learning_rate_keeps_its_ratio_to_the_limit() -> None:
    settings = FitSettings(budget=10.7).universal((3, 8, 8))
    assert settings.limit == 10 / 255
    assert settings.learning_rate / settings.limit == pytest.approx(0.01 / 0.35)
