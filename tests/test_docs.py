"""Documentation that cannot drift: the CLI reference, links, quoted code, quoted rows."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from repository import REPOSITORY

from veil.cli.reference import reference
from veil.jobs.row_formats import RowFormat
from veil.protections.ciphers.folder import DECRYPTED_ROWS, ENCRYPTED_ROWS
from veil.protections.features.feature_files import EXTRACTED_ROWS
from veil.protections.noise.rows import PROTECTED_ROWS
from veil.protections.transformation.folder import TRANSFORMED_ROWS
from veil.recipes import papers
from veil.recipes.recipe import Conditions
from veil.report.page import markdown

PAGES = sorted(
    p
    for p in REPOSITORY.rglob("*.md")
    if not any(
        part.startswith(".") or part in ("data", "runs", "demo") for part in p.relative_to(REPOSITORY).parts[:-1]
    )
)

ROWS = (
    ("protect.md", PROTECTED_ROWS), ("encryption.md", ENCRYPTED_ROWS), ("encryption.md", DECRYPTED_ROWS),
    ("transformation.md", TRANSFORMED_ROWS), ("obfuscation.md", EXTRACTED_ROWS),
)  # fmt: skip


def test_the_cli_reference_is_the_commands() -> None:
    assert (REPOSITORY / "docs/cli.md").read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_links_lead_to_headings(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


@cache
def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"<!--.*?-->|\]\([^)]*\)", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize(("page", "rows"), ROWS, ids=lambda part: part if isinstance(part, str) else part.command)
def test_a_page_explains_every_field_of_its_rows(page: str, rows: RowFormat[Any]) -> None:
    explained = set(re.findall(r"`(\w+)`", (REPOSITORY / "docs" / page).read_text(encoding="utf-8")))
    assert set(rows.done.__annotations__) <= explained


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_python_in_the_docs_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page's Python runs from top to bottom, beside a photo ``cat.png``."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    if not blocks:
        pytest.skip("no Python on this page")
    skimage = pytest.importorskip("skimage")
    (tmp_path / "cat.png").write_bytes((Path(skimage.__file__).parent / "data/chelsea.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    source = "\n".join(blocks)
    ast.parse(source)
    exec(compile(source, str(page), "exec"), {})


def test_the_results_page_is_the_rows() -> None:
    spec = importlib.util.spec_from_file_location("nips17", REPOSITORY / "benchmarks/nips17.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (REPOSITORY / "docs/results.md").read_text(encoding="utf-8") == module.page()


@pytest.mark.parametrize("name", papers.PAPERS)
def test_a_papers_page_is_its_rows(name: str) -> None:
    """And the report in results/ is whole: every figure that its page names is there."""
    paper = papers.find(name)
    given = Conditions(paper=name, scale="cpu", results=REPOSITORY / "results")
    figures = f"../results/{name}/report/cpu/figures"
    text = markdown(papers.page(paper, given), figures)
    assert (REPOSITORY / f"docs/{name}.md").read_text(encoding="utf-8") == text
    assert paper.measured == ("Not measured" not in text)
    report = (REPOSITORY / "docs" / figures).resolve().parent / "report.html"
    if not paper.measured and not report.exists():
        return
    for named in re.findall(r'src="([^"]+)"', report.read_text(encoding="utf-8")):
        assert (report.parent / named).is_file(), named
