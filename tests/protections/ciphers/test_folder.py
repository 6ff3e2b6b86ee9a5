"""Folders through ciphers and back: exact pixels from files, sizes, grey, alpha, keys, and what is refused."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import odd_images
import pytest
import torch
from commands import kept_of
from drawn import images as drawn
from PIL import Image

from veil import images
from veil.data import class_folders, small_images
from veil.jobs import folders
from veil.jobs.folders import FolderError
from veil.protections import PROTECTIONS
from veil.protections.ciphers import folder
from veil.protections.ciphers.folder import LOSSLESS, decrypt_folder, encrypt_folder
from veil.protections.ciphers.keys import Key

KEYED = [name for name, row in PROTECTIONS.items() if row.decrypts]
SIZES = [(1, 1), (3, 5), (4, 8), (33, 30)]
SECRET = bytes(range(100, 132))


@pytest.fixture
def key() -> Key:
    return Key(SECRET)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Colour and grey images of odd sizes, in sub-folders."""
    for height, width in SIZES:
        pixels = drawn(1, height, width)[0]
        write(tmp_path / f"in/colour/{height}x{width}.png", pixels)
        write(tmp_path / f"in/grey/{height}x{width}.png", pixels[:1])
    return tmp_path / "in"


def write(file: Path, pixels: torch.Tensor) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    images.save(images.Photo(pixels), file)


def pixels_of(file: Path) -> torch.Tensor:
    return images.load(file).pixels


@pytest.mark.parametrize("format", LOSSLESS)
@pytest.mark.parametrize("cipher", KEYED)
def test_every_pixel_comes_back(inputs: Path, tmp_path: Path, key: Key, cipher: str, format: str) -> None:
    encrypted = list(encrypt_folder([inputs], tmp_path / "encrypted", cipher, key, format=format))
    decrypted = list(decrypt_folder([tmp_path / "encrypted"], tmp_path / "decrypted", key, format=format))
    scheme = PROTECTIONS[cipher].cipher(key)
    assert len(encrypted) == len(decrypted) == 2 * len(SIZES)
    for there, back in zip(encrypted, decrypted, strict=True):
        before = pixels_of(inputs / there["file"])
        wanted = scheme.encrypt(before.expand(3, -1, -1)[None])[0]
        assert pixels_of(tmp_path / "encrypted" / there["out"]).equal(wanted)
        assert (there["channels"], there["height"], there["width"]) == tuple(before.shape)
        assert (there["encrypted_height"], there["encrypted_width"]) == tuple(wanted.shape[1:])
        assert back["file"] == there["out"]
        assert (back["channels"], back["height"], back["width"]) == tuple(before.shape)
        after = pixels_of(tmp_path / "decrypted" / back["out"])
        assert after.equal(before.expand_as(after))  # WebP gives grey back as three channels
        assert back["notes"] == []
        assert there["notes"] == (["grey became three equal colours"] if len(before) == 1 else [])


def test_a_key_per_image_hides_equal_images_from_each_other(tmp_path: Path, key: Key) -> None:
    for name in "ab":
        write(tmp_path / f"in/{name}.png", drawn(1, 8, 8)[0])
    encrypt_folder([tmp_path / "in"], tmp_path / "encrypted", "pixel-different")
    first, second = (pixels_of(tmp_path / "encrypted" / name) for name in ("a.png", "b.png"))
    assert not first.equal(second)
    with pytest.raises(FolderError, match="nobody can decrypt"):
        decrypt_folder([tmp_path / "encrypted"], tmp_path / "decrypted", key)
    assert not (tmp_path / "decrypted").exists()


