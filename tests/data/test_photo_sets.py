"""Photo sets: each layout read and found, and everything that is wrong with one said in a line."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from veil.data import photo_sets
from veil.data.labelled_photos import PhotoSet, truths_for

FIRST = "ILSVRC2012_val_00000001"
IDS = [f"n{number:08d}" for number in range(1000, 2000)]
BAD_CSV = "ImageId,TrueLabel\na,{}\n"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def nips17(folder: Path, suffix: str = ".png") -> Path:
    touch(folder / "images", f"b{suffix}", f"a{suffix}", f"unlisted{suffix}")
    (folder / "images.csv").write_text('\ufeffImageId,URL,TrueLabel\nb,"x,\ny",1\na,,1000\n')
    return folder


def ilsvrc(images: Path, labels: Path, text: str, count: int = 3) -> None:
    touch(images, *(f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, count + 1)))
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.write_text(text)


def caffe(labels: Sequence[int] = (65, 970, 0), form: str = "ILSVRC2012_val_{:08d}.JPEG {}") -> str:
    return "\n".join(form.format(number, label) for number, label in enumerate(labels, 1)) + "\n\n"


def kaggle(ids: Sequence[str]) -> str:
    rows = [f"ILSVRC2012_val_{number:08d},{each} 1 2 3 4 {each} 5 6 7 8 \n" for number, each in enumerate(ids, 1)]
    return "ImageId,PredictionString\n" + "".join(reversed(rows))


def class_folders(folder: Path, ids: Sequence[str] = ("n00000002", "n00000001"), split: str = "val") -> Path:
    for each in ids:
        touch(folder / split / each, "2.JPEG", "1.JPEG", "._1.JPEG", "notes.txt")
    return folder


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_nips17(tmp_path: Path, suffix: str) -> None:
    found = photo_sets.read(nips17(tmp_path, suffix))
    images = tmp_path / "images"
    assert found == PhotoSet("nips17", (images / f"b{suffix}", images / f"a{suffix}"), (0, 999), imagenet=True)


@pytest.mark.parametrize("label", ["", "0", "1001", "-3", "1.5", "cat", "²", "9" * 5000])
def test_nips17_with_a_broken_label(tmp_path: Path, label: str) -> None:
    touch(tmp_path / "images", "a.png")
    (tmp_path / "images.csv").write_text(BAD_CSV.format(label))
    with pytest.raises(ValueError, match=r"images\.csv: .* for 'a' is not a class from 1 to 1000"):
        photo_sets.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"", ValueError, "names no photos"),
        (b"ImageId,TrueLabel\n", ValueError, "names no photos"),
        (b"ImageId,Label\na,3\n", ValueError, "has no column TrueLabel"),
        (b"ImageId,TrueLabel\na\n", ValueError, "not a class"),
        (b"ImageId,TrueLabel\na,1\na,1\n", ValueError, "twice"),
        (b"ImageId,TrueLabel\na,1\nb,1\nc,2\n", FileNotFoundError, "2 of the 3 photos .* missing, 'b' is the first"),
        (b"ImageId,TrueLabel\n../images.csv,1\n", FileNotFoundError, "1 of the 1 photos"),
        (b"ImageId,TrueLabel\n\xff,1\n", ValueError, "UTF-8"),
        (b"ImageId,TrueLabel\n\0,1\n", (ValueError, FileNotFoundError), "images"),
        (b"ImageId,TrueLabel\n" + b"a" * 200_000 + b",1\n", ValueError, "line 2: field larger"),
    ],
)  # fmt: skip
def test_nips17_with_a_broken_list(tmp_path: Path, text: bytes, error: type[Exception], message: str) -> None:
    touch(tmp_path / "images", "a.png")
    (tmp_path / "images.csv").write_bytes(text)
    with pytest.raises(error, match=message) as told:
        photo_sets.read(tmp_path)
    assert "\n" not in str(told.value)


def test_nips17_without_its_photos(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("ImageId,TrueLabel\na,1\n")
    with pytest.raises(FileNotFoundError, match="the folder of the photos"):
        photo_sets.read(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (".", "val.txt"), (".", "../val.txt"), ("val", "val.txt"), ("val", "val/val.txt"), ("val", "meta/val.txt"),
        ("ILSVRC/Data/CLS-LOC/val", "val.txt"), ("ILSVRC/Data/CLS-LOC/val", "ILSVRC/Data/val.txt"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["ILSVRC2012_val_{:08d}.JPEG {}", "./val/ILSVRC2012_val_{:08d}.jpeg\t{} "])
def test_ilsvrc_with_caffes_list(tmp_path: Path, images: str, labels: str, form: str) -> None:
    folder = tmp_path / "given"
    ilsvrc(folder / images, folder / labels, caffe(form=form))
    found = photo_sets.read(folder)
    files = tuple(folder / images / f"ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2, 3))
    assert found == PhotoSet("ilsvrc2012-val", files, (65, 970, 0), imagenet=True)


def test_ilsvrc_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ilsvrc(tmp_path / "val", tmp_path / "val.txt", caffe())
    monkeypatch.chdir(tmp_path)
    assert photo_sets.read(Path()).labels == (65, 970, 0)
    monkeypatch.chdir(tmp_path / "val")
    assert photo_sets.read(Path()).labels == (65, 970, 0)


def test_ilsvrc_with_kaggles_list(tmp_path: Path) -> None:
    images = tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    ilsvrc(images, tmp_path / "LOC_val_solution.csv", kaggle([IDS[7], *IDS]), count=1001)
    found = photo_sets.read(tmp_path)
    assert found.labels == (7, *range(1000))
    assert found.files[0] == images / f"{FIRST}.JPEG"
    assert found.class_ids == tuple(IDS)
    assert found.imagenet


def test_a_part_of_ilsvrc_counts_its_own_classes(tmp_path: Path) -> None:
    ilsvrc(tmp_path, tmp_path / "LOC_val_solution.csv", kaggle(["n00000009", "n00000004", "n00000009"]))
    found = photo_sets.read(tmp_path)
    assert (found.labels, found.class_ids, found.imagenet) == ((1, 0, 1), ("n00000004", "n00000009"), False)


@pytest.mark.parametrize(
    ("file", "text", "error", "message"),
    [
        ("val.txt", "", ValueError, "names no photos"),
        ("val.txt", "490\n361\n171\n", ValueError, "'490' is not a line like"),
        ("val.txt", f"{FIRST} 1\n", ValueError, "is not a line like"),
        ("val.txt", f"{FIRST}.JPEG\n", ValueError, "is not a line like"),
        ("val.txt", f"{FIRST}.JPEG 1000\n", ValueError, "'1000' .* not a class from 0 to 999"),
        ("val.txt", f"{FIRST}.JPEG sea snake\n", ValueError, "not a line like|not a class"),
        ("val.txt", caffe((489, 360, 170)), ValueError, r"class 489, where ImageNet-1k has 65"),
        ("val.txt", caffe((65, 1, 2, 3)), FileNotFoundError, "1 of the 4 photos"),
        ("LOC_val_solution.csv", "ImageId,PredictionString\n", ValueError, "names no photos"),
        ("LOC_val_solution.csv", "ImageId,Prediction\na,b\n", ValueError, "no column PredictionString"),
        ("LOC_val_solution.csv", kaggle(["cat"]), ValueError, "'cat' .* is not a WordNet id"),
        ("LOC_val_solution.csv", kaggle(IDS[:4]), FileNotFoundError, "1 of the 4 photos"),
        ("other.txt", "", ValueError, "without labels: put Caffe's val.txt"),
        ("ILSVRC2012_validation_ground_truth.txt", "490\n", ValueError, "devkit's own order.*val.txt or Kaggle's"),
        ("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", "490\n", ValueError, "devkit's own"),
    ],
)
def test_ilsvrc_with_a_broken_list(tmp_path: Path, file: str, text: str, error: type[Exception], message: str) -> None:
    ilsvrc(tmp_path / "val", tmp_path / file, text)
    with pytest.raises(error, match=message) as told:
        photo_sets.read(tmp_path)
    assert "\n" not in str(told.value)


def test_class_folders(tmp_path: Path) -> None:
    class_folders(class_folders(tmp_path / "things", split="train"))
    touch(tmp_path / "things" / "val" / ".cache", "x.png")
    found = photo_sets.read(tmp_path / "things")
    val = tmp_path / "things" / "val"
    files = tuple(val / each / name for each in ("n00000001", "n00000002") for name in ("1.JPEG", "2.JPEG"))
    assert found == PhotoSet("things", files, (0, 0, 1, 1), ("n00000001", "n00000002"))
    assert photo_sets.read(val) == found
    assert photo_sets.read(tmp_path / "things" / "train").name == "things-train"
    (tmp_path / "things" / "words.txt").write_text("n00000003\tother\nn00000001\tgoldfish, Carassius auratus\n")
    for folder in (tmp_path / "things", val):
        assert photo_sets.read(folder).class_names == ("goldfish", "n00000002")
    (tmp_path / "things" / "words.txt").write_text("n00000003\tother\n")
    assert photo_sets.read(val).class_names is None
    (tmp_path / "things" / "words.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="UTF-8"):
        photo_sets.read(val)


def test_a_thousand_class_folders_are_imagenet(tmp_path: Path) -> None:
    for each in IDS:
        (tmp_path / each).mkdir()
    touch(tmp_path / IDS[3], "x.JPEG")
    found = photo_sets.read(tmp_path)
    assert found.imagenet
    assert found.labels == (3,)


def test_broken_class_folders(tmp_path: Path) -> None:
    (tmp_path / "n00000001").mkdir()
    with pytest.raises(FileNotFoundError, match="images in it"):
        photo_sets.read(tmp_path)
    touch(tmp_path / "n00000001", "._x.JPEG")
    with pytest.raises(FileNotFoundError, match="images in it"):
        photo_sets.read(tmp_path)
    touch(tmp_path / "holiday", "x.jpg")
    with pytest.raises(ValueError, match="'holiday' among the classes"):
        photo_sets.read(tmp_path)


@pytest.mark.parametrize("names", [(), ("a.jpg", "b.jpg"), ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")])
def test_other_folders_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / "mnist"
    touch(folder, *names)
    touch(folder / "album", "c.jpg")
    with pytest.raises(ValueError, match="not a set of labelled photos: expected"):
        photo_sets.read(folder)
    with pytest.raises(FileNotFoundError, match="no photo set in"):
        photo_sets.find([tmp_path])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("absent", "file"):
        with pytest.raises(FileNotFoundError, match=f"there is no folder .*{name}"):
            photo_sets.read(tmp_path / name)
        with pytest.raises(FileNotFoundError, match=f"no photo set in .*{name}, .*: expected .* one folder below"):
            photo_sets.find([tmp_path / name, tmp_path])
    with pytest.raises(FileNotFoundError, match="in no folder at all"):
        photo_sets.find([])


@pytest.mark.parametrize("make", [nips17, class_folders])
def test_a_root_may_be_the_set_itself(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path / "one")
    assert photo_sets.find([tmp_path / "absent", folder]) == photo_sets.read(folder)


def test_several_sets_in_a_root(tmp_path: Path) -> None:
    for name in ("b", "a"):
        class_folders(tmp_path / name)
    assert photo_sets.find([tmp_path]).name == "a"
    ilsvrc(tmp_path / "c" / "val", tmp_path / "c" / "val.txt", caffe())
    assert photo_sets.find([tmp_path]).name == "ilsvrc2012-val"
    nips17(tmp_path / "x")
    assert photo_sets.find([tmp_path]).name == "nips17"
    assert photo_sets.find([tmp_path / "b", tmp_path]).name == "b"
    for name, expected in (("nips17", "nips17"), ("x", "nips17"), ("b", "b"), ("c", "ilsvrc2012-val")):
        assert photo_sets.find([tmp_path], name).name == expected
    with pytest.raises(FileNotFoundError, match=r"no photo set 'd' in .*: there is a, b, ilsvrc2012-val, nips17"):
        photo_sets.find([tmp_path], "d")


def test_a_broken_set_is_not_passed_over(tmp_path: Path) -> None:
    class_folders(tmp_path / "things")
    nips17(tmp_path / "nips17")
    (tmp_path / "nips17" / "images" / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of the 2 photos"):
        photo_sets.find([tmp_path])
    assert photo_sets.find([tmp_path], "things").name == "things"


def test_a_smaller_set_is_spread_evenly() -> None:
    whole = PhotoSet("x", tuple(Path(str(i)) for i in range(10)), tuple(range(10)), imagenet=True)
    assert whole.take(4).labels == (0, 2, 5, 7)
    assert [file.name for file in whole.take(4).files] == ["0", "2", "5", "7"]
    assert whole.take(4).imagenet
    assert whole.take(10) == whole.take(99) == whole
    assert len(whole.take(1)) == 1
    with pytest.raises(ValueError, match="at least one"):
        whole.take(0)


def test_truths_by_index() -> None:
    photos = PhotoSet("x", (Path("a"), Path("b")), (5, 999), imagenet=True)
    assert truths_for(photos, ["any"] * 1000) == (5, 999)
    assert truths_for(photos, ["any"] * 1001) == (None, None)


def test_truths_by_name() -> None:
    photos = PhotoSet("x", (Path("a"), Path("b")), (1, 0), ("n00000001", "n00000002"), ("cat", "dog"))
    assert truths_for(photos, ["cat", "dog"]) == (1, 0)
    assert truths_for(photos, ["dog", "cat"]) == (None, None)
    assert truths_for(photos, ["any"] * 1000) == (None, None)


def test_truths_by_wordnet_id() -> None:
    photos = PhotoSet("x", (Path("a"), Path("b"), Path("c")), (1, 0, 1), ("n00000001", IDS[7]), ("cat", "dog"))
    assert truths_for(photos, ["any"] * 1000, IDS) == (7, None, 7)
    assert truths_for(photos, ["any"] * 100, IDS) == (None, None, None)
    assert truths_for(photos, ("cat", "dog"), IDS) == (1, 0, 1)
