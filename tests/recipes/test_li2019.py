"""The recipes of Li et al. 2019 at smoke scale: measured whole, resumed, shown."""

from pathlib import Path
from typing import Any

import pytest

from veil.recipes import papers
from veil.recipes.li2019 import audits, figure7, tradeoff
from veil.recipes.li2019.variants import GENDER, SETTINGS, VARIANTS, load, shared
from veil.recipes.recipe import Conditions, Evidence

PAPER = papers.find("li2019")


def conditions(folder: Path, **other: Any) -> Conditions:
    return Conditions(
        paper=PAPER.name, scale="smoke", results=folder / "results", work=folder / "work", device="cpu", **other
    )


def test_everything_is_measured_and_shown(tmp_path: Path) -> None:
    given = conditions(tmp_path)
    papers.reproduce(PAPER, [], given)
    evidence = Evidence(given)
    found = audits.by_variant(evidence)
    assert list(found) == list(VARIANTS)
    for rows in found.values():
        assert any(row["kind"] == "attribute" and row["attribute"] == GENDER for row in rows)
        assert any(row["kind"] == "reconstruction" for row in rows)
    trained = {row["variant"] for row in evidence.rows(audits.ITEM) if row["kind"] == "training"}
    assert trained == set(VARIANTS)
    assert {row["set"] for row in evidence.rows(figure7.ITEM)} == set(figure7.SMOKE_SETS)
    assert len(tradeoff.points("cpu")) == 13
    text = papers.write(PAPER, given).read_text()
    assert "Not measured" not in text
    assert "58.85" in text
    assert "0.3175" in text
    assert "what is sent, compared" in text
    rows = {item: evidence.rows(item) for item in (audits.ITEM, figure7.ITEM, tradeoff.ITEM)}
    papers.reproduce(PAPER, [], given)
    assert {item: evidence.rows(item) for item in rows} == rows


def test_service_and_attackers_share_nobody(tmp_path: Path) -> None:
    given = conditions(tmp_path)
    service, own = shared(load(given, SETTINGS["smoke"]))
    assert service.identities is not None
    assert own.identities is not None
    assert not set(service.identities.tolist()) & set(own.identities.tolist())


def test_faces_that_are_not_there_are_named(tmp_path: Path) -> None:
    given = Conditions(paper=PAPER.name, scale="cpu", results=tmp_path, data=(tmp_path,), work=tmp_path)
    with pytest.raises(FileNotFoundError, match="celeba"):
        papers.reproduce(PAPER, [audits.ITEM], given)
