"""The recipes of Liu et al. 2019 at smoke scale: measured whole, interrupted, resumed, shown."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from veil.jobs import rows
from veil.jobs.folders import FolderError, locked
from veil.jobs.rows import Row, RowsError
from veil.recipes import free_photos, papers
from veil.recipes.liu2019 import combinations, photos
from veil.recipes.recipe import Conditions, Evidence

PAPER = papers.find("liu2019")


def conditions(folder: Path, **other: Any) -> Conditions:
    return Conditions(paper="liu2019", scale="smoke", results=folder / "results", work=folder / "work", **other)


def measured(given: Conditions, item: str) -> list[Row]:
    """An item's rows without what differs from run to run."""
    return [
        {key: value for key, value in row.items() if key not in ("run", "seconds")}
        for row in Evidence(given).rows(item)
    ]


def test_everything_is_measured_shown_and_not_measured_again(tmp_path: Path) -> None:
    given = conditions(tmp_path)
    papers.reproduce(PAPER, [], given)
    for recipe in PAPER.recipes:
        if recipe.measures is not None:
            found = measured(given, recipe.item)
            assert found, recipe.item
            assert all(math.isfinite(v) for row in found for v in row.values() if isinstance(v, float)), recipe.item
            assert "complete" in recipe.state(given)
    page = papers.write(PAPER, given)
    text = page.read_text()
    assert all(f'id="{recipe.item}"' in text for recipe in PAPER.recipes)
    assert "Not measured" not in text
    figures = {file.stem for file in (page.parent / "figures").iterdir()}
    assert figures >= {f"figure{n}" for n in range(2, 13)} | {"table2", "universal-entropy", "photo-entropy"}

    before = {recipe.item: Evidence(given).lines(recipe.item) for recipe in PAPER.recipes}
    papers.reproduce(PAPER, [], given)
    assert {recipe.item: Evidence(given).lines(recipe.item) for recipe in PAPER.recipes} == before
    papers.write(PAPER, given)
    assert page.read_text() == text


@pytest.mark.parametrize(("item", "after"), [("table2", 3), ("table3", 1)])
def test_an_interrupted_recipe_goes_on_to_the_same_rows(tmp_path: Path, item: str, after: int) -> None:
    whole = conditions(tmp_path / "whole", seeds=(0,))
    papers.reproduce(PAPER, [item], whole)

    count = 0

    def stop(_: str, __: Row) -> None:
        nonlocal count
        count += 1
        if count == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        papers.reproduce(PAPER, [item], conditions(tmp_path / "cut", seeds=(0,), added=stop))
    resumed = conditions(tmp_path / "cut", seeds=(0,))
    assert len(measured(resumed, item)) == after
    assert "Not measured whole" in papers.write(PAPER, resumed).read_text()
    papers.reproduce(PAPER, [item], resumed)
    assert sorted(map(str, measured(resumed, item))) == sorted(map(str, measured(whole, item)))


def test_rows_of_another_model_are_refused(tmp_path: Path) -> None:
    given = conditions(tmp_path)
    papers.reproduce(PAPER, ["figure8"], given)
    file = given.file("figure8")
    lines = rows.read(file)
    lines[0]["about"]["model"] = "another"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RowsError, match="other conditions"):
        papers.reproduce(PAPER, ["figure8"], given)


def test_two_processes_do_not_measure_one_item(tmp_path: Path) -> None:
    given = conditions(tmp_path)
    with locked(given.file("table3").parent), pytest.raises(FolderError, match="another process"):
        papers.reproduce(PAPER, ["table3"], given)


def test_noises_are_combined_by_the_rule() -> None:
    noises = [torch.full((1, 2, 2), 0.3), torch.full((1, 2, 2), 0.2)]
    for rule, value in (("clip", 0.35), ("sum", 0.5), ("mean", 0.25)):
        assert torch.allclose(combinations.combined(noises, rule), torch.full((1, 2, 2), value))


def test_example_photos_have_the_size_of_the_papers_network() -> None:
    for name in free_photos.CREDITS:
        assert free_photos.read(name, 299).shape == (3, 299, 299)


def test_without_the_papers_network_things100_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str) -> Any:
        if name == photos.DEFAULT_MODEL:
            raise photos.zoo.HubError("no network")
        return name

    said: list[str] = []
    monkeypatch.setattr(photos.catalog, "load", offline)
    given = Conditions(paper="liu2019", scale="cpu", results=tmp_path, say=said.append)
    assert photos.network(given) == photos.FALLBACK
    assert "no network" in said[0]
