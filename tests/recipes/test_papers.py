"""Papers: every row of the table, and one of a stranger that nobody has measured."""

import json
import sys
from pathlib import Path

import pytest
from commands import said, veil
from contracts import check_paper
from plugins import plug

from veil.recipes import PAPERS, papers
from veil.recipes.paper import Paper, Recipe, docstring, head
from veil.recipes.recipe import Conditions
from veil.runtime.scales import SCALES, TITLES

RECIPE = '''"""A count.

Paper:   Doe 2031, Table 1
Item:    table1
Cost:    smoke 0 s; cpu 1 s; paper 2 s
Expect:  2
Command: veil reproduce doe2031 table1
"""

from veil.report.page import Section


def measure(conditions):
    with conditions.rows("table1", {"settings": 1}) as rows:
        rows.add({"seed": 0, "count": 2})
        rows.finish((0,))


def show(evidence):
    return Section("table1", "Table 1", (f"count {evidence.rows('table1')[0]['count']}",))
'''
PAPER = """from veil.recipes.paper import Paper, Recipe

PAPER = Paper("doe2031", "Doe 2031: counts", "Jane Doe 2031.", ("A text.",),
              (Recipe("table1", "a count", "doe2031.table1"),), measured=False)
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a stranger in the current folder."""
    (tmp_path / "doe2031").mkdir()
    (tmp_path / "doe2031" / "__init__.py").write_text(PAPER)
    (tmp_path / "doe2031" / "table1.py").write_text(RECIPE)
    for name in ("doe2031", "doe2031.table1"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    docstring.cache_clear()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PAPERS)
def test_every_paper(name: str) -> None:
    check_paper(PAPERS[name])


def test_a_strangers_paper_is_measured_and_shown(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(stranger))
    plug(monkeypatch, PAPERS, doe2031="doe2031:PAPER")
    check_paper(PAPERS["doe2031"])
    assert veil("reproduce", "--list", "doe2031", "--scale", "cpu") == 0
    assert "a count" in (listed := capsys.readouterr().out)
    assert "1 s" in listed
    page = papers.write(PAPERS["doe2031"], Conditions(paper="doe2031", results=stranger / "results"))
    assert "Not measured yet at cpu scale: table1" in page.read_text()
    assert veil("reproduce", "doe2031") == 0
    assert "count 2" in page.read_text()
    rows = [json.loads(line) for line in (stranger / "results/doe2031/table1/cpu.jsonl").read_text().splitlines()]
    assert rows[1]["count"] == 2


def test_a_paper_is_typed_as_module_and_object(stranger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert veil("reproduce", "--list", "doe2031:PAPER") == 0
    assert "doe2031" in capsys.readouterr().out
    assert veil("reproduce", "doe2031:RECIPES") == 2
    assert "doe2031:RECIPES cannot be imported" in said(capsys)


def test_a_head_is_read_without_running_the_module(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stranger / "doe2031" / "table1.py").write_text(RECIPE + "\nraise RuntimeError\n")
    monkeypatch.syspath_prepend(str(stranger))
    assert Recipe("table1", "a count", "doe2031.table1").head()["Expect"] == "2"
    assert Recipe("table1", "a count", "doe2031.table1").cost("paper") == "2 s"


def test_a_head_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no Expect"):
        head("Paper:   P\nItem:    i\nCost:    smoke seconds\n")
    with pytest.raises(ValueError, match="no source of a module"):
        Recipe("x", "y", "veil.recipes.nothing").head()


def test_items_bring_what_they_need_in_the_order_of_the_paper() -> None:
    paper: Paper = PAPERS["liu2019"]
    assert [recipe.item for recipe in paper.select(["figure7"])] == ["table2", "figure4", "figure7"]
    assert paper.select([]) == list(paper.recipes)
    with pytest.raises(ValueError, match="no item 'table9'; it has table2, figure2"):
        paper.select(["table9"])


def test_scales_have_titles() -> None:
    assert tuple(TITLES) == SCALES
