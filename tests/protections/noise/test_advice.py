"""What is advised depends on what was tried, and stops where nothing is left to try."""

from dataclasses import asdict

import pytest

from veil.protections.noise import SCHEMES
from veil.protections.noise.advice import BUDGETS, advice


def run(**more: object) -> dict[str, object]:
    return {"settings": asdict(SCHEMES["crs"].settings()), "models": ["things100"], "quality": None} | more


def options(settings: dict[str, object]) -> list[str]:
    """The options that are named, in order."""
    return [word.rstrip(":") for line in advice(settings) for word in line.split() if word.startswith("--")]


def test_a_larger_budget_comes_first_and_every_line_says_a_cost() -> None:
    assert options(run()) == ["--budget", "--max-iterations", "--required-score"]
    assert all(":" in line and len(line.split(":")[1]) > 20 for line in advice(run()))


def test_what_the_run_did_otherwise_is_advised_against() -> None:
    assert options(run(quality=95))[0] == "--format"
    assert "--model" in options(run(models=["a", "b"]))
    assert options(run(universal="0123")) == ["--universal"]


@pytest.mark.parametrize("budget", [*BUDGETS, 30])
def test_the_next_budget_is_larger_and_the_last_has_none(budget: int) -> None:
    settings = run(settings={"budget": float(budget)})
    larger = [level for level in BUDGETS if level > budget]
    assert options(settings) == (["--budget"] if larger else [])
    assert not larger or f"--budget {larger[0]}" in advice(settings)[0]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_has_something_to_try(scheme: str) -> None:
    assert advice(run(settings=asdict(SCHEMES[scheme].settings())))


def test_settings_of_a_stranger_do_not_matter() -> None:
    assert advice({"settings": {"strength": 1}}) == []
