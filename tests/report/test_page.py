"""A paper's page: escaped, whole, the same; its Markdown read by another parser; its figures as asked for."""

import io
import math
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from PIL import Image

from veil.jobs.folders import FolderError
from veil.report import figures, label_placement
from veil.report.figures import Curve, Panel
from veil.report.page import Page, Picture, Section, Table, markdown, write_html

HOSTILE = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "a | b || c",
    "*stars* _lines_ __more__ ~waves~ snake_case",
    "# no heading #",
    "- no list",
    "+ no list",
    "2019. no list either",
    "---",
    "&lt; &amp; &#60;",
    "[text](elsewhere.html",
    "![no picture][x] and [x]: y",
    "a ` single backquote, a \\ backslash",
    "$x^2$ costs $3",
    "https and <https://example.org>",
    "größe-写真-📷 → ≥ “quoted”",
    "ends with #",
    "\u202egpj.exe \x07 \u2028",
)
SIGNS = "ab1 _*`~[]()<>!#|\\&;$.+-=\"'\n"


def shown(text: str) -> str:
    """What a reader must see of ``text``."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


class Parsed(HTMLParser):
    """A page as parsed: its elements with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def as_html(text: str) -> Parsed:
    """Markdown as an independent parser reads it, HTML in it included."""
    return Parsed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


def dot() -> Figure:
    return figures.noise_grid({"": np.zeros((2, 2))}, 1.0)


def section(**changes: object) -> Section:
    table = Table(
        "Accuracy in %.", ("noise towards", "paper", "Veil"), (("0", "17.8", "16.2 ± 0.4"), ("1", "56.4", "–"))
    )
    made = Section(
        "table2", "Table 2 · Accuracy", ("One digit, `accuracy < 20 %`.",), (table,),
        (Picture("table2", "Accuracy by target class.", dot),), "cpu scale · `veil reproduce liu2019`", "not run yet",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def page(*sections: Section) -> Page:
    return Page("Liu et al. 2019", "Cited [here](https://doi.org/10.1002/(a)b).", ("An intro.",), sections)


def written(made: Page, out: Path) -> Parsed:
    file = write_html(made, out)
    assert file == out / "report.html"
    return Parsed(file.read_text(encoding="utf-8"))


def test_a_page_holds_what_it_was_given(tmp_path: Path) -> None:
    found = written(page(section(), section(item="Figure 3", title="Figure 3 · Errors", pictures=())), tmp_path)
    assert found.texts["h1"] == ["Liu et al. 2019"]
    assert found.texts["h2"] == ["Table 2 · Accuracy", "Figure 3 · Errors"]
    assert [a["href"] for a in found.named("a")][:3] == ["https://doi.org/10.1002/(a)b", "#table2", "#figure-3"]
    assert [each["id"] for each in found.named("section")] == ["table2", "figure-3"]
    assert found.texts["td"][:2] == ["17.8", "16.2 ± 0.4"]
    assert "accuracy < 20 %" in found.texts["code"]
    assert found.texts["span"] == ["not run yet"] * 2  # in the contents
    (picture,) = found.named("img")
    assert (picture["src"], picture["alt"]) == ("figures/table2.png", "Accuracy by target class.")
    with Image.open(tmp_path / "figures" / "table2.png") as image:
        assert image.size == (int(picture["width"]), int(picture["height"]))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in found.elements if "aria-labelledby" in a} <= set(ids)


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    found = written(page(section()), tmp_path)
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in found.elements}
    assert [link["href"] for link in found.named("link")] == ["data:,"]
    assert all(image["src"].startswith("figures/") for image in found.named("img"))
    assert "url(" not in found.texts["style"][0]
    assert "@import" not in found.texts["style"][0]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(tmp_path: Path, text: str) -> None:
    table = Table(text, (text, text), ((text, text),))
    made = Page(text, text, (text,), (Section("a", text, (text,), (table,), (Picture("a", text, dot),), text, text),))
    expected, tags = shown(text), {"script", "strong", "em", "s", "del", "ul", "ol", "hr", "blockquote"}
    found = written(made, tmp_path)
    assert not (tags - {"ul"}) & {tag for tag, _ in found.elements}
    for tag, count in (("h1", 1), ("h2", 1), ("th", 2), ("td", 1), ("figcaption", 1)):
        assert found.texts[tag] == [expected] * (count + (tag == "th"))
    assert found.texts["p"].count(expected) == 6
    assert [image["alt"] for image in found.named("img")] == [expected]

    read = as_html(markdown(made, "figures"))
    assert not (tags - {"strong", "em"}) & {tag for tag, _ in read.elements}
    for tag, count in (("h1", 1), ("h2", 1), ("th", 2), ("td", 2), ("strong", 1), ("em", 1)):
        assert read.texts[tag] == [expected] * count
    assert [image["alt"] for image in read.named("img")] == [expected]
    assert read.texts["p"].count(expected) >= 4
    assert not read.named("a")


