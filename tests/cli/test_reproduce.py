"""`veil reproduce` and `veil report` as a user meets them."""

from pathlib import Path

import pytest

from veil.cli import main
from veil.jobs import rows


def run(*arguments: str) -> int:
    """Runs a command and returns its exit status."""
    try:
        main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_an_item_is_measured_listed_and_reported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reproduce", "liu2019", "figure8", "--scale", "smoke", "--seed", "3") == 0
    assert "results/liu2019/report/smoke/report.html" in capsys.readouterr().out
    (row,) = rows.measured(rows.read(place / "results/liu2019/figure8/smoke.jsonl"))
    assert row["seed"] == 3
    assert run("reproduce", "--list", "--scale", "smoke") == 0
    listed = {line.split("│")[1].strip(): line for line in capsys.readouterr().out.splitlines() if "│" in line}
    assert "complete (seed 3)" in listed["figure8"]
    assert "complete" not in listed["table2"]

    (place / "docs").mkdir()
    assert run("report", "liu2019", "--markdown", "docs/page.md") == 0
    page = (place / "docs/page.md").read_text()
    assert "](../results/liu2019/report/smoke/figures/figure8.png)" in page
    assert "Not measured yet at smoke scale: table2" in page
    assert (place / "results/liu2019/report/smoke/figures/figure8.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "liu2020"], "there is no paper 'liu2020'; there are liu2019"),
        (["reproduce", "liu2019", "table9"], "no item 'table9'"),
        (["reproduce", "liu2019", "table3", "--data", "nowhere"], "there is no such folder"),
        (["reproduce", "liu2019", "table3", "--data", ".", "--model", "things100"], "photo set"),
        (["reproduce", "liu2019", "table3", "--model", "things100"], "photos are needed: --data"),
        (["reproduce", "liu2019", "table3", "--scale", "huge"], "huge"),
        (["reproduce", "liu2019", "table3", "--scale", "smoke", "--model", "resnet"], "there is no model"),
        (["report", "liu2019"], "has no rows of liu2019"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(*arguments) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not list(place.rglob("*.jsonl"))