@pytest.mark.parametrize("given", [".", "colour", "grey/3x5.png", "../link.png"])
def test_rows_are_found_from_any_part_of_the_folder(inputs: Path, tmp_path: Path, key: Key, given: str) -> None:
    encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key)
    (tmp_path / "link.png").symlink_to("encrypted/grey/3x5.png")
    rows = list(decrypt_folder([tmp_path / "encrypted" / given], tmp_path / "out", key))
    assert (3, 5) in {(row["height"], row["width"]) for row in rows}
    for row in rows:
        height, width = (int(side) for side in Path(row["file"]).stem.split("x")) if "x" in row["file"] else (3, 5)
        assert (row["height"], row["width"], row["notes"]) == (height, width, [])


def test_without_a_row_padding_stays_and_a_note_says_so(inputs: Path, tmp_path: Path, key: Key) -> None:
    encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key)
    alone = tmp_path / "alone/a.png"
    alone.parent.mkdir()
    alone.write_bytes((tmp_path / "encrypted/colour/3x5.png").read_bytes())
    with pytest.raises(FolderError, match=r"No run\.json .* say --rows .* or say --cipher"):
        decrypt_folder([alone], tmp_path / "out", key)
    (row,) = decrypt_folder([alone], tmp_path / "out", key, "tanaka")
    assert (row["height"], row["width"]) == (4, 8)
    assert "padding" in row["notes"][0]
    assert pixels_of(tmp_path / "out/a.png")[:, :3, :5].equal(pixels_of(inputs / "colour/3x5.png"))


def test_images_that_lie_elsewhere_are_decrypted_by_their_rows(inputs: Path, tmp_path: Path, key: Key) -> None:
    """Renamed, and one in a folder of another name: rows know them by their pixels."""
    encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key)
    (tmp_path / "cloud").mkdir()
    (tmp_path / "encrypted/colour/3x5.png").rename(tmp_path / "cloud/a.png")
    (tmp_path / "encrypted/grey/33x30.png").rename(tmp_path / "cloud/b.png")
    shutil.rmtree(tmp_path / "encrypted")
    for number, given in enumerate(("encrypted", "encrypted-private")):
        out = tmp_path / f"out{number}"
        rows = list(decrypt_folder([tmp_path / "cloud"], out, key, rows=tmp_path / given))
        assert [(row["channels"], row["height"], row["width"]) for row in rows] == [(3, 3, 5), (1, 33, 30)]
        assert pixels_of(out / "a.png").equal(pixels_of(inputs / "colour/3x5.png"))
    with pytest.raises(FolderError, match=r"no run\.json of `veil encrypt`"):
        decrypt_folder([tmp_path / "cloud"], tmp_path / "out", key, rows=tmp_path / "out0")


def test_pixel_needs_no_row(inputs: Path, tmp_path: Path, key: Key) -> None:
    encrypt_folder([inputs / "colour"], tmp_path / "encrypted", "pixel-same", key)
    shutil.rmtree(kept_of(tmp_path / "encrypted"))
    for row in decrypt_folder([tmp_path / "encrypted"], tmp_path / "out", key, "pixel-same"):
        assert row["notes"] == []
        assert pixels_of(tmp_path / "out" / row["out"]).equal(pixels_of(inputs / "colour" / row["file"]))


def test_alpha_is_flattened_over_white(tmp_path: Path, key: Key) -> None:
    values = np.zeros((5, 6, 4), np.uint8)
    values[..., 3] = np.arange(30).reshape(5, 6) * 8
    Image.fromarray(values).save(tmp_path / "a.png")
    (row,) = encrypt_folder([tmp_path / "a.png"], tmp_path / "encrypted", "tanaka", key)
    assert row["notes"] == ["alpha flattened over white"]
    assert images.load(tmp_path / "encrypted/a.png").alpha is None
    decrypt_folder([tmp_path / "encrypted"], tmp_path / "out", key)
    after = images.load(tmp_path / "out/a.png")
    assert after.alpha is None
    assert after.pixels.equal(torch.from_numpy(255 - values[..., 3]).expand(3, -1, -1))


