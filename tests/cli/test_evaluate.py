"""Models and images that do not fit together; and how often a model is right: `veil evaluate`, `veil inspect`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import said, veil

from veil import images
from veil.data import synthetic
from veil.images import Photo, marks
from veil.images.marks import NO_KEY, Mark

Captured = pytest.CaptureFixture[str]
QUICK = [
    "--network",
    "vgg13",
    "--width",
    4,
    "--epochs",
    1,
    "--batch-size",
    20,
    "--device",
    "cpu",
    "--adaptation",
    "none",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, two keys, the set encrypted under each, and a model of each: plain, first, second."""
    folder = tmp_path_factory.mktemp("home")
    parts = synthetic.small_images(train=40, test=20, classes=4, side=32, seed=0)
    for name, part in (("train", parts.train), ("test", parts.test)):
        for number, (image, label) in enumerate(zip(part.images, part.labels.tolist(), strict=True)):
            place = folder / "plain" / name / f"class{label}"
            place.mkdir(parents=True, exist_ok=True)
            images.save(Photo(image), place / f"{number}.png")
    for name in ("first", "second"):
        assert veil("key", "new", folder / f"{name}.key") == 0
        key = ("--cipher", "pixel", "--key", folder / f"{name}.key")
        assert veil("encrypt", folder / "plain", "-o", folder / name, *key) == 0
    for name in ("plain", "first"):
        assert veil("train", "--data", folder / name, "-o", folder / f"net-{name}", *QUICK) == 0
    return folder


def one(home: Path, data: str) -> Path:
    return next(iter(sorted((home / data).rglob("test/class0/*.png"))))


def fingerprint(home: Path, name: str) -> str:
    mark = marks.of_file(one(home, name))
    assert mark is not None
    assert mark.key is not None
    return mark.key


def test_an_encrypted_image_says_by_which_cipher_and_key(home: Path, capsys: Captured) -> None:
    assert veil("key", "show", home / "first.key") == 0
    assert fingerprint(home, "first") in capsys.readouterr().out
    assert fingerprint(home, "first") != fingerprint(home, "second")
    assert marks.of_file(one(home, "first")) == Mark("pixel-same", fingerprint(home, "first"))
    card = (home / "net-first/model.toml").read_text()
    assert f'cipher = "pixel-same"\nkey = "{fingerprint(home, "first")}"' in card


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_every_format_carries_it_and_keeps_its_pixels(home: Path, tmp_path: Path, format: str) -> None:
    key = ("--cipher", "tanaka", "--key", home / "first.key")
    assert veil("encrypt", one(home, "plain"), "-o", tmp_path / "out", *key, "--format", format) == 0
    (file,) = (file for file in (tmp_path / "out").rglob("*") if file.suffix[1:] == format)
    assert marks.of_file(file) == Mark("tanaka", fingerprint(home, "first"))
    assert veil("decrypt", tmp_path / "out", "-o", tmp_path / "back", "--key", home / "first.key") == 0
    (back,) = (tmp_path / "back").rglob("*.png")
    assert images.load(back).pixels.equal(images.load(one(home, "plain")).pixels)
    assert marks.of_file(back) is None


def test_keys_of_images_own_are_said_to_be_none(home: Path, tmp_path: Path) -> None:
    assert veil("encrypt", one(home, "plain"), "-o", tmp_path, "--cipher", "pixel", "--per-image") == 0
    (file,) = tmp_path.rglob("*.png")
    assert marks.of_file(file) == Mark("pixel-different", NO_KEY)


@pytest.mark.parametrize(
    ("model", "image", "says"),
    [
        ("net-first", "plain", "this one is plain"),
        ("net-first", "second", "this one is encrypted by pixel-same under the key"),
        ("net-plain", "first", "was trained on plain images; this one is encrypted by pixel-same"),
        ("net-plain", "plain", None),
        ("net-first", "first", None),
    ],
)
def test_what_does_not_fit_is_refused(home: Path, model: str, image: str, says: str | None, capsys: Captured) -> None:
    card = home / model / "model.toml"
    commands = (("inspect", one(home, image), "-m", card), ("evaluate", card, home / image))
    for command in commands:
        assert veil(*command) == (0 if says is None else 2)
        shown = said(capsys)
        assert (says or "") in shown
        if says is None:
            assert "trained on" not in shown
            continue
        assert veil(*command, "--anyway") == 0
        assert says in said(capsys)