@given(st.text(SIGNS, max_size=14))
def test_any_plain_text_survives_markdown(text: str) -> None:
    made = Page("x" + text, "y", (), (Section("a", "b", tables=(Table(text, ("h",), ((text,),)),)),))
    read = as_html(markdown(made, "f"))
    assert read.texts["h1"] == [shown("x" + text)]
    assert read.texts["td"] == [shown(text)]
    assert not {"em", "strong", "s", "a", "img", "code"} & {tag for tag, _ in read.elements}
    if shown(text):
        assert shown(text) in read.texts["p"]


@given(st.lists(st.sampled_from([*SIGNS, "](", "[a](b", "`a`"]), max_size=12).map("".join))
def test_prose_says_the_same_in_html_and_in_markdown(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    made = Page("a", "b", (f"x{text}",), ())
    try:
        theirs = as_html(markdown(made, "f"))
    except ValueError:  # a backslash in an address
        reject()
    ours = written(made, tmp_path_factory.mktemp("page"))
    assert theirs.texts["p"][-1] == ours.texts["p"][2]
    assert theirs.texts.get("code", []) == ours.texts["code"][:-1]  # the last is the page's own
    assert theirs.texts.get("a", []) == ours.texts.get("a", [])
    assert {tag for tag, _ in theirs.elements} <= {"h1", "p", "code", "a"}


def test_prose_knows_code_and_links_and_nothing_else(tmp_path: Path) -> None:
    text = "Run `veil report <x>`, see *this*![rows](../results/a_(b).jsonl) and [site](http://a.org/?x=1&y=<2>)."
    for found in (
        written(page(section(text=(text,), pictures=())), tmp_path),
        as_html(markdown(page(section(text=(text,), pictures=())), "f")),
    ):
        assert "Run veil report <x>, see *this*!rows and site." in found.texts["p"]
        assert "veil report <x>" in found.texts["code"]
        assert not found.named("img")
        links = [a["href"].replace("%3C", "<").replace("%3E", ">") for a in found.named("a")]
        assert links[-2:] == ["../results/a_(b).jsonl", "http://a.org/?x=1&y=<2>"]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JavaScript:alert(1)", "\x01javascript:alert(1)", "data:text/html,x", "file:///etc/passwd",
        "//elsewhere.org/x", "/etc/passwd", "\\\\host\\share", "https:///x", "http://[x", "vbscript:x", "mailto:a@b.c",
    ],
)  # fmt: skip
def test_links_elsewhere_are_refused(tmp_path: Path, address: str) -> None:
    for made in (page(section(text=(f"[x]({address})",))), page(section(source=f"[x]({address})"))):
        with pytest.raises(ValueError, match="link"):
            write_html(made, tmp_path)
        with pytest.raises(ValueError, match="link"):
            markdown(made, "f")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address", ["https://a.org", "http://a.org/b#c", "docs/results.md", "../a%20b", "#table2", "?a=1"]
)
def test_links_that_are_allowed(tmp_path: Path, address: str) -> None:
    found = written(page(section(text=(f"[x]({address})",))), tmp_path)
    assert address in [a["href"] for a in found.named("a")]