@pytest.mark.parametrize("cipher", KEYED)
def test_a_size_is_that_of_training_data(inputs: Path, tmp_path: Path, key: Key, cipher: str) -> None:
    """What a network sees that reads class folders at this size."""
    encrypted = list(encrypt_folder([inputs], tmp_path / "encrypted", cipher, key, size=6))
    decrypt_folder([tmp_path / "encrypted"], tmp_path / "out", key)
    assert encrypted[0]["notes"] == ["resized from 1×1 to 6×6"]
    assert (encrypted[0]["width"], encrypted[0]["height"]) == (1, 1)
    plain, after = class_folders.read(inputs, 6), class_folders.read(tmp_path / "out", 6)
    assert after.images.equal(plain.images)
    assert {images.load(file).pixels.shape[1:] for file in (tmp_path / "out").rglob("*.png")} == {(6, 6)}


def test_encrypted_class_folders_are_a_data_set(tmp_path: Path, key: Key) -> None:
    """As CIFAR lies in class folders: JPEG in train/<class> and test/<class>."""
    for number, pixels in enumerate(drawn(8, 12, 12)):
        file = tmp_path / "in" / ("train", "test")[number % 2] / ("cat", "dog")[number // 2 % 2] / f"{number:04}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)
    encrypt_folder([tmp_path / "in"], tmp_path / "encrypted", "tanaka", key)
    plain, encrypted = small_images.read(tmp_path / "in"), small_images.read(tmp_path / "encrypted")
    scheme = PROTECTIONS["tanaka"].cipher(key)
    for before, after in ((plain.train, encrypted.train), (plain.test, encrypted.test)):
        assert after.classes == before.classes == ("cat", "dog")
        assert after.labels.equal(before.labels)
        assert after.images.equal(scheme.encrypt(before.images))


def test_the_key_is_in_no_file_and_its_fingerprint_is(inputs: Path, tmp_path: Path, key: Key) -> None:
    encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key)
    decrypt_folder([tmp_path / "encrypted"], tmp_path / "decrypted", key)
    forms = (SECRET, SECRET.hex().encode(), base64.b64encode(SECRET).rstrip(b"="), str(list(SECRET)).encode())
    for out in (tmp_path / "encrypted", tmp_path / "decrypted"):
        for file in out.rglob("*"):
            content = file.read_bytes() if file.is_file() else b""
            assert not any(form in content for form in forms)
        assert folders.read_manifest(out)["key"] == key.fingerprint


def test_another_key_is_refused_before_anything_is_written(inputs: Path, tmp_path: Path, key: Key) -> None:
    encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key)
    other = Key.new()
    with pytest.raises(FolderError, match=f"with the key {key.fingerprint}, not with {other.fingerprint}"):
        decrypt_folder([tmp_path / "encrypted"], tmp_path / "out", other)
    with pytest.raises(FolderError, match="encrypted with tanaka, not with pixel-same"):
        decrypt_folder([tmp_path / "encrypted"], tmp_path / "out", key, "pixel-same")
    assert not (tmp_path / "out").exists()


def test_several_ciphers_are_decrypted_one_after_the_other(inputs: Path, tmp_path: Path, key: Key) -> None:
    for cipher in KEYED:
        encrypt_folder([inputs], tmp_path / cipher, cipher, key)
    with pytest.raises(FolderError, match="pixel-same, tanaka: decrypt one after the other"):
        decrypt_folder([tmp_path / cipher for cipher in KEYED], tmp_path / "out", key)


