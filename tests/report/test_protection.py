"""The report: numbers worked by hand; a page that parses, needs nothing, is escaped, bounded, the same."""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import kept_of
from PIL import Image
from protection_rows import Row, failure, row, view
from torch import Tensor

from veil import images, report
from veil.images import Photo
from veil.jobs import folders
from veil.jobs.job import UNFINISHED
from veil.report import protection
from veil.runtime.files import printable

VOID = {"meta", "link", "img", "br"}
BLOCKS = {"title", "h1", "h2", "h3", "p", "li", "dt", "dd", "caption", "th", "td", "figcaption", "span"}
HOSTILE = (
    '<b>bold</b>&"quoted".jpg',
    "'><script>alert(1)</script>.jpg",
    "two\nlines\tand tabs.jpg",
    b"invalid-\xff\xfe.jpg".decode("utf-8", "surrogateescape"),
    "\u202egpj.jpg",
    "{{ 7 * 7 }}{% raw %}.jpg",
    "größe-写真-📷.jpg",
    "x" * 250 + ".jpg",
)
SETTINGS = {
    "version": 1,
    "scheme": "crs",
    "settings": {"step": 1.0, "budget": 3.0, "required_score": 0.99, "max_iterations": 100},
    "models": ["net"],
    "seed": 0,
    "precision": "float32",
}