def test_the_same_page_gives_the_same_bytes(tmp_path: Path) -> None:
    files = ("report.html", "figures/table2.png")
    write_html(page(section()), tmp_path)
    first = [(tmp_path / file).read_bytes() for file in files]
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 30, "image.cmap": "gray", "axes.facecolor": "red"}):
        write_html(page(section()), tmp_path)
    assert [(tmp_path / file).read_bytes() for file in files] == first
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["figures", "report.html", "table2.png"]


def test_a_figure_tells_neither_when_nor_by_what_it_was_made() -> None:
    with Image.open(io.BytesIO(figures.png(dot()))) as image:
        assert set(image.info) == {"dpi"}


def test_figures_that_the_page_lost_are_removed_and_nothing_else(tmp_path: Path) -> None:
    write_html(page(section(), section(item="old", pictures=(Picture("old-one", "Old.", dot),))), tmp_path)
    kept = ["Mine.png", "mine.png", "old-one.svg", "notes.txt"]
    for name in kept:
        (tmp_path / "figures" / name).touch()
    (tmp_path / "figures" / "folder.png").mkdir()
    (tmp_path / "elsewhere.png").touch()
    write_html(page(section()), tmp_path)
    left = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert left == sorted([*kept, "folder.png", "table2.png"])
    assert (tmp_path / "elsewhere.png").exists()


