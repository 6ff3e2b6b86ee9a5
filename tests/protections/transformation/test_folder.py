"""Folders through a transformation: exact pixels from files whatever lies beside them, sizes, odd images, failures."""

import json
from pathlib import Path

import numpy as np
import odd_images
import pytest
import torch
from commands import kept_of
from PIL import Image
from transformations import tiny

from veil import images
from veil.data import small_images
from veil.data.labelled_images import TRANSFORMED
from veil.jobs import folders, stream
from veil.jobs.folders import FolderError
from veil.protections.transformation.file import MAX_PIXELS, Transformation
from veil.protections.transformation.folder import LOSSLESS, transform_folder
from veil.runtime.provenance import ARITHMETIC, arithmetic

SIZES = [(1, 1), (33, 47), (32, 32), (5, 70)]


@pytest.fixture(scope="module")
def transformation(tmp_path_factory: pytest.TempPathFactory) -> Transformation:
    return tiny(tmp_path_factory.mktemp("transformation") / "tiny.safetensors")


def drawn(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def write(file: Path, pixels: torch.Tensor) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    images.save(images.Photo(pixels), file)


def pixels_of(file: Path) -> torch.Tensor:
    return images.load(file).pixels


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Three images of each size, mixed, in colour and in grey."""
    for number in range(3):
        for height, width in SIZES:
            pixels = drawn(1, height, width, number)[0]
            write(tmp_path / f"in/colour/{number}-{height}x{width}.png", pixels)
            write(tmp_path / f"in/grey/{number}-{height}x{width}.png", pixels[:1])
    return tmp_path / "in"


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_file_is_what_becomes_of_the_image_alone(
    inputs: Path, tmp_path: Path, transformation: Transformation, format: str
) -> None:
    rows = list(transform_folder([inputs], tmp_path / "out", transformation, format=format))
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert len(rows) == 6 * len(SIZES)
    for row in rows:
        before = pixels_of(inputs / row["file"])
        wanted = transformation(before.expand(3, -1, -1)[None])[0]
        assert pixels_of(tmp_path / "out" / row["out"]).expand(3, -1, -1).equal(wanted)
        assert (row["channels"], row["height"], row["width"]) == tuple(before.shape)
        assert row["notes"] == (["grey became three equal colours"] if len(before) == 1 else [])
    assert set(rows[0]) == {
        "file", "out", "width", "height", "channels", "seconds", "error", "notes", "source",
        "out_sha256", "pixels_sha256",
    }  # fmt: skip


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_an_image_becomes_the_same_in_any_batch_and_place(
    transformation: Transformation, height: int, width: int, threads: int
) -> None:
    batch = drawn(21, height, width)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = transformation(batch)
        assert torch.cat([transformation(image[None]) for image in batch]).equal(whole)
        assert torch.cat([transformation(part) for part in batch.split(5)]).equal(whole)
        assert transformation(batch.flip(0)).flip(0).equal(whole)
    finally:
        torch.set_num_threads(before)


def test_neighbours_of_one_size_go_together_and_what_waits_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [*[(8, 8)] * 70, *[(16, 8)] * 3, (300, 300), *[(8, 8)] * 2]
    for number, (height, width) in enumerate(sizes):
        write(tmp_path / f"in/{number:03}.png", drawn(1, height, width, number)[0])
    batches: list[tuple[int, ...]] = []

    class Watched(Transformation):
        def __call__(self, batch: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
            batches.append(tuple(batch.shape))
            return super().__call__(batch, generator)

    network = tiny(tmp_path / "tiny.safetensors").network
    monkeypatch.setattr(stream, "PIXELS", 1000)
    rows = list(transform_folder([tmp_path / "in"], tmp_path / "out", Watched("tiny", network=network, method="unet")))
    assert batches == [(64, 3, 8, 8), (6, 3, 8, 8), (3, 3, 16, 8), (1, 3, 300, 300), (2, 3, 8, 8)]
    assert not any(row["error"] for row in rows)
    assert all((tmp_path / "out" / row["out"]).is_file() for row in rows)


def test_odd_pictures(tmp_path: Path, transformation: Transformation) -> None:
    """Transparency, 16 bits, a palette: what is transformed is what is seen, and rows say what was changed."""
    folder = tmp_path / "in"
    folder.mkdir()
    values = np.zeros((5, 6, 4), np.uint8)
    values[..., 3] = np.arange(30).reshape(5, 6) * 8
    Image.fromarray(values).save(folder / "alpha.png")
    deep = (np.arange(30, dtype=np.uint32).reshape(5, 6) * 2184).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(values[..., :3]).convert("P").save(folder / "palette.png")
    rows = {row["file"]: row for row in transform_folder([folder], tmp_path / "out", transformation)}
    assert rows["alpha.png"]["notes"] == ["alpha flattened over white"]
    assert any("16" in note for note in rows["deep.png"]["notes"])
    for name, row in rows.items():
        before = images.over_white(images.load(folder / name)).pixels.expand(3, -1, -1)
        after = images.load(tmp_path / "out" / row["out"])
        assert after.alpha is None
        assert after.pixels.equal(transformation(before[None])[0])


def test_a_size_is_that_of_training_data(inputs: Path, tmp_path: Path, transformation: Transformation) -> None:
    rows = list(transform_folder([inputs], tmp_path / "out", transformation, size=6))
    assert rows[0]["notes"] == ["resized from 1×1 to 6×6"]
    assert (rows[0]["width"], rows[0]["height"]) == (1, 1)
    assert {pixels_of(file).shape for file in (tmp_path / "out").rglob("*.png")} == {(3, 6, 6)}


def test_bad_files_do_not_stop_the_others(inputs: Path, tmp_path: Path, transformation: Transformation) -> None:
    (inputs / "000bad.jpg").write_text("not an image")
    write(inputs / "large.png", drawn(1, 101, 100)[0])
    rows = list(transform_folder([inputs], tmp_path / "out", transformation, limits=images.Limits(max_pixels=10_000)))
    errors = {row["file"]: row["error"] for row in rows if row["error"]}
    assert set(errors) == {"000bad.jpg", "large.png"}
    assert "more than the limit" in errors["large.png"]
    assert not any("\n" in error for error in errors.values())


@pytest.mark.parametrize("raised", [ValueError("images of 33 pixels are not liked"), MemoryError()])
def test_only_the_culprit_of_a_batch_fails(tmp_path: Path, raised: Exception) -> None:
    for number in range(6):
        write(tmp_path / f"in/{number}.png", drawn(1, 8, 8, number)[0])
    culprit = pixels_of(tmp_path / "in/3.png")

    class Choosy(Transformation):
        def __call__(self, batch: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
            if any(image.equal(culprit) for image in batch):
                raise raised
            return super().__call__(batch, generator)

    choosy = Choosy("tiny", network=tiny(tmp_path / "tiny.safetensors").network, method="unet")
    rows = list(transform_folder([tmp_path / "in"], tmp_path / "out", choosy))
    assert [row["error"] for row in rows if row["error"]] == [str(raised) or "not enough memory"]
    assert rows[3] == {"file": "3.png", "out": None, "error": str(raised) or "not enough memory"}


def test_images_beyond_the_limit_of_a_network_fail(
    inputs: Path, tmp_path: Path, transformation: Transformation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veil.protections.transformation.file.MAX_PIXELS", 1024)
    rows = list(transform_folder([inputs], tmp_path / "out", transformation, limits=images.Limits(max_pixels=10**6)))
    assert all("too large to transform" in row["error"] for row in rows if "33x47" in row["file"])


def test_a_file_that_holds_other_pixels_is_a_failure(
    inputs: Path, tmp_path: Path, transformation: Transformation, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = images.encode
    monkeypatch.setattr(
        images, "encode", lambda photo, format, mark=None: encode(photo.with_pixels(255 - photo.pixels), format)
    )
    rows = list(transform_folder([inputs], tmp_path / "out", transformation))
    assert all("holds other pixels" in row["error"] for row in rows)
    assert not list((tmp_path / "out").rglob("*.png"))
    monkeypatch.undo()
    assert not any(row["error"] for row in transform_folder([inputs], tmp_path / "out", transformation))


def test_odd_files_come_out_or_fail_in_a_row(tmp_path: Path, transformation: Transformation) -> None:
    (tmp_path / "in").mkdir()
    made = [path for path in odd_images.corpus(tmp_path / "in") if not path.is_dir()]
    rows = list(transform_folder(made, tmp_path / "out", transformation))
    assert len({row["file"] for row in rows}) == len(made) >= 300
    done = [row for row in rows if not row["error"]]
    assert len(done) >= 50
    assert all(row["error"] is None or (row["error"] and "\n" not in row["error"]) for row in rows)
    for row in done[::10]:
        before = images.over_white(images.load(tmp_path / "in" / row["file"])).pixels.expand(3, -1, -1)
        assert pixels_of(tmp_path / "out" / row["out"]).equal(transformation(before[None])[0])


def test_what_lies_beside_the_images(inputs: Path, tmp_path: Path, transformation: Transformation) -> None:
    rows = list(transform_folder([inputs], tmp_path / "out", transformation))
    assert folders.read_rows(kept_of(tmp_path / "out", "rows.jsonl")) == rows
    assert rows[0]["source"] == folders.stamp(inputs / rows[0]["file"])
    assert json.loads(kept_of(tmp_path / "out", "run.json").read_text()) == {
        "version": 1, "transformation": transformation.fingerprint, "name": "tiny", "format": "png", "size": None,
        ARITHMETIC: arithmetic(),
    }  # fmt: skip


def test_another_transformation_is_refused(inputs: Path, tmp_path: Path, transformation: Transformation) -> None:
    transform_folder([inputs], tmp_path / "out", transformation)
    other = tiny(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(FolderError, match=r"other settings: transformation .* → "):
        transform_folder([inputs], tmp_path / "out", other)


def test_class_folders_stay_a_data_set(tmp_path: Path, transformation: Transformation) -> None:
    for number, pixels in enumerate(drawn(8, 12, 12)):
        place = Path("in") / ("train", "test")[number % 2] / ("cat", "dog")[number // 2 % 2]
        write(tmp_path / place / f"{number:04}.png", pixels)
    transform_folder([tmp_path / "in"], tmp_path / "out", transformation)
    plain, after = small_images.read(tmp_path / "in"), small_images.read(tmp_path / "out")
    assert (plain.cipher, after.cipher) == (None, TRANSFORMED)
    assert after.train.classes == plain.train.classes
    assert after.train.images.equal(transformation(plain.train.images))
    assert after.test.images.equal(transformation(plain.test.images))


def test_wrong_calls_say_what_is_wrong(inputs: Path, tmp_path: Path, transformation: Transformation) -> None:
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="JPEG changes pixels: networks learn other images; take png, webp, tiff"):
        transform_folder([inputs], out, transformation, format="jpeg")
    with pytest.raises(ValueError, match="there is no format 'gif'"):
        transform_folder([inputs], out, transformation, format="gif")
    with pytest.raises(ValueError, match="out of range"):
        transform_folder([inputs], out, transformation, size=int(MAX_PIXELS**0.5) + 1)
    with pytest.raises(FolderError, match="there is no"):
        transform_folder([tmp_path / "nowhere"], out, transformation)
    assert not out.exists()
