"""What README and docs quote is what the rows say, and nothing that looks measured was written by hand."""

import html
import json
import re
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from quoted import costs, packaged
from quoted.marks import Quoted, faults, filled, names, without
from quoted.naked import ALLOWED, naked, stale
from quoted.pages import pages, quoted
from quoted.sources import REPOSITORY
from veil.recipes import papers
from veil.recipes.recipe import Conditions

EVERY_PAGE = pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(REPOSITORY).as_posix())
SOME = Quoted(
    numbers={"photos": lambda: "400"},
    conclusions={"true": lambda: True, "false": lambda: False},
    tables={"all": lambda: "| a |\n| --- |\n| 1 |"},
)
UNSEEN_TRAININGS = {"preliminary", "audits"}
"""Items of which most is trained before the first row is due: the rows' seconds are not all that they cost."""


def read(page: Path) -> tuple[str, str]:
    return page.relative_to(REPOSITORY).as_posix(), page.read_text(encoding="utf-8")


@EVERY_PAGE
def test_a_page_says_what_the_rows_say(page: Path) -> None:
    name, text = read(page)
    assert not list(faults(text, quoted()))
    assert filled(text, quoted()) == text, f"{name} is not as the rows: make docs"


@EVERY_PAGE
def test_no_measured_number_was_written_by_hand(page: Path) -> None:
    name, text = read(page)
    assert not list(naked(text, name))
    assert not list(stale(text, name))


def test_every_name_is_used_and_every_page_with_allowances_is_there() -> None:
    used = {mark for page in pages() for mark in names(page.read_text(encoding="utf-8"))}
    assert used == quoted().names()
    assert ALLOWED.keys() <= {read(page)[0] for page in pages()}


@EVERY_PAGE
def test_marks_are_invisible_where_markdown_is_shown(page: Path) -> None:
    """As a reader of Markdown sees the page: only marks of tables are blocks of HTML, and none is shown as text."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    for token in tokens:
        assert token.type != "html_block" or token.content.startswith(("<!--t ", "<!--/t"))
        for child in token.children or ():
            assert child.type == "html_inline" or "<!--" not in child.content


def test_numbers_and_tables_are_rewritten_and_conclusions_are_not() -> None:
    page = "Of <!--n photos-->7<!--/n--> photos <!--c true-->all<!--/c-->.\n\n<!--t all-->\nold\n<!--/t-->\n"
    expected = page.replace(">7<", ">400<").replace("\nold\n", "\n\n| a |\n| --- |\n| 1 |\n\n")
    assert filled(page, SOME) == expected
    assert filled(expected, SOME) == expected
    assert not list(faults(page, SOME))


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("of <!--n fotos-->7<!--/n-->", "there is no fotos"),
        ("it <!--c false-->holds<!--/c-->", "the rows contradict false"),
        ("of <!--n photos-->7 photos", "not closed"),
        ("of <!--n photos -->7<!--/n-->", "not closed"),
        ("some\n- <!--n photos-->7<!--/n--> photos", "photos begins a line"),
    ],
)
def test_what_is_wrong_with_a_page_is_named(page: str, fault: str) -> None:
    assert any(fault in found for found in faults(page, SOME))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("an AUROC of 0.61", "0.61"),
        ("in 28 % of answers", "28 %"),
        ("9 times as fast", "9 times"),
        ("364 MiB for all", "364 MiB"),
        ("in 195 of 400", "195 of 400"),
        ("took ten minutes", "ten minutes"),
        ("for a fifth of the photos", "a fifth"),
        ("we say: this does not hold", "this does not hold"),
    ],
)
def test_what_looks_measured_is_caught(text: str, found: str) -> None:
    (caught,) = naked(text, "page.md")
    assert repr(found) in caught


@pytest.mark.parametrize(
    "text",
    ["32 values of 4 levels", "128 × H/4 × W/4", "version 3.5.1", "`0.5`", "```\n0.5\n```", "[all](x.md#0.5-a)",
     "of <!--n photos-->40.5<!--/n--> ones"],
)  # fmt: skip
def test_settings_code_links_and_marks_are_no_measured_numbers(text: str) -> None:
    assert not list(naked(text, "page.md"))


def test_what_is_marked_is_blanked_line_by_line() -> None:
    assert without("a <!--t all-->\nx\n<!--/t--> b") == f"a {' ' * 12}\n \n{' ' * 9} b"


def test_cards_of_packaged_classifiers_say_what_was_judged() -> None:
    things100, mnist = (
        tomllib.loads((packaged.CLASSIFIERS / f"{name}.toml").read_text(encoding="utf-8"))["accuracy"]
        for name in ("things100", "mnist-cnn")
    )
    judged = packaged.things100()
    assert (things100["top1"], things100["top5"]) == (round(100 * judged["top1"], 1), round(100 * judged["top5"], 1))
    assert mnist["top1"] == round(100 * packaged.mnist()["test_top1"], 1)


@pytest.mark.parametrize("name", papers.PAPERS)
def test_the_cost_in_a_recipes_head_is_what_its_rows_took(name: str) -> None:
    """Within a factor of two, where it is minutes or hours."""
    units = {"s": 1, "min": 60, "h": 3600}
    for recipe in papers.find(name).recipes:
        said, unit = [*recipe.cost("cpu").split(), "", ""][:2]
        took = costs.seconds(name, recipe.item)
        if said.isdigit() and unit in units and took and recipe.item not in UNSEEN_TRAININGS:
            assert 0.5 <= int(said) * units[unit] / took <= 2, f"{recipe.item}: {recipe.cost('cpu')}, took {took:.0f} s"


@pytest.mark.parametrize("name", papers.PAPERS)
def test_the_report_in_results_says_what_the_page_says(name: str) -> None:
    """Its text and tables; figures are drawn from the same rows."""
    given = Conditions(paper=name, scale="cpu", results=REPOSITORY / "results")
    page, file = papers.page(papers.find(name), given), papers.folder(papers.find(name), given) / "report.html"
    shown = " ".join(html.unescape(re.sub(r"<[^>]+>", "", file.read_text(encoding="utf-8"))).split())
    for section in page.sections:
        cells = (cell for table in section.tables for row in table.rows for cell in row)
        for text in (*section.text, *cells):
            plain = re.sub(r"\[([^\]]+)\]\([^)]*\)|`", r"\1", text)
            assert " ".join(plain.split()) in shown, f"veil report {name}"


def test_rows_of_results_are_whole() -> None:
    """Every line of every file that is quoted can be read: none was cut off."""
    for file in (REPOSITORY / "results").rglob("*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            json.loads(line)