@pytest.mark.parametrize("name", ["report.html", "figures/table2.png"])
def test_files_of_others_are_not_replaced(tmp_path: Path, name: str) -> None:
    """REVIEW S10. In 7c1583f they were."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("precious")
    with pytest.raises(FolderError, match="was not written by Veil, and is left as it is"):
        write_html(page(section()), tmp_path)
    assert [file.read_text() for file in tmp_path.rglob("*") if file.is_file()] == ["precious"]


def test_a_drawing_that_fails_leaves_the_earlier_page(tmp_path: Path) -> None:
    def fail() -> Figure:
        raise RuntimeError("no rows")

    write_html(page(section()), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = Picture("table2", "Another.", lambda: figures.noise_grid({"": np.ones((2, 2))}, 1.0))
    with pytest.raises(RuntimeError, match="no rows"):
        write_html(page(section(pictures=(other, Picture("b", "Fails.", fail)))), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a/b", "a.png", "ä", "a\n", "a_b"])
def test_bad_picture_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        Picture(name, "Caption.", dot)


def test_columns_of_words_can_be_read() -> None:
    """A column of sentences beside one of numbers ran out of the page, and could only be read by scrolling."""
    table = Table("", ("photo", "verdict", "because", "PSNR", "interval", "of"), (
        ("a very long name of a photo, by which nothing is decided", "not protected: the network sees it",
         "None of it. " * 12, "34.4", "7 of 7 (100 %; 65 to 100 %)", "15 trained attackers, 2,387 faces"),
        ("b", "protected", "", "unchanged", "0 of 7", ""),
    ))  # fmt: skip
    assert table.kinds == ("", "words", "said", "", "", "words")
    assert Table("", ("a", "b"), ()).kinds == ("", "")


def test_what_cannot_be_a_page_is_refused() -> None:
    with pytest.raises(ValueError, match="caption"):
        Picture("a", " ", dot)
    with pytest.raises(ValueError, match="2 columns"):
        Table("", ("a", "b"), (("1", "2"), ("1",)))
    with pytest.raises(ValueError, match="0 columns"):
        Table("", (), ())
    for sections in ([section(), section()], [section(item="!")], [section(), section(item="Table2!", pictures=())]):
        with pytest.raises(ValueError, match="names of their own"):
            page(*sections)


def test_markdown_has_tables_figures_and_addresses() -> None:
    text = markdown(page(section(), section(item="b", title="B", pictures=())), "figures/liu2019/")
    lines = text.splitlines()
    assert "| :--- | ---: | ---: |" in lines
    assert "![Accuracy by target class.](figures/liu2019/table2.png)" in lines
    assert "*Accuracy by target class.*" in lines
    assert "**not run yet**" in lines
    assert "- [Table 2 · Accuracy](#table-2--accuracy)" in lines
    assert "<sub>cpu scale · `veil reproduce liu2019`</sub>" in lines
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    found = as_html(text)
    assert found.texts["td"][:3] == ["0", "17.8", "16.2 ± 0.4"]
    assert [cell.get("style", "text-align:left") for cell in found.named("th")][:3] == [
        "text-align:left", "text-align:right", "text-align:right",
    ]  # fmt: skip


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = "import sys, veil, veil.report, veil.report.page, veil.report.figures; print('matplotlib' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
    code = (
        "import sys; from veil.report import figures; "
        "figures.png(figures.bars({'a': {'x': 1.0}}, 'y')); print('matplotlib.pyplot' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def photo(height: int, width: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


ANSWERS = (("black swan, Cygnus atratus", 0.9623), ("a name that is much too long for its place", 0.01), ("$x$", 0.0))
CURVE = Curve((0, 1, 2), (0.7, 0.1, 2.5), (0.1, 0.0, 0.3))
DRAWINGS: dict[str, tuple[Callable[[], Figure], int]] = {
    "noises": (lambda: figures.noise_grid({str(k): np.full((28, 28), k / 9 - 0.5) for k in range(10)}, 0.35), 11),
    "one noise": (lambda: figures.noise_grid({"a title of many words, all of them": np.eye(28)}, 1.0), 2),
    "digits": (lambda: figures.digit_grid([np.eye(28)] * 7, ["7 → 0"] * 7, columns=3), 7),
    "images": (lambda: figures.image_grid({str(n): np.full((8, 6, 3), n, np.uint8) for n in range(5)}), 5),
    "bars": (
        lambda: figures.bars(
            {"paper": {"0": 17.8, "1": 56.4}, "Veil": {"1": -5.0}}, "accuracy, %", xlabel="target class",
            errors={"Veil": {"1": 2.0}}, reference={"guess": 10}, values=".1f",
        ), 1,
    ),
    "slanting names": (lambda: figures.bars({"a": {"x" * 30 + str(k): k for k in range(9)}}, "y"), 1),
    "curves": (
        lambda: figures.curves(
            [Panel({"a": CURVE, "b": CURVE}, "ICE, nats", {"ln 10": 2.3}), Panel({"b": CURVE}, "noise")], "classes"
        ), 2,
    ),
    "one curve": (lambda: figures.curves([Panel({"a": Curve((0.5, 40), (1, 2))}, "ICE, nats")], "budget"), 1),
    "scatter": (
        lambda: figures.scatter(
            {"a": [(0, 1, "first"), (1, 2, "second")], "b": [(1, 2, "third")], "c": [(1, 2, "")]}, "x", "y",
            connected=("a",), reference={"ln 10": 2.3},
        ), 1,
    ),
    "photo": (
        lambda: figures.photo_comparison(
            photo(20, 30), photo(20, 30), photo(20, 30), ANSWERS, ANSWERS[:1], 30, truth=ANSWERS[0][0]
        ), 5,
    ),
    "tall photo": (lambda: figures.photo_comparison(*[photo(90, 8)] * 3, ANSWERS, ANSWERS, 2.5), 5),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWINGS)
def test_figures_have_their_panels_and_fit(name: str) -> None:
    draw, panels = DRAWINGS[name]
    figure = draw()
    assert isinstance(figure, Figure)
    assert len(figure.axes) == panels
    with Image.open(io.BytesIO(figures.png(figure))) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] <= figures.WIDTH * figures.DPI
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]):  # nothing is cut off
        assert (edge == 255).all()


def test_noise_is_white_where_it_is_nothing_red_above_and_blue_below() -> None:
    figure = figures.noise_grid({"": np.array([[-1.0, 0.0, 1.0]])}, 1.0)
    (image,) = figure.axes[0].images
    below, nothing, above = image.to_rgba(image.get_array())[0, :, :3]
    assert tuple(nothing) == (1, 1, 1)
    assert below[2] > below[0]
    assert above[0] > above[2]
    assert image.get_clim() == (-1, 1)


def test_bars_stand_in_their_groups_with_their_errors() -> None:
    figure = figures.bars({"paper": {"0": 3.0}, "Veil": {"1": 4.0, "0": 2.0}}, "y", errors={"Veil": {"0": 0.5}})
    (axes,) = figure.axes
    heights = {round(bar.get_x() + bar.get_width() / 2): [] for bar in axes.patches}
    for bar in sorted(axes.patches, key=lambda bar: bar.get_x()):
        heights[round(bar.get_x() + bar.get_width() / 2)].append(bar.get_height())
    assert heights == {0: [3.0, 2.0], 1: [4.0]}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1"]


def test_labels_of_points_hide_neither_points_nor_each_other() -> None:
    points = [(x, y, f"label {x}{y}") for x in range(6) for y in range(4)]
    figure = figures.scatter({"a": points}, "x", "y")
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == len(points)
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])
    places = figure.axes[0].transData.transform([point[:2] for point in points])
    assert not any(box.contains(*place) for box in boxes for place in places)


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0.1, 3)), max_size=7))
def test_names_of_lines_lie_side_by_side(ends: list[tuple[float, float]]) -> None:
    places, sizes = [end[0] for end in ends], [end[1] for end in ends]
    moved = label_placement.apart(places, sizes)
    order = sorted(range(len(ends)), key=lambda each: moved[each])
    assert all(moved[b] - moved[a] >= (sizes[a] + sizes[b]) / 2 - 1e-9 for a, b in pairwise(order))
    assert [places[each] for each in order] == sorted(places)
    assert math.isclose(sum(moved), sum(places), abs_tol=1e-9)
    if all(abs(a - b) > 3 for n, a in enumerate(places) for b in places[:n]):
        assert moved == pytest.approx(places)


def _comparison(*pictures: Sequence[object], share: float = 0.5) -> Figure:
    return figures.photo_comparison(*pictures, [("a", share)], [], 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.noise_grid({"a": np.zeros((1, 28, 28))}, 1), r"\(H, W\)"),
        (lambda: figures.noise_grid({"a": np.full((2, 2), np.nan)}, 1), "finite"),
        (lambda: figures.noise_grid({"a": np.zeros((2, 2))}, 0), "positive"),
        (lambda: figures.noise_grid({}, 1), "grid of 0"),
        (lambda: figures.digit_grid([np.zeros((2, 2))], []), "1 images with 0 titles"),
        (lambda: figures.image_grid({"a": np.zeros((2, 2), np.uint8)}), r"uint8 \(H, W, 3\)"),
        (lambda: figures.image_grid({}), "grid of 0 images"),
        (lambda: figures.digit_grid([np.full((2, 2), 255.0)], ["a"]), r"within \[0, 1\]"),
        (lambda: figures.digit_grid([np.zeros((2, 2))], ["a"], columns=0), "0 columns"),
        (lambda: figures.bars({}, "y"), "nothing"),
        (lambda: figures.bars({"a": {"0": math.nan}}, "y"), "finite"),
        (lambda: figures.bars({"a": {"0": 1}}, "y", errors={"a": {"1": 1}}), "no bar"),
        (lambda: Curve((1, 2), (1,)), "2 places"),
        (lambda: Curve((), ()), "0 places"),
        (lambda: Curve((1,), (1,), (1, 2)), "2 spreads"),
        (lambda: Curve((1,), (math.inf,)), "finite"),
        (lambda: figures.curves([], "x"), "nothing"),
        (lambda: figures.curves([Panel({}, "y")], "x"), "nothing"),
        (lambda: figures.scatter({"a": []}, "x", "y"), "no points"),
        (lambda: figures.scatter({"a": [(1, 1, "")]}, "x", "y", connected=("b",)), "connect"),
        (lambda: _comparison(photo(4, 4), photo(4, 5), photo(4, 4)), "released"),
        (lambda: _comparison(photo(4, 4)[..., 0], photo(4, 4), photo(4, 4)), "original"),
        (lambda: _comparison(photo(4, 4), photo(4, 4), photo(4, 4) / 255), "noise"),
        (lambda: _comparison(*[photo(4, 4)] * 3, share=96.2), "probability"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_the_palette_can_be_read_on_white() -> None:
    def luminance(colour: str) -> float:
        levels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
        return sum(weight * level for weight, level in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for colour in (*figures.PALETTE, figures.INK, figures.QUIET):
        assert re.fullmatch("#[0-9a-f]{6}", colour)
        assert 1.05 / (luminance(colour) + 0.05) >= 4.5
