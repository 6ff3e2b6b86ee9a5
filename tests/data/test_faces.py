"""CelebA and tables of attributes in their published layouts, made small; splits in which nobody is twice."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from veil.data import faces
from veil.data.decoding import OtherSize
from veil.data.faces import Faces
from veil.data.layouts import celeba as celeba_layout

NAMES = ("Male", "Smiling", "Young")
COUNT = 40
VALUES = np.random.default_rng(0).integers(0, 2, (COUNT, 3))
PEOPLE = [100 + n // 2 for n in range(COUNT)]
PARTITION = [0] * 24 + [1] * 8 + [2] * 8


def photo_names(suffix: str = "jpg") -> list[str]:
    return [f"{n + 1:06}.{suffix}" for n in range(COUNT)]


def draw(folder: Path, names: list[str], size: tuple[int, int] = (18, 22)) -> None:
    """Each photo has a grey of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", size, (6 * number, 6 * number, 6 * number)).save(folder / name, quality=100)


def celeba(folder: Path, *, counted: bool = True, nested: bool = False, identities: bool = True) -> Path:
    lists, evaluation, photos = (folder / part if nested else folder for part in ("Anno", "Eval", "Img"))
    draw(photos / "img_align_celeba", photo_names())
    for place in (lists, evaluation):
        place.mkdir(exist_ok=True)
    rows = [
        f"{name} " + " ".join(f"{2 * value - 1:2}" for value in values)
        for name, values in zip(photo_names(), VALUES, strict=True)
    ]
    head = [str(COUNT)] if counted else []
    (lists / "list_attr_celeba.txt").write_text("\n".join([*head, " ".join(NAMES) + " ", *rows]) + "\n")
    if identities:
        pairs = zip(photo_names(), PEOPLE, strict=True)
        (lists / "identity_CelebA.txt").write_text("".join(f"{name} {person}\n" for name, person in pairs))
    pairs = zip(photo_names(), PARTITION, strict=True)
    (evaluation / "list_eval_partition.txt").write_text("".join(f"{name} {part}\n" for name, part in pairs))
    return folder


def kaggle(folder: Path) -> Path:
    draw(folder / "img_align_celeba" / "img_align_celeba", photo_names())
    rows = [
        f"{name},{','.join(str(2 * v - 1) for v in values)}" for name, values in zip(photo_names(), VALUES, strict=True)
    ]
    (folder / "list_attr_celeba.csv").write_text("\n".join(["image_id," + ",".join(NAMES), *rows]))
    pairs = [f"{name},{part}" for name, part in zip(photo_names(), PARTITION, strict=True)]
    (folder / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *pairs]))
    return folder


