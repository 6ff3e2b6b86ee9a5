"""Files of features, folders of them, and what a service says of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import kept_of
from obfuscators import drawn, tiny
from PIL import Image, ImageCms

from veil import images
from veil.jobs import folders
from veil.jobs.folders import FolderError, Run
from veil.protections.features import feature_files
from veil.protections.features.encoding import Encoding
from veil.protections.features.feature_files import (
    FeatureError,
    OtherClient,
    classify,
    extract_folder,
    find,
    pack,
    unpack,
)
from veil.runtime.provenance import ARITHMETIC, arithmetic

SHAPES: list[tuple[tuple[int, int, int], Encoding]] = [
    ((8, 1, 1), Encoding("uint8", -1, 1)),
    ((4, 3, 5), Encoding("float16")),
    ((4, 3, 5), Encoding("float32")),
]
ME, YOU = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Six photos of other sizes, one of them grey, every other one in a sub-folder."""
    (tmp_path / "in/sub").mkdir(parents=True)
    for number in range(6):
        pixels = drawn(1, 20 + number, 50, number)[0]
        name = f"sub/{number}.png" if number % 2 else f"{number}.png"
        images.save(images.Photo(pixels[:1] if number == 4 else pixels), tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.mark.parametrize(("shape", "encoding"), SHAPES)
def test_a_file_is_sixteen_bytes_and_the_values(shape: tuple[int, int, int], encoding: Encoding) -> None:
    sent = encoding.encode(torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 0.5)
    data = pack(sent, ME)
    assert len(data) == feature_files.size_of(shape, encoding) == 16 + sent.numel() * sent.element_size()
    assert data[:16] == b"VEILFEA1" + bytes.fromhex(ME)
    again = unpack(data, shape, encoding, ME)
    assert again.dtype == sent.dtype
    assert again.equal(sent)


def test_bytes_are_in_the_order_that_is_written_down() -> None:
    values = torch.tensor([[[1.0, -2.0]], [[0.5, 0.0]]])
    assert pack(values.half(), ME)[16:].hex() == "003c00c000380000"
    assert pack(values, ME)[16:20].hex() == "0000803f"


@pytest.mark.parametrize(("shape", "encoding"), SHAPES)
def test_other_content_is_refused(shape: tuple[int, int, int], encoding: Encoding) -> None:
    data = pack(encoding.encode(torch.zeros(shape)), ME)
    with pytest.raises(OtherClient, match=f"client {YOU}, not of {ME}"):
        unpack(pack(encoding.encode(torch.zeros(shape)), YOU), shape, encoding, ME)
    for wrong, said in (
        (b"", "not a file of features"), (data[:10], "not a file of features"), (b"X" + data[1:], "not a file"),
        (data[:-1], "cut off"), (data[:16], "cut off"), (data + b"\0", "too long"),
    ):  # fmt: skip
        with pytest.raises(FeatureError, match=said):
            unpack(wrong, shape, encoding, ME)
    if encoding.dtype != "uint8":
        spoilt = encoding.encode(torch.zeros(shape))
        spoilt[0, 0, 0] = float("nan")
        with pytest.raises(FeatureError, match="not finite"):
            unpack(pack(spoilt, ME), shape, encoding, ME)


@pytest.mark.parametrize("values", [8, None])
def test_a_folder_becomes_what_the_client_sends(inputs: Path, tmp_path: Path, values: int | None) -> None:
    client, service = tiny(values)
    rows = list(extract_folder([inputs], tmp_path / "out", client))
    assert [row["file"] for row in rows] == ["0.png", "2.png", "4.png", "sub/1.png", "sub/3.png", "sub/5.png"]
    for row in rows:
        plain, notes = feature_files.prepared(images.load(inputs / row["file"]), client.size)
        assert plain.shape == (3, 32, 36)
        file = tmp_path / "out" / row["out"]
        assert file.suffix == ".features"
        assert file.stat().st_size == row["bytes"] == feature_files.size_of(client.shape, client.encoding)
        assert feature_files.read(file, service).equal(client(plain[None])[0])
        assert row["notes"] == notes
        assert row["source"] == folders.stamp(inputs / row["file"])
    assert rows[2]["notes"] == [
        "not checked to be a face", "grey became three equal colours", "resized from 50×24 to 36×32"
    ]  # fmt: skip
    assert set(rows[0]) == {"file", "out", "width", "height", "bytes", "seconds", "error", "notes", "source",
                            "out_sha256", "pixels_sha256"}  # fmt: skip
    assert json.loads(kept_of(tmp_path / "out", "run.json").read_text()) == {
        "version": 1, "client": client.fingerprint, "name": "tiny",
        ARITHMETIC: arithmetic(),
    }  # fmt: skip


def test_photos_are_resized_as_faces_for_training_are(tmp_path: Path) -> None:
    from veil.data import faces

    for number in range(10):
        images.save(images.Photo(drawn(1, 48, 40, number)[0]), tmp_path / f"{number}.png")
    lines = ["file,Smiling", *(f"{number}.png,{number % 2}" for number in range(10))]
    (tmp_path / "attributes.csv").write_text("\n".join(lines))
    parts = faces.read(tmp_path, (32, 36))
    seen = {each.numpy().tobytes() for part in (parts.train, parts.validation, parts.test) for each in part.images}
    for number in range(10):
        plain, _ = feature_files.prepared(images.load(tmp_path / f"{number}.png"), (32, 36))
        assert plain.numpy().tobytes() in seen


def jpeg(kind: str, file: Path) -> None:
    """A photo with fine texture, as large as the one in which decoding at a fraction of the size was found."""
    noise = drawn(1, 299, 299)[0].permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(noise).resize((180, 150)).resize((299, 299), Image.Resampling.BICUBIC)
    options: dict[str, Any] = {"quality": 90}
    match kind:
        case "large":
            image = image.resize((1301, 977))
        case "grey":
            image = image.convert("L")
        case "cmyk":
            image = image.convert("CMYK")
        case "progressive":
            options["progressive"] = True
        case "turned":
            options["exif"] = Image.Exif()
            options["exif"][0x0112] = 6
        case "profile":
            options["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(file, "JPEG", **options)


@pytest.mark.parametrize("kind", ["plain", "large", "grey", "cmyk", "progressive", "turned", "profile"])
@pytest.mark.parametrize("size", [(64, 64), (48, 40)])
def test_a_jpeg_is_sent_with_the_pixels_that_training_would_see(
    kind: str, size: tuple[int, int], tmp_path: Path
) -> None:
    from veil.data import faces

    lines = ["file,Smiling,partition"]
    for number, part in enumerate(("train", "val", "test")):
        jpeg(kind, tmp_path / f"{number}.jpg")
        lines.append(f"{number}.jpg,{number % 2},{part}")
    (tmp_path / "attributes.csv").write_text("\n".join(lines))
    trained = faces.read(tmp_path, size).train.images[0]
    assert feature_files.prepared(images.load(tmp_path / "0.jpg"), size)[0].equal(trained)


def test_nothing_of_the_photo_but_values_is_in_a_file(tmp_path: Path) -> None:
    """The same picture with and without EXIF, under two names: the same bytes."""
    client, _ = tiny()
    picture = Image.fromarray(drawn(1, 40, 40)[0].permute(1, 2, 0).contiguous().numpy())
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "a maker", "2020:01:01 00:00:00"
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in/one.png")
    picture.save(tmp_path / "in/other.png", exif=exif)
    extract_folder([tmp_path / "in"], tmp_path / "out", client)
    one, other = (tmp_path / "out" / f"{name}.features" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_a_photo_is_turned_upright_first(tmp_path: Path) -> None:
    client, service = tiny()
    picture = Image.fromarray(drawn(1, 40, 30)[0].permute(1, 2, 0).contiguous().numpy())
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in/turned.png", exif=exif)
    picture.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "in/upright.png")
    rows = list(extract_folder([tmp_path / "in"], tmp_path / "out", client))
    found = [feature_files.read(tmp_path / "out" / row["out"], service) for row in rows]
    assert found[0].equal(found[1])
    assert rows[0]["notes"][0].startswith("turned upright")


def test_an_image_is_the_same_whatever_lies_beside_it(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = tiny()
    extract_folder([inputs], tmp_path / "out", client)
    monkeypatch.setattr(feature_files, "_TOGETHER", 2)
    extract_folder([inputs], tmp_path / "pairs", client, run=Run(workers=1))
    extract_folder([inputs / "2.png"], tmp_path / "alone", client)
    for file in (tmp_path / "out").rglob("*.features"):
        assert (tmp_path / "pairs" / file.relative_to(tmp_path / "out")).read_bytes() == file.read_bytes()
    assert (tmp_path / "alone/2.features").read_bytes() == (tmp_path / "out/2.features").read_bytes()


def test_bad_files_are_rows_and_are_tried_again(inputs: Path, tmp_path: Path) -> None:
    client, _ = tiny()
    (inputs / "000bad.jpg").write_text("not an image")
    rows = list(extract_folder([inputs], tmp_path / "out", client, limits=images.Limits(max_pixels=50 * 24)))
    assert {row["file"] for row in rows if row["error"]} == {"000bad.jpg", "sub/5.png"}
    assert rows[1] == {"file": "000bad.jpg", "out": None, "error": rows[1]["error"]}
    (inputs / "000bad.jpg").unlink()
    assert not any(row["error"] for row in extract_folder([inputs], tmp_path / "out", client))


def test_another_client_into_the_same_folder_is_refused(inputs: Path, tmp_path: Path) -> None:
    extract_folder([inputs], tmp_path / "out", tiny()[0])
    with pytest.raises(FolderError, match=r"other settings: client .* → "):
        extract_folder([inputs], tmp_path / "out", tiny(seed=1)[0])


def test_a_service_reads_files_as_it_reads_features(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, service = tiny()
    out = tmp_path / "out"
    extract_folder([inputs], out, client)
    monkeypatch.setattr(feature_files, "_TOGETHER", 4)
    (out / "broken.features").write_bytes((out / "0.features").read_bytes()[:-1])
    (out / "other.features").write_text("hello")
    answers = list(classify(find([out], tmp_path / "a.csv"), service))
    assert [one.file for one in answers] == [
        "0.features", "2.features", "4.features", "broken.features", "other.features", "sub/1.features",
        "sub/3.features", "sub/5.features",
    ]  # fmt: skip
    for one in answers:
        if one.file in ("broken.features", "other.features"):
            assert one.probabilities is None
            assert one.error
        else:
            wanted = service(feature_files.read(out / one.file, service)[None])[0]
            assert one.probabilities == tuple(wanted.tolist())
            assert one.error is None


def test_another_clients_features_end_it(inputs: Path, tmp_path: Path) -> None:
    client, _ = tiny()
    extract_folder([inputs], tmp_path / "out", client)
    _, other = tiny(seed=1)
    with pytest.raises(OtherClient, match=rf"0\.features: features of the client {client.fingerprint}") as caught:
        list(classify(find([tmp_path / "out"], tmp_path / "a.csv"), other))
    assert "\n" not in str(caught.value)


def test_files_are_found_or_it_is_said(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no files of features"):
        find([inputs], tmp_path / "a.csv")
    with pytest.raises(FolderError, match="there is no"):
        find([tmp_path / "nowhere"], tmp_path / "a.csv")
    with pytest.raises(FeatureError, match="cannot be read"):
        feature_files.read(tmp_path / "nowhere.features", tiny()[1])


def test_a_full_disk_is_a_row(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def full(self: Path, target: Any) -> Path:
        if Path(target).suffix == ".features":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    rows = list(extract_folder([inputs], tmp_path / "out", tiny()[0]))
    assert {row["error"] for row in rows} == {"the file cannot be written (No space left on device)"}