class Page(HTMLParser):
    """The page as parsed: its elements with their attributes, and its text; every element must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        if tag == "br":
            self.pieces.append(" ")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in BLOCKS:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def survived(*on_top: bool) -> Row:
    return {
        name: {"class_after": 0 if again else 1, "icp_after": 0.25, "ice_after": 1.0}
        for name, again in zip(("jpeg90", "jpeg75", "half size and back"), on_top, strict=True)
    }


def written(out: Path, rows: list[Row], sources: Mapping[str, Path] | None = None, **options: Any) -> Page:
    settings = options.pop("settings", SETTINGS)
    page = report.write_protection_report(out, rows, settings=settings, sources=sources or {}, **options)
    assert page == out.with_name(f"{out.name}-private") / "report.html"
    return Page(page.read_text(encoding="utf-8"))


def photo(height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(40, 200, (channels, height, width), generator=generator, dtype=torch.uint8)


def folder(
    tmp_path: Path, before: Photo, after: Photo, *, name: str = "a.jpg", format: str = "png"
) -> tuple[Path, Row, dict[str, Path]]:
    """An original, its protected file, and the row that speaks of both."""
    source, out = tmp_path / "originals" / name, tmp_path / "out"
    source.parent.mkdir(parents=True)
    out.mkdir()
    images.save(before, source)
    each = row(name, width=before.width, height=before.height)
    each["out"] = f"protected{images.FORMATS[format].suffix}"
    images.save(after, out / each["out"], format)
    each["source"] = folders.stamp(source)
    return out, each, {name: source}


def decoded(uri: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_summary_of_two_photos_by_hand() -> None:
    first = row(views=[view(survival=survived(False, True, False)), view("other", after=0, role="unseen")])
    views = [view(after=0, survival=survived(True, True, False)), view("other", role="unseen", rank_after=6)]
    second = row(
        "b.jpg", views=views, mean_abs=0.006, mean_signed=0.0004, linf=5.0, psnr=40.0, ssim=0.9
    )  # fmt: skip
    summary = report.summarise([first, failure(), second])
    assert {k: summary[k] for k in ("photos", "protected", "not_protected", "failed")} == {
        "photos": 3, "protected": 1, "not_protected": 1, "failed": 1,
    }  # fmt: skip
    net, other = summary["networks"]
    assert (net["network"], net["role"], other["role"]) == ("net", "descent", "unseen")
    assert (net["on_top_before"], net["on_top_after"], net["in_top5_after"], net["photos"]) == (2, 1, 2, 2)
    assert (net["top1_before"], net["top1_after"]) == (1.0, 0.5)
    assert net["icp_after"] == pytest.approx((0.002 + 0.995) / 2)
    assert (net["ice_before"], net["ice_after"]) == (1.5, 0.25)
    assert {name: left["on_top"] for name, left in net["survival"].items()} == {
        "jpeg90": 1, "jpeg75": 2, "half size and back": 0,
    }  # fmt: skip
    assert (other["on_top_after"], other["in_top5_after"], other["survival"]) == (1, 1, None)
    assert summary["noise"] == pytest.approx({
        "mean_abs": 0.005, "mean_abs_max": 0.006, "mean_signed": 0.00015, "mean_signed_max": 0.0004,
        "linf_median": 4.0, "linf_max": 5.0, "psnr_median": 41.0, "psnr_min": 40.0,
        "ssim_median": 0.94, "ssim_min": 0.9,
    })  # fmt: skip


@pytest.mark.parametrize("rows", [[], [failure()], [row(psnr=None, ssim=None, ms_ssim=None)]])
def test_summaries_are_strict_json(rows: list[Row]) -> None:
    summary = report.summarise(rows)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "There were no photos to protect"),
        ([failure()], "The photo could not be processed"),
        ([failure("a"), failure("b")], "None of 2 photos could be processed"),
        ([row()], "The photo is protected against net"),
        ([row(views=[view(after=0)])], "The photo is not protected against net"),
        ([row("a"), row("b")], "2 of 2 photos are protected against net"),
        ([row("a"), failure("b")], "1 of 2 photos is protected against net"),
        (
            [row(str(i)) for i in range(1999)] + [failure("b")],
            "1,999 of 2,000 photos are protected against net",
        ),
        ([row(views=[view(after=0)]), failure("b")], "None of 2 photos is protected against net"),
    ],
)
def test_the_verdict_in_words(tmp_path: Path, rows: list[Row], expected: str) -> None:
    assert report.headline(report.summarise(rows), ["net"]) == expected
    assert expected in written(tmp_path / "out", rows, shown=2).text


def test_the_verdict_names_every_network_of_the_descent() -> None:
    summary = report.summarise([row(views=[view("a"), view("b"), view("c")])])
    assert report.headline(summary, ["a", "b", "c"]) == "The photo is protected against a, b and c"


def test_bad_news_stands_beside_the_verdict() -> None:
    views = [view(survival=survived(False, True, False)), view("other", after=0, role="unseen")]
    found = " ".join(report.findings(report.summarise([row(views=views), row("b", views=views), failure()])))
    assert "1 photo could not be processed and has no output" in found
    assert "other, which the noise did not see, still names the true class first for 2 of 2 photos" in found
    assert "saved again as JPEG, quality 75, net names the true class first for 2 of 2 photos (as written: 0)" in found
    assert "not measured" not in found


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    text = written(tmp_path / "out", [row()]).text
    assert "Other networks mostly still see what photos show." in text
    assert "What is left was not measured (--survival does it)." in text
    assert text.count("--verify-with") >= 2
    assert text.count("--survival") >= 2


def test_every_number_has_its_floor_beside_it(tmp_path: Path) -> None:
    page = written(tmp_path / "out", [row()], class_counts={"net": 1000}).text
    assert "mean ICP 0.500 0.0020 0.0010" in page
    assert f"mean ICE, nats 1.50 0.25 {math.log(1000):.2f}" in page
    assert "true class on top 1 of 1 (100 %) 0 of 1 (0 %) 0.10 %" in page
    assert "now in place 4 of 1,000" in page
    assert "mean ICP 0.500 0.0020 1/K" in written(tmp_path / "out", [row()]).text


def test_noise_has_both_units(tmp_path: Path) -> None:
    text = written(tmp_path / "out", [row()]).text
    assert "1.02 grey levels 0.0040 of the range 0 to 1" in text
    assert "−0.026 grey levels −0.00010 of the range" in text
    assert "3 of 255 grey levels" in text


def test_survival_is_a_table_per_network(tmp_path: Path) -> None:
    views = [
        view(survival=survived(False, True, False)),
        view("other", role="unseen", survival=survived(True, True, True)),
    ]
    text = written(tmp_path / "out", [row(views=views)]).text
    assert "protected, saved again as JPEG, quality 90 0 of 1 (0 %) ICP 0.250 1 of 1 (100 %) ICP 0.250" in text
    assert "the photo net other (unseen)" in text


@pytest.mark.parametrize(
    ("scheme", "changes", "expected"),
    [
        ("crs", {"views": [view(after=0), view("b", after=0)]}, "still the first choice of net and b"),
        ("crs", {"target_score": 0.98996, "protected": False}, "has only 0.9900; 0.99 is required"),
        ("cis", {"protected": False}, "but net is surer of its answer than before"),
        ("entropy", {"target_score": 0.5, "protected": False}, "evenness is 0.5000; 0.99 is required"),
        ("other", {"protected": False}, "The scheme's own condition is not met"),
    ],
)
def test_a_photo_that_is_not_protected_says_why(
    tmp_path: Path, scheme: str, changes: dict[str, Any], expected: str
) -> None:
    assert expected in written(tmp_path / "out", [row(**changes)], settings=SETTINGS | {"scheme": scheme}).text


def test_settings_are_listed_and_may_be_missing(tmp_path: Path) -> None:
    assert "noise limit, grey levels 3.0" in written(tmp_path / "out", [row()]).text
    assert "protected against net" in written(tmp_path / "out", [row()], settings={}).text


def test_hostile_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    plain = written(tmp_path / "out", [row("a.jpg"), failure("b.jpg")])
    tags = {tag for tag, _ in plain.elements}
    for name in HOSTILE:
        views = [view(name, class_after_name=name), view("other", role="unseen", true_class_name=name)]
        rows = [row(name, views=views, target=name, notes=[name]), failure("b.jpg", name), failure(name)]
        settings = SETTINGS | {"models": [name], name: name}
        page = written(tmp_path / "out", rows, settings=settings, class_counts={name: 3})
        assert {tag for tag, _ in page.elements} == tags
        assert [each for each in page.elements if any(key.startswith("on") for key in each[1])] == []
        shown = " ".join(printable(name).split())
        assert page.text.count(shown) >= 8
        assert printable(name) in page.text or shown in page.text
        assert all(printable(name) in image["alt"] for image in page.named("img"))


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    out, each, sources = folder(tmp_path, Photo(photo(40, 30)), Photo(photo(40, 30, seed=1)))
    page = written(out, [each], sources)
    text = kept_of(out, "report.html").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"@import|url\s*\(", text)
    assert page.named("script") == page.named("iframe") == page.named("form") == []
    targets = [a[key] for _, a in page.elements for key in ("src", "href", "srcset", "action") if key in a]
    assert len(targets) == 4
    assert all(target.startswith(("data:", "#")) for target in targets)
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.named("meta"))


def test_the_page_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    out, each, sources = folder(tmp_path, Photo(photo(40, 30)), Photo(photo(40, 30, seed=1)))
    each["networks"][0]["survival"] = survived(True, False, False)
    page = written(out, [each, failure(), row("b.jpg", views=[view(after=0)])], sources)
    assert page.named("html") == [{"lang": "en"}]
    assert len(page.named("h1")) == len(page.named("main")) == 1
    assert all(len(image["alt"]) > 10 for image in page.named("img"))
    assert all(heading["scope"] in ("row", "col") for heading in page.named("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)
    # A word beside every colour.
    for word in ("✓ protected", "✗ not protected", "! 1 failed", "true class"):
        assert word in page.text


def test_pictures_are_small_and_the_noise_is_exact(tmp_path: Path) -> None:
    before = photo(500, 800)
    change = torch.randint(-3, 4, before.shape, generator=torch.Generator().manual_seed(5))
    after = (before.int() + change).to(torch.uint8)
    out, each, sources = folder(tmp_path, Photo(before), Photo(after))
    page = written(out, [each], sources)
    original, protected, noise = page.named("img")
    assert "Original of a.jpg" in original["alt"]
    assert decoded(original["src"]).size == decoded(protected["src"]).size == (320, 200)
    assert (original["width"], original["height"]) == ("320", "200")
    assert original["src"].startswith("data:image/jpeg;base64,")
    shown = torch.from_numpy(np.array(decoded(noise["src"]))).permute(2, 0, 1).int()
    assert shown.shape == (3, 100, 160)
    assert torch.equal(shown, 128 + 20 * change[:, 200:300, 320:480])
    assert "noise × 20, centre" in page.text
    assert "amplified 20 times" in noise["alt"]


@pytest.mark.parametrize(("linf", "factor"), [(1, 100), (3, 20), (8, 10), (60, 1), (255, 1), (0, 100)])
def test_noise_is_amplified_to_be_seen(linf: float, factor: int) -> None:
    assert report.amplification([row(linf=float(linf))]) == factor
    assert report.amplification([]) >= 1


def test_strong_noise_is_clipped_around_grey(tmp_path: Path) -> None:
    before, after = torch.zeros(3, 4, 4, dtype=torch.uint8), torch.full((3, 4, 4), 255, dtype=torch.uint8)
    after[:, 0] = before[:, 0]
    out, each, sources = folder(tmp_path, Photo(before), Photo(after))
    each["linf"] = 2.0
    shown = np.array(decoded(written(out, [each], sources).named("img")[2]["src"]))
    assert (shown[0] == 128).all()
    assert (shown[1:] == 255).all()
    assert "whole photo" in Page(kept_of(out, "report.html").read_text()).text


@pytest.mark.parametrize("format", ["png", "webp", "jpeg"])
@pytest.mark.parametrize(
    "make",
    [
        lambda seed: Photo(photo(30, 40, 1, seed)),
        lambda seed: Photo(photo(1, 1, 3, seed)),
        lambda seed: Photo(photo(1, 1, 1, seed)),
        lambda seed: Photo(photo(2, 900, 3, seed)),
        lambda seed: Photo(photo(700, 1, 3, seed)),
        lambda seed: Photo(photo(30, 40, 3, seed), alpha=photo(30, 40, 1)[0]),
        lambda seed: Photo(photo(30, 40, 1, seed), alpha=photo(30, 40, 1)[0]),
    ],
)
def test_odd_photos_have_their_three_pictures(tmp_path: Path, make: Callable[[int], Photo], format: str) -> None:
    out, each, sources = folder(tmp_path, make(0), make(1), format=format)
    page = written(out, [each | {"ssim": None, "psnr": None}], sources)
    pictures = [decoded(image["src"]) for image in page.named("img")]
    assert len(pictures) == 3
    assert all(1 <= side <= report.THUMBNAIL for picture in pictures for side in picture.size)
    assert "cannot be shown" not in page.text


def test_transparent_photos_are_shown_on_white(tmp_path: Path) -> None:
    black = Photo(torch.zeros(3, 20, 20, dtype=torch.uint8), alpha=torch.zeros(20, 20, dtype=torch.uint8))
    out, each, sources = folder(tmp_path, black, black)
    assert np.array(decoded(written(out, [each], sources).named("img")[0]["src"])).min() > 250


def gone(out: Path, source: Path) -> None:
    source.unlink()


def changed(out: Path, source: Path) -> None:
    images.save(Photo(photo(9, 9)), source)


def a_folder(out: Path, source: Path) -> None:
    source.unlink()
    source.mkdir()


def output_gone(out: Path, source: Path) -> None:
    (out / "protected.png").unlink()


def output_damaged(out: Path, source: Path) -> None:
    (out / "protected.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")


def output_of_another_size(out: Path, source: Path) -> None:
    images.save(Photo(photo(9, 9)), out / "protected.png")


def output_behind_a_link(out: Path, source: Path) -> None:
    (out / "protected.png").rename(source.parent / "another.png")
    (out / "protected.png").symlink_to(source.parent / "another.png")


@pytest.mark.parametrize(
    ("happens", "sentence", "pictures"),
    [
        (gone, "The original cannot be shown: there is no such file.", 1),
        (changed, "The original cannot be shown: it was changed since.", 1),
        (a_folder, "The original cannot be shown:", 1),
        (output_gone, "The protected photo cannot be shown: there is no such file.", 1),
        (output_behind_a_link, "The protected photo cannot be shown: 'protected.png' leads out of its folder", 1),
        (output_damaged, "The protected photo cannot be shown:", 1),
        (output_of_another_size, "The noise cannot be shown: the two photos are not of one size.", 2),
    ],
)
def test_a_photo_that_vanished_has_a_card_all_the_same(
    tmp_path: Path, happens: Callable[[Path, Path], None], sentence: str, pictures: int
) -> None:
    out, each, sources = folder(tmp_path, Photo(photo(40, 30)), Photo(photo(40, 30, seed=1)))
    happens(out, sources["a.jpg"])
    page = written(out, [each], sources)
    assert sentence in page.text
    assert len(page.named("img")) == pictures
    assert page.text.count("no picture") == 3 - pictures


@pytest.mark.parametrize("named", ["../originals/a.jpg", None])
def test_a_photo_outside_the_folder_is_not_shown(tmp_path: Path, named: str | None) -> None:
    out, each, sources = folder(tmp_path, Photo(photo(40, 30)), Photo(photo(40, 30, seed=1)))
    page = written(out, [each | {"out": named}], sources)
    assert "The protected photo cannot be shown:" in page.text
    assert len(page.named("img")) == 1


def test_the_page_warns_of_the_originals_in_it(tmp_path: Path) -> None:
    out, each, sources = folder(tmp_path, Photo(photo(40, 30)), Photo(photo(40, 30, seed=1)))
    assert "small pictures of the originals" in written(out, [each], sources).text
    without = written(out, [each], sources, shown=0).text
    assert "small pictures of the originals" not in without
    assert "Keep this page to yourself" in without


def test_cards_show_the_unprotected_first_and_a_spread_of_the_others() -> None:
    rows = [row(str(i), views=[view(after=0)] if i in (7, 50) else None) for i in range(100)] + [failure()]
    chosen = [each["file"] for each in report.select(rows, 9)]
    assert chosen[:2] == ["7", "50"]
    assert len(chosen) == 9
    others = [int(name) for name in chosen[2:]]
    assert others == sorted(set(others))
    assert max(b - a for a, b in pairwise(others)) <= 16
    assert [each["file"] for each in report.select(rows[:5], 24)] == ["0", "1", "2", "3", "4"]
    missed = [row(str(i), views=[view(after=0)]) for i in range(10)]
    assert [each["file"] for each in report.select([*missed, row("x")], 5)] == ["0", "2", "4", "6", "8"]
    assert report.select(rows, 0) == []


def test_thousands_of_photos_keep_the_page_small(tmp_path: Path) -> None:
    rows = [row(f"holiday/{i:05}.jpg", views=[view(), view("other", role="unseen")]) for i in range(3000)]
    page = written(tmp_path / "out", rows + [failure(f"broken/{i:05}.jpg") for i in range(2500)])
    assert kept_of(tmp_path / "out", "report.html").stat().st_size < 2_000_000
    assert "The first 2,000 of 3,000 photos" in page.text
    assert "The first 2,000 of 2,500; all are in rows.jsonl" in page.text
    assert page.text.count("broken/") == 2000
    assert page.text.count("24 of 3,000 photos") == 1
    assert len(page.named("article")) == report.SHOWN
    assert "open" not in page.named("details")[0]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    out, each, sources = folder(tmp_path, Photo(photo(40, 30)), Photo(photo(40, 30, seed=1)))
    written(out, [each, failure()], sources)
    first = kept_of(out, "report.html").read_bytes()
    elsewhere = out.rename(tmp_path / "moved")
    written(elsewhere, [each | {"seconds": 99.0}, failure()], sources)
    assert kept_of(elsewhere, "report.html").read_bytes() == first
    assert str(tmp_path).encode() not in first
    assert [path.name for path in elsewhere.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("rows", [[], [failure("a.jpg", "the file is empty"), failure("b.jpg", "no photo")]])
def test_a_run_without_any_photo_has_a_page(tmp_path: Path, rows: list[Row]) -> None:
    page = written(tmp_path / "out", rows)
    assert page.named("article") == page.named("img") == []
    assert ("the file is empty" in page.text) is bool(rows)
    assert "What this does not promise" in page.text


def test_the_page_is_written_while_the_folder_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what a process leaves that is killed at the page stays for ever."""
    held: list[bool] = []
    write = protection.write_atomically

    def writing(file: Path, content: str, *, mode: int) -> None:
        held.append((tmp_path / "out-private" / UNFINISHED).exists())
        write(file, content, mode=mode)

    monkeypatch.setattr(protection, "write_atomically", writing)
    written(tmp_path / "out", [])
    assert held == [True]