def table(folder: Path, *, partition: bool = True, identity: bool = True, name: str = "attributes.csv") -> Path:
    draw(folder / "photos", photo_names("png"))
    words = ["train", "Val", "test"]
    lines = ["Male,file,Smiling,Young" + ",identity" * identity + ",partition" * partition]
    for n, photo in enumerate(photo_names("png")):
        cells = [VALUES[n, 0], f"photos/{photo}", *VALUES[n, 1:]]
        cells += [f"person {PEOPLE[n]}"] * identity + [words[PARTITION[n]]] * partition
        lines.append(",".join(map(str, cells)))
    (folder / name).write_text("\n".join(lines) + "\n\n", encoding="utf-8-sig")
    return folder


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "celeba": celeba,
    "uncounted": lambda folder: celeba(folder, counted=False),
    "nested": lambda folder: celeba(folder, nested=True),
    "kaggle": kaggle,
    "table": table,
    "any csv": lambda folder: table(folder, name="people.csv"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read_in_its_own_partition(layout: str, tmp_path: Path) -> None:
    parts = faces.read(LAYOUTS[layout](tmp_path / "set") if (tmp_path / "set").mkdir() is None else tmp_path)
    assert parts.name == ("set" if layout in ("table", "any csv") else "celeba")
    start = 0
    for part, count in ((parts.train, 24), (parts.validation, 8), (parts.test, 8)):
        rows = slice(start, start + count)
        start += count
        assert (part.images.dtype, part.images.shape) == (torch.uint8, (count, 3, 22, 18))
        greys = part.images[:, 0, 11, 9].int()
        assert (greys - 6 * torch.arange(COUNT)[rows]).abs().max() <= 1
        assert part.names == NAMES
        assert torch.equal(part.attributes, torch.from_numpy(VALUES[rows]).bool())
        if layout == "kaggle":
            assert part.identities is None
        else:
            assert part.identities is not None
            known = torch.tensor(PEOPLE[rows]) - (100 if layout in ("table", "any csv") else 0)
            assert torch.equal(part.identities, known)


@pytest.mark.parametrize("split", ["official", "paper"])
def test_nobody_is_in_two_parts_of_a_made_split(split: str, tmp_path: Path) -> None:
    folder = table(tmp_path, partition=False)
    parts = faces.read(folder, 4, split=split, seed=1)  # type: ignore[arg-type]
    whole = (parts.train, parts.validation, parts.test)
    people = [set(part.identities.tolist()) for part in whole if part.identities is not None]
    assert sum(map(len, people)) == len(set.union(*people)) == 20
    assert abs(len(parts.test) - 8) <= 2
    assert abs(len(parts.validation) - (4 if split == "official" else 3)) <= 2
    assert parts.fingerprint == faces.read(folder, 4, split=split, seed=1).fingerprint  # type: ignore[arg-type]
    assert parts.fingerprint != faces.read(folder, 4, split=split, seed=2).fingerprint  # type: ignore[arg-type]
    assert (parts.split, parts.seed) == (split, 1)


def test_the_papers_split_leaves_the_partition_aside(tmp_path: Path) -> None:
    folder = celeba(tmp_path, identities=False)
    parts = faces.read(folder, 4, split="paper")
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (29, 3, 8)
    assert parts.fingerprint != faces.read(folder, 4).fingerprint
    with pytest.raises(ValueError, match="official or paper"):
        faces.read(folder, split="other")  # type: ignore[arg-type]


def test_layouts_do_not_count_in_the_fingerprint_but_contents_do(tmp_path: Path) -> None:
    prints = [faces.read(layout(tmp_path / name) if (tmp_path / name).mkdir() is None else tmp_path, 6).fingerprint
              for name, layout in LAYOUTS.items() if name in ("celeba", "uncounted", "nested", "kaggle")]  # fmt: skip
    assert prints[0] == prints[1] == prints[2] != prints[3]  # the last has no identities
    assert re.fullmatch(r"[0-9a-f]{16}", prints[0])


@pytest.mark.parametrize(("side", "shape"), [(8, (8, 8)), ((12, 9), (12, 9)), (40, (40, 40)), (None, (22, 18))])
def test_sides(side: int | tuple[int, int] | None, shape: tuple[int, int], tmp_path: Path) -> None:
    parts = faces.read(table(tmp_path), side)
    assert {part.images.shape[2:] for part in (parts.train, parts.validation, parts.test)} == {shape}
    with pytest.raises(ValueError, match="at least one pixel"):
        faces.read(tmp_path, (0, 4))


def test_any_photo_becomes_upright_rgb(tmp_path: Path) -> None:
    """Grey, transparent and turned ones, and a large JPEG, all of whose pixels count."""
    folder = table(tmp_path)
    photos = folder / "photos"
    Image.new("L", (18, 22), 50).save(photos / "000001.png")
    Image.new("RGBA", (18, 22), (0, 0, 0, 0)).save(photos / "000002.png")
    turned = Image.new("RGB", (22, 18), (255, 0, 0))
    turned.paste((0, 0, 255), (11, 0, 22, 18))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(photos / "000003.png", "JPEG", exif=exif, quality=95)
    field = np.random.default_rng(0).normal(size=(8, 6, 3)) * 40 + 128
    large = Image.fromarray(field.clip(0, 255).astype(np.uint8)).resize((600, 800), Image.Resampling.BICUBIC)
    large.save(photos / "000004.png", "JPEG", quality=95)
    images = faces.read(folder, (22, 18)).train.images
    assert (images[0] == 50).all()
    assert (images[1] == 255).all()
    assert images[2, 0, 2].float().mean() > 200 > 60 > images[2, 0, -3].float().mean()
    with Image.open(photos / "000004.png") as decoded:
        expected = np.asarray(decoded.resize((18, 22), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(images[3].numpy(), expected)


def test_photos_of_several_sizes_need_a_side(tmp_path: Path) -> None:
    folder = table(tmp_path)
    Image.new("RGB", (19, 22)).save(folder / "photos" / "000040.png")
    with pytest.raises(OtherSize, match=r"000040\.png: 19×22 pixels where 18×22 are expected: say which side"):
        faces.read(folder)
    assert len(faces.read(folder, 8).test) == 8


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    ("layout", "edit", "error", "message"),
    [
        (celeba, lambda f: (f / "img_align_celeba/000007.jpg").unlink(), FileNotFoundError, r"lists 000007.*missing"),
        (celeba, lambda f: (f / "img_align_celeba/000007.jpg").write_bytes(b"\xff\xd8\xff?"), ValueError, "000007"),
        (celeba, replaced("list_attr_celeba.txt", "40", "41"), ValueError, "announces 41 images and lists 40"),
        (celeba, replaced("list_attr_celeba.txt", "Young", ""), ValueError, "has 3 attributes, 2 are named"),
        (celeba, replaced("list_attr_celeba.txt", "Young", "Male"), ValueError, "named twice"),
        (celeba, replaced("list_attr_celeba.txt", "-1", "-2"), ValueError, "is '-2', neither 0 or 1 nor -1 or 1"),
        (celeba, replaced("list_attr_celeba.txt", "-1", "0"), ValueError, "0 and -1 in one list"),
        (celeba, replaced("list_attr_celeba.txt", "000002", "000001"), ValueError, r"000001\.jpg is listed twice"),
        (celeba, replaced("list_eval_partition.txt", "000009.jpg 0\n", ""), ValueError, "says nothing about 000009"),
        (celeba, replaced("list_eval_partition.txt", "000009.jpg 0", "000009.jpg 3"), ValueError, "0, 1 or 2"),
        (celeba, replaced("identity_CelebA.txt", "000009.jpg 104", "000009.jpg one"), ValueError, "whole number"),
        (celeba, lambda f: (f / "img_align_celeba").rename(f / "elsewhere"), FileNotFoundError, "img_align_celeba is"),
        (table, replaced("attributes.csv", "file", "photo"), ValueError, "no column is called file or image_id"),
        (table, replaced("attributes.csv", "photos/000003", "../000003"), ValueError, "'../000003.png' leads out of"),
        (celeba, replaced("list_attr_celeba.txt", "000003", "../000003"), ValueError, "'../000003.jpg' leads out of"),
        (celeba, replaced("list_attr_celeba.txt", "000003", "/000003"), ValueError, "'/000003.jpg' leads out of"),
        (table, replaced("attributes.csv", ",Val", ",later"), ValueError, "'later' is no partition"),
        (table, replaced("attributes.csv", "person 100", ""), ValueError, "no identity"),
        (table, replaced("attributes.csv", ",train", ",train,more"), ValueError, "line 2: 7 columns, the header has 6"),
        (table, lambda f: (f / "attributes.csv").unlink(), ValueError, "not a set of faces: expected"),
        (table, lambda f: (f / "attributes.csv").write_bytes(b"file,A\n\xff\xfe,1\n"), ValueError, "UTF-8"),
        (table, lambda f: (f / "attributes.csv").write_text("file,A\n"), ValueError, "lists no photo"),
        (table, lambda f: (f / "attributes.csv").write_text(""), ValueError, "no table"),
        (
            lambda folder: table(folder, name="a.csv"),
            lambda f: (f / "b.csv").touch(),
            ValueError,
            r"several lists \(a\.csv, b\.csv\)",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    layout: Callable[[Path], Path],
    edit: Callable[[Path], object],
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    edit(layout(tmp_path))
    with pytest.raises(error, match=message) as raised:
        faces.read(tmp_path, 8)
    assert "\n" not in str(raised.value)


def test_a_folder_must_be_there_and_each_part_have_images(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        faces.read(tmp_path / "none")
    celeba(tmp_path)
    file = tmp_path / "list_eval_partition.txt"
    file.write_text(file.read_text().replace(".jpg 1", ".jpg 0"))
    with pytest.raises(ValueError, match="no images for validation"):
        faces.read(tmp_path)


def many(count: int = 300, people: int = 50) -> Faces:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 4, 4), dtype=torch.uint8, generator=generator)
    identities = torch.randint(0, people, (count,), generator=generator)
    return Faces(images, torch.zeros(count, 1, dtype=torch.bool), ("Male",), identities)


def test_service_and_attackers_share_nobody() -> None:
    whole, before = many(), set[int]()
    for share in (0.02, 0.1, 0.5, 0.9):
        service, attackers = faces.for_attackers(whole, share, seed=4)
        assert service.identities is not None
        assert attackers.identities is not None
        theirs = set(attackers.identities.tolist())
        assert not theirs & set(service.identities.tolist())
        assert len(service) + len(attackers) == 300
        assert abs(len(attackers) - 300 * share) <= 6
        assert before <= theirs
        before = theirs
    other = faces.for_attackers(whole, 0.9, seed=5)[1]
    assert other.identities is not None
    assert set(other.identities.tolist()) != before


def test_equal_images_stay_together_where_nobody_is_known() -> None:
    whole = many(100)
    doubled = Faces(torch.cat([whole.images] * 2), torch.cat([whole.attributes] * 2), whole.names, None)
    service, attackers = faces.for_attackers(doubled, 0.3, seed=0)
    assert len(attackers) == 60
    assert not {i.numpy().tobytes() for i in service.images} & {i.numpy().tobytes() for i in attackers.images}


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan"), 1e-6])
def test_a_side_without_faces_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share must lie|leaves one side"):
        faces.for_attackers(many(), share, seed=0)


def test_labels_by_name() -> None:
    values = torch.tensor([[True, False], [False, False], [True, True]])
    some = Faces(torch.zeros(3, 3, 2, 2, dtype=torch.uint8), values, ("Male", "High_Cheekbones"), torch.arange(3))
    assert torch.equal(some.labels(("High_Cheekbones", "Male")), values.flip(1))
    assert some.take(torch.tensor([2, 0])).identities.tolist() == [2, 0]  # type: ignore[union-attr]
    assert len(some.take(torch.tensor([True, False, False]))) == 1
    with pytest.raises(ValueError, match=r"no attribute 'high_cheekbone': did you mean High_Cheekbones\?"):
        some.labels(("high_cheekbone",))
    with pytest.raises(ValueError, match="there are Male, High_Cheekbones"):
        some.labels(("zzz",))


def test_parts_that_do_not_fit_are_refused() -> None:
    images = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"must be bool \(3, 1\)"):
        Faces(images, torch.zeros(3, 1), ("Male",), None)
    with pytest.raises(ValueError, match="identities of shape"):
        Faces(images, torch.zeros(3, 1, dtype=torch.bool), ("Male",), torch.arange(2))


def test_a_list_of_many_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of CelebA's length; no photo is needed for it."""
    (tmp_path / "img_align_celeba").mkdir()
    row = " 1 -1" * 20
    lines = [f"{n:06}.jpg{row}" for n in range(20_000)]
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join([" ".join(f"a{n}" for n in range(40)), *lines]))
    monkeypatch.setattr(celeba_layout, "require_all", lambda *_: None)
    listed = faces.listed(tmp_path)
    assert listed.attributes.shape == (20_000, 40)
    assert listed.partition is None