def test_what_was_decrypted_is_not_decrypted_again(inputs: Path, tmp_path: Path, key: Key) -> None:
    """Even where it came to lie in the encrypted folder: the nearest run.json counts."""
    encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key)
    with pytest.raises(FolderError, match=r"lies in the input .*encrypted"):
        decrypt_folder([tmp_path / "encrypted"], tmp_path / "encrypted/plain", key)
    decrypt_folder([tmp_path / "encrypted"], tmp_path / "plain", key)
    for name in ("plain", "plain-private"):
        (tmp_path / name).rename(tmp_path / "encrypted" / name)
    with pytest.raises(FolderError, match="which cipher"):
        decrypt_folder([tmp_path / "encrypted/plain"], tmp_path / "out", key)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [("{broken", "cannot be read"), ('{"cipher": "new", "version": 1}', "which this Veil does not have"),
     ('{"cipher": "tanaka", "version": 2}', "another version"), ("[]", "which cipher"), ("{}", "which cipher"),
     ('{"cipher": ["tanaka"], "version": 1}', "another version"), ("[" * 100_000, "cannot be read"),
     ('{"cipher": "tanaka", "version": 1, "key": 3}', "names no key and size as"),
     ('{"cipher": "tanaka", "version": 1, "key": "a", "size": "8"}', "names no key and size as")],
)  # fmt: skip
def test_a_folder_that_is_not_understood_is_refused(
    inputs: Path, tmp_path: Path, key: Key, manifest: str, message: str
) -> None:
    (inputs / "run.json").write_text(manifest)
    with pytest.raises(FolderError, match=message):
        decrypt_folder([inputs], tmp_path / "out", key)


@pytest.mark.parametrize(
    "change", [{"out": ["a.png"]}, {"out": None}, {"height": "3"}, {"channels": None}, {"digest": 3}]
)
def test_rows_that_encryption_did_not_write_are_refused(
    inputs: Path, tmp_path: Path, key: Key, change: dict[str, object]
) -> None:
    rows = list(encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key))
    lines = [json.dumps(row | change) for row in rows]
    kept_of(tmp_path / "encrypted", "rows.jsonl").write_text("\n".join(lines))
    with pytest.raises(FolderError, match=r"rows\.jsonl: the row of .* is not of `veil encrypt`"):
        decrypt_folder([tmp_path / "encrypted"], tmp_path / "out", key)
    assert not (tmp_path / "out").exists()


def test_changed_files_are_noticed(tmp_path: Path, key: Key) -> None:
    pixels = drawn(1, 12, 12)[0]
    for name in ("touched", "resized", "jpeg", "lossy", "same"):
        write(tmp_path / f"in/{name}.png", pixels)
    out = tmp_path / "encrypted"
    encrypt_folder([tmp_path / "in"], out, "pixel-same", key)
    with Image.open(out / "same.png") as image:
        image.save(out / "jpeg.png", "JPEG")
        image.save(out / "lossy.png", "WebP")
        image.resize((8, 8)).save(out / "resized.png")
        image.putpixel((0, 0), (1, 2, 3))
        image.save(out / "touched.png")
    rows = {Path(row["file"]).stem: row for row in decrypt_folder([out], tmp_path / "decrypted", key)}
    assert [name for name, row in rows.items() if row["error"]] == ["jpeg", "lossy", "resized"]
    assert "stored with loss" in rows["jpeg"]["error"]
    assert rows["jpeg"]["error"] == rows["lossy"]["error"]
    assert rows["resized"]["error"] == "images of 12×12 do not become 8×8 when they are encrypted"
    assert "changed since" in rows["touched"]["notes"][0]
    assert rows["same"]["notes"] == []


