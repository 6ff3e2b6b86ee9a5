"""Positive controls of an audit of images: when they are made, what they say, and that verdicts never contradict."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from veil import training
from veil.attacks.images import KNOWLEDGE, ImageAttack, resolve
from veil.audits.images import controls
from veil.audits.images import page as pages
from veil.audits.images.audit import ImageAudit, audit
from veil.audits.images.subjects import Subject, subject
from veil.audits.images.verdicts import ATTACKERS, verdicts
from veil.data import synthetic
from veil.data.labelled_images import Parts
from veil.jobs.rows import Row, RowFile
from veil.training.run import Run


@pytest.fixture(scope="module")
def parts() -> Parts:
    return synthetic.small_images(train=120, test=40, side=32, seed=0)


def noise(images: Tensor, generator: Generator) -> Tensor:
    return torch.randint(0, 256, images.shape, dtype=torch.uint8, generator=generator)


BLIND = ImageAttack(
    name="blind",
    title="a blind one",
    knows="pairs",
    attack=lambda plain, protected: lambda images: images // 128 * 0 + 90,
)


def run(one: Subject, parts: Parts, folder: Path, attacks: list[Any], said: list[str] | None = None) -> list[Row]:
    audited, chosen = ImageAudit(subject=one, parts=parts, scale="smoke"), resolve(attacks)
    given = Run(folder=folder / "attackers", seed=0, runner=training.fabric("cpu", "auto"), logged=lambda row: None)
    with RowFile(folder / "rows.jsonl", audited.about(0)) as rows:
        audit(audited, chosen, rows, given)
        return controls.measure(audited, rows, given, chosen, say=(said if said is not None else []).append)


def test_what_reports_nothing_is_made_against_what_is_broken(parts: Parts, tmp_path: Path) -> None:
    said: list[str] = []
    one = Subject("noise", noise)
    rows = run(one, parts, tmp_path, ["block-statistics", "affine", "inverse", BLIND], said)
    made = {row["attack"]: row for row in rows if row["kind"] == "control"}
    assert {name: row["protection"] for name, row in made.items()} == {
        "block-statistics": "tanaka", "affine": "pixel-same", "inverse": "pixel-same", "blind": "pixel-same",
    }  # fmt: skip
    assert said[0] == "key of blocks from statistics, control: tanaka"
    _, unpaired, _, pairs = verdicts(rows)
    assert unpaired.words.startswith("nothing found (the same attack breaks tanaka, ")
    assert pairs.words.startswith("nothing found (the same attack breaks pixel-same")
    assert pairs.words.endswith("not counted, for their controls failed: inverse network, a blind one)")
    assert (pairs.attacks, pairs.count) == (4, 24)
    again: list[str] = []
    assert run(one, parts, tmp_path, ["block-statistics", "affine", "inverse", BLIND], again) == rows
    assert again == []


def test_a_control_that_fails_too_shows_nothing(parts: Parts, tmp_path: Path) -> None:
    pairs = verdicts(run(Subject("noise", noise), parts, tmp_path, [BLIND]))[3]
    assert pairs.words.startswith("not shown: the control failed too (a blind one finds nothing of pixel-same, ")


def test_what_is_broken_needs_no_control(parts: Parts, tmp_path: Path) -> None:
    rows = run(subject("pixel-same"), parts, tmp_path, ["affine", "inverse"])
    assert not [row for row in rows if row["kind"] == "control"]


def test_rows_of_an_older_version_get_their_controls(parts: Parts, tmp_path: Path) -> None:
    """Rows stand; and as they do not say whether a training had gone flat, they are lower bounds."""
    attacks = ["affine", "inverse"]
    one = Subject("noise", noise)
    rows = run(one, parts, tmp_path, attacks)
    file = tmp_path / "rows.jsonl"
    kept = [line for line in file.read_text().splitlines() if '"kind": "control"' not in line]
    kept = [
        line.replace('"flat": false, ', "").replace('"flat": null, ', "").replace('"count": 24, ', "") for line in kept
    ]
    file.write_text("\n".join(kept) + "\n")
    again = run(one, parts, tmp_path, attacks)
    assert file.read_text().splitlines()[: len(kept)] == kept
    assert [row["attack"] for row in again if row["kind"] == "control"] == attacks
    made = {row["attack"]: dict(row) for row in again if row["kind"] == "control"}
    for row in (dict(row) for row in rows if row["kind"] == "control"):
        assert {key: value for key, value in row.items() if key not in ("run", "seconds")}.items() <= made[
            row["attack"]
        ].items()


def test_with_other_settings_it_is_no_control(parts: Parts, tmp_path: Path) -> None:
    rows = run(Subject("noise", noise), parts, tmp_path, ["inverse"])
    changed = [row | {"settings": row["settings"] | {"epochs": 9}} if row["kind"] == "control" else row for row in rows]
    assert verdicts(changed)[3].words == "not shown: no control"
    assert controls.lacking(changed)
    assert not controls.lacking(rows)


LEAK = {"nothing": 0.0, "leaks": 0.3, "broken": 0.8}
SEVERITY = {"untried": 0, "unshown": 0, "lower": 0, "nothing": 0, "leaks": 1, "broken": 2, "exact": 3}
ONE_OF = {0: "feature-reconstruction", 1: "ga", 2: "chosen-plaintext", 3: "affine"}
FLOORS: list[Row] = [
    {
        "kind": "floor",
        "floor": name,
        "count": 24,
        "ssim": value,
        "visible": value,
        "accuracy": None,
        "exact": float(value == 1),
    }
    for name, value in (("plain", 1.0), ("protected", 0.0), ("mean", 0.0), ("unrelated", 0.0))
]


@pytest.mark.parametrize("first", LEAK)
@pytest.mark.parametrize("second", LEAK)
@pytest.mark.parametrize("third", [*LEAK, None])
@pytest.mark.parametrize("control", [0.9, 0.0, None])
def test_a_later_line_of_the_page_never_says_less(
    first: str, second: str, third: str | None, control: float | None
) -> None:
    """Also where the attacks of a stronger attacker get less than those of a weaker one."""
    assert {knowledge.rank for knowledge in KNOWLEDGE.values()} == set(ONE_OF)
    reached = [(0, first), (1, second), (3, third)]
    rows = [*FLOORS]
    for rank, level in reached:
        if level is None:
            continue
        common = {"attack": ONE_OF[rank], "pairs": None, "accuracy": None, "exact": 0.0, "flat": True}
        rows.append({"kind": "attack", **common, "ssim": LEAK[level], "visible": 0.0})
        if control is not None:
            rows.append({"kind": "control", **common, "protection": "pixel-same", "ssim": control, "visible": 0.0})
    about = {"data": "made x", "side": 32, "settings": {"own": 1, "judged": 1}, "protection": "x"}
    page = pages.page(rows, about, "")
    table = page.sections[0].tables[0]
    assert [line[0] for line in table.rows] == list(ATTACKERS)
    levels = [SEVERITY[one.level] for one in verdicts(rows)]
    assert levels == sorted(levels)
    for verdict, line in zip(verdicts(rows), table.rows, strict=True):
        assert line[1] == verdict.words
        assert ("nothing found" in line[1]) == (verdict.level == "nothing")
        if verdict.level == "nothing":
            assert "the same attack breaks pixel-same" in line[1]


def test_rates_have_their_n_and_interval(tmp_path: Path) -> None:
    shared = {"ssim": 0.1, "visible": 0.0, "exact": 0.0, "count": 24}
    rows = [row | {"accuracy": 1.0 if row["floor"] == "plain" else 0.0} for row in FLOORS]
    rows.append({"kind": "attack", "attack": "affine", "pairs": None, "accuracy": 0.75, **shared, "flat": None})
    last = verdicts(rows, "cpu")[3]
    assert "75 % (18 of 24 images) named rightly, 95 %: 55.1 to 88.0 %," in last.text
    assert last.over == "1 attack, 24 images, cpu scale"
    table = pages.attack_table(rows)
    assert table.rows[-1][-2] == "75.0 (95 %: 55.1 to 88.0 %)"