def without_mark(home: Path, to: Path) -> Path:
    """An encrypted file as older versions wrote it."""
    images.save(images.load(one(home, "first")), to / "old.png")
    assert marks.of_file(to / "old.png") is None
    return to / "old.png"


def test_older_files_are_warned_of(home: Path, tmp_path: Path, capsys: Captured) -> None:
    """An image without a mark that looks encrypted, and a card without the key."""
    assert veil("inspect", without_mark(home, tmp_path), "-m", home / "net-first/model.toml") == 0
    assert "does not say how it is encrypted" in said(capsys)
    for suffix in ("safetensors", "labels.txt"):
        (tmp_path / f"model.{suffix}").write_bytes((home / f"net-first/model.{suffix}").read_bytes())
    card = tmp_path / "model.toml"
    lines = (home / "net-first/model.toml").read_text().splitlines()
    card.write_text("\n".join(line for line in lines if not line.startswith("key = ")))
    assert veil("inspect", one(home, "second"), "-m", card) == 0
    assert "under which key is not known" in said(capsys)
    assert veil("inspect", one(home, "plain"), "-m", card) == 2


def test_a_model_is_evaluated_with_n_and_interval(home: Path, capsys: Captured) -> None:
    command = ("evaluate", home / "net-plain/model.toml", home / "plain")
    assert veil(*command, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["count"] == 20
    assert result["top1_interval"][0] < result["top1"] < result["top1_interval"][1]
    card = (home / "net-plain/model.toml").read_text()
    assert f"top1 = {100 * result['top1']:.1f}" in card
    assert veil(*command) == 0
    assert f"({round(20 * result['top1'])} of 20 images; 95 %: " in capsys.readouterr().out
    assert veil(*command, "--part", "train") == 0
    assert " of 40 images; 95 %: " in capsys.readouterr().out


def test_a_folder_of_class_folders_is_evaluated(home: Path, capsys: Captured) -> None:
    """The same photos one by one, as a folder of any photos has them."""
    whole, folder = ("evaluate", home / "net-plain/model.toml", home / "plain"), home / "plain/test"
    assert veil(*whole, "--json") == 0
    expected = json.loads(capsys.readouterr().out)
    assert veil(*whole[:2], folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["top1"] == expected["top1"]
    assert veil("evaluate", home / "net-first/model.toml", home / "second/test") == 2
    assert "under the key" in said(capsys)
    assert veil("inspect", folder, "-m", home / "net-plain/model.toml") == 2
    assert "veil evaluate MODEL" in said(capsys)
    assert veil("evaluate", "mnist-cnn", folder) == 2
    assert "mnist-cnn does not know the class 'class0', nor 3 others" in said(capsys)
    assert veil("evaluate", home / "net-plain/model.toml", home / "nowhere") == 2


def test_a_finished_training_cannot_be_made_longer(home: Path, capsys: Captured) -> None:
    longer = [2 if word == 1 else word for word in QUICK]
    assert veil("train", "--data", home / "plain", "-o", home / "net-plain", *longer) == 2
    shown = said(capsys)
    assert "epochs 1 → 2 (learning rates follow the whole length of a training" in shown
    assert "batch_size" not in shown


@pytest.mark.parametrize(
    "damaged",
    [
        lambda data: data[:40], lambda data: data[:8] + b"\xff" * 100, lambda data: b"II*\0\xff\xff\xff\x7f",
        lambda data: b"RIFF\xff\xff\xff\xffWEBPEXIF\xff\xff\xff\xff", lambda data: b"",
    ],
)  # fmt: skip
def test_marks_of_damaged_files_are_none(home: Path, damaged: Callable[[bytes], bytes]) -> None:
    assert marks.of_bytes(damaged(one(home, "first").read_bytes())) is None