def test_a_file_that_holds_other_pixels_is_a_failure(
    inputs: Path, tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is what counts: here the encoder loses the last bit."""
    encode = images.encode
    monkeypatch.setattr(
        images, "encode", lambda photo, format, mark=None: encode(photo.with_pixels(photo.pixels & 254), format)
    )
    rows = list(encrypt_folder([inputs], tmp_path / "out", "tanaka", key))
    assert all("holds other pixels" in row["error"] for row in rows)
    assert not list((tmp_path / "out").rglob("*.png"))
    monkeypatch.undo()
    assert not any(row["error"] for row in encrypt_folder([inputs], tmp_path / "out", "tanaka", key))


def test_rows_are_the_rows_in_the_file(inputs: Path, tmp_path: Path, key: Key) -> None:
    rows = list(encrypt_folder([inputs], tmp_path / "out", "tanaka", key))
    assert folders.read_rows(kept_of(tmp_path / "out", "rows.jsonl")) == rows
    assert rows[0]["source"] == folders.stamp(inputs / rows[0]["file"])
    assert json.loads(kept_of(tmp_path / "out", "run.json").read_text()) == {
        "version": 1, "cipher": "tanaka", "key": key.fingerprint, "format": "png", "size": None,
    }  # fmt: skip


def test_wrong_calls_say_what_is_wrong(inputs: Path, tmp_path: Path, key: Key) -> None:
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="there is no protection 'caesar'"):
        encrypt_folder([inputs], out, "caesar", key)
    with pytest.raises(ValueError, match="tanaka takes a key"):
        encrypt_folder([inputs], out, "tanaka")
    with pytest.raises(ValueError, match="plain is no cipher"):
        encrypt_folder([inputs], out, "plain")
    with pytest.raises(ValueError, match="pixel-different takes no key"):
        encrypt_folder([inputs], out, "pixel-different", key)
    with pytest.raises(ValueError, match="JPEG changes pixels"):
        encrypt_folder([inputs], out, "tanaka", key, format="jpeg")
    with pytest.raises(ValueError, match="there is no format 'gif'; take png, webp, tiff"):
        decrypt_folder([inputs], out, key, "tanaka", format="gif")
    with pytest.raises(ValueError, match="out of range"):
        encrypt_folder([inputs], out, "tanaka", key, size=100_000)
    with pytest.raises(ValueError, match="one of tanaka, pixel-same, not 'pixel-different'"):
        decrypt_folder([inputs], out, key, "pixel-different")
    with pytest.raises(FolderError, match="there is no"):
        decrypt_folder([tmp_path / "nowhere"], out, key)
    assert not out.exists()


def test_odd_images_come_back_or_fail_in_a_row(tmp_path: Path, key: Key) -> None:
    (tmp_path / "in").mkdir()
    made = [path for path in odd_images.corpus(tmp_path / "in") if not path.is_dir()]
    rows = list(encrypt_folder(made, tmp_path / "encrypted", "tanaka", key))
    assert len({row["file"] for row in rows}) == len(made) >= 300
    done = {row["out"]: row for row in rows if not row["error"]}
    assert len(done) >= 50
    assert all(row["error"] is None or (row["error"] and "\n" not in row["error"]) for row in rows)
    back = decrypt_folder([tmp_path / "encrypted"], tmp_path / "decrypted", key)
    assert {row["file"] for row in back} == {out for out in done if not Path(out).name.startswith(".")}
    for row in back:
        before = images.over_white(images.load(tmp_path / "in" / done[row["file"]]["file"])).pixels
        assert row["error"] is None
        assert pixels_of(tmp_path / "decrypted" / row["out"]).equal(before)


def test_what_is_read_of_the_source_is_stated(tmp_path: Path, key: Key) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera of Ada"
    Image.new("RGB", (5, 3)).save(tmp_path / "a.jpg", exif=exif)
    (row,) = encrypt_folder([tmp_path / "a.jpg"], tmp_path / "out", "tanaka", key)
    assert row["notes"] == ["turned upright (EXIF orientation 6)"]
    assert (row["width"], row["height"]) == (3, 5)
    assert b"Ada" not in (tmp_path / "out/a.png").read_bytes()


def test_folders_are_read_once(inputs: Path, tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    encrypt_folder([inputs], tmp_path / "encrypted", "tanaka", key)
    read: list[Path] = []
    reader = folder._read_encrypted
    monkeypatch.setattr(folder, "_read_encrypted", lambda place: (read.append(place), reader(place))[1])
    decrypt_folder([tmp_path / "encrypted"], tmp_path / "out", key)
    assert read == [tmp_path / "encrypted"]
