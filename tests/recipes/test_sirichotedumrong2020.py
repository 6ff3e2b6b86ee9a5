"""The recipes of Sirichotedumrong and Kiya 2020 at smoke scale: measured whole, interrupted, resumed, shown."""

from pathlib import Path
from typing import Any

import pytest
import torch

from veil.attacks.images import ATTACKS
from veil.jobs.rows import Row
from veil.recipes import papers
from veil.recipes.recipe import Conditions, Evidence
from veil.recipes.sirichotedumrong2020 import (
    key_statistics,
    preliminary,
    table1_accuracy,
    table1_length,
    table1_ssim,
    transformation,
)
from veil.recipes.sirichotedumrong2020.table1_accuracy import (
    ADAPTATION,
    ITEM,
    PIXEL_BASED,
    PROTECTIONS,
    RANDOM,
    SETTINGS,
)

PAPER = papers.find("sirichotedumrong2020")


def conditions(folder: Path, **other: Any) -> Conditions:
    return Conditions(
        paper=PAPER.name, scale="smoke", results=folder / "results", work=folder / "work", device="cpu", **other
    )


def measured(given: Conditions, item: str = ITEM) -> list[Row]:
    """The rows without what differs from run to run."""
    return [
        {key: value for key, value in row.items() if key not in ("run", "seconds", "training_seconds")}
        for row in Evidence(given).rows(item)
    ]


def test_every_protection_is_measured_and_shown(tmp_path: Path) -> None:
    given = conditions(tmp_path)
    papers.reproduce(PAPER, [], given)
    rows = measured(given)
    first, second = SETTINGS["smoke"].data
    found = [(row["data"], row["protection"], row["adaptation"]) for row in rows]
    expected = [(data, each, ADAPTATION[each]) for data in (first, second) for each in PROTECTIONS]
    expected += [(first, each, RANDOM) for each in PIXEL_BASED]
    assert sorted(map(str, found)) == sorted(map(str, expected))
    assert all(0 <= row["top1"] <= row["top5"] <= 1 for row in rows)
    text = papers.write(PAPER, given).read_text()
    assert "Not measured" not in text
    assert "91.29" in text
    sweep, longer = measured(given, preliminary.ITEM), measured(given, table1_length.ITEM)
    networks = measured(given, transformation.ITEM)
    assert [row["epsilon"] for row in sweep] == list(preliminary.EPSILONS)
    assert [row["visible"] for row in sweep] == sorted((row["visible"] for row in sweep), reverse=True)
    assert [(row["protection"], row["epochs"]) for row in longer] == [("tanaka", 3), ("pixel-same", 3)]
    assert [(row["method"], row["preset"]) for row in networks] == list(transformation.VARIANTS)
    assert all(0 <= row["accuracy"] <= 1 and 0 <= row["visible"] <= 1 for row in networks)
    keys = measured(given, key_statistics.ITEM)
    assert [(row["cipher"], row["images"]) for row in keys] == [
        (cipher, count) for cipher in key_statistics.ATTACKS for count in key_statistics.COUNTS["smoke"]
    ]
    assert all(row["failed"] or 0 <= row["exact"] <= 1 for row in keys)
    audits = measured(given, table1_ssim.ITEM)
    made = [(row["protection"], row["attack"]) for row in audits if row["kind"] == "attack"]
    assert set(made) == {(name, attack) for name in table1_ssim.PROTECTIONS for attack in ATTACKS}
    broken = {row["protection"] for row in audits if row["kind"] == "attack" and row.get("exact") == 1}
    assert broken == {"pixel-same", "tanaka"}
    papers.reproduce(PAPER, [], given)
    assert measured(given) == rows
    assert measured(given, key_statistics.ITEM) == keys
    assert measured(given, table1_ssim.ITEM) == audits
    assert measured(given, transformation.ITEM) == networks
    assert measured(given, table1_length.ITEM) == longer


def test_a_network_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = conditions(tmp_path / "whole")
    papers.reproduce(PAPER, [transformation.ITEM], whole)

    def stop(line: str) -> None:
        if line.startswith("epoch 1: h_θ right"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        papers.reproduce(PAPER, [transformation.ITEM], conditions(tmp_path / "cut", say=stop))
    assert not measured(conditions(tmp_path / "cut"), transformation.ITEM)
    papers.reproduce(PAPER, [transformation.ITEM], conditions(tmp_path / "cut"))
    assert measured(conditions(tmp_path / "cut"), transformation.ITEM) == measured(whole, transformation.ITEM)


def test_an_interrupted_recipe_goes_on_to_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table1_accuracy, "PROTECTIONS", ("plain", "pixel-same"))
    monkeypatch.setattr(table1_accuracy, "PIXEL_BASED", ())
    whole = conditions(tmp_path / "whole")
    papers.reproduce(PAPER, [ITEM], whole)
    count = 0

    def stop(line: str) -> None:
        nonlocal count
        count += line.startswith("epoch")
        if count == 4:  # in the middle of the second training
            count = 5
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        papers.reproduce(PAPER, [ITEM], conditions(tmp_path / "cut", say=stop))
    resumed = conditions(tmp_path / "cut")
    assert len(measured(resumed)) == 1
    papers.reproduce(PAPER, [ITEM], resumed)
    assert measured(resumed) == measured(whole)


def test_keys_differ_by_seed_and_stay_for_it() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    first, again, other = (table1_accuracy.protect("tanaka", seed)(images, torch.Generator()) for seed in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(other)


def test_a_data_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cifar10"):
        papers.reproduce(PAPER, [ITEM], Conditions(paper=PAPER.name, scale="cpu", results=tmp_path, data=(tmp_path,)))
