"""The recipes of Li et al. 2019 at smoke scale: measured whole, resumed, shown."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from veil import training
from veil.audits.features.audit import measure
from veil.audits.features.readings import floor_of, least, strongest
from veil.audits.features.running import RunningAudit
from veil.audits.features.settings import FeatureAuditSettings, named
from veil.jobs.rows import RowFile
from veil.recipes import papers
from veil.recipes.li2019 import audits, figure7, tradeoff, variants
from veil.recipes.li2019.variants import GENDER, SETTINGS, VARIANTS, Setting, Task, audit_faces, load
from veil.recipes.recipe import Conditions, Evidence
from veil.training.run import Run

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


def test_what_is_defended_tells_a_retrained_attacker_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "SMOKE_FACES", 900)
    given, learning = conditions(tmp_path), {"width": 8, "reader": 16, "head": "pool", "batch_size": 32}
    setting = Setting(
        data=None, side=32, common={**learning, "learning_rate": 2e-3, "pretraining": 6, "epochs": 6},
        presets={"veil": {"values": 4, "levels": 2}}, plain={"pretraining": 12, "epochs": 0, "falling": True},
    )  # fmt: skip
    attacks = FeatureAuditSettings(
        seeds=1, shares=(), attackers=named("linear", "resnet"), judged=50,
        changes={name: {"width": 1 / 8, "epochs": 6} for name in ("linear", "resnet")},
    )  # fmt: skip
    parts, runner, read, leaks = load(given, setting), training.fabric("cpu", "auto"), {}, {}
    for name in ("undefended", "veil"):
        run = Run(folder=tmp_path / name / "training", seed=0, runner=runner, logged=lambda row: None)
        task = Task(variant=name, target=audits.TARGET, private=audits.PRIVATE)
        trained = variants.train(task, setting, parts, run)
        with RowFile(tmp_path / name / "rows.jsonl", {}) as file:
            rows = measure(RunningAudit(
                subject=trained.subject, faces=audit_faces(parts), rows=file, settings=attacks,
                run=run.at("attackers"), shown_instead=parts.test.images[:0],
            ))  # fmt: skip
        read[name] = audits.service(rows)["balanced_accuracy"]
        leaks[name] = strongest(rows, GENDER)["balanced_accuracy"]
        floor = least(floor_of(rows, GENDER))
    assert min(read.values()) > 0.9
    assert leaks["undefended"] > floor + 0.2
    assert leaks["veil"] < (leaks["undefended"] + floor) / 2


def test_rows_of_a_network_that_was_lost_do_not_count(tmp_path: Path) -> None:
    def trained(network: str) -> Any:
        subject = SimpleNamespace(described=network)
        return SimpleNamespace(subject=subject, logs={"pretraining": [{"epoch": 0, "classifier": len(network)}]})

    here, elsewhere = {"variant": "paper", "seed": 0}, {"variant": "veil", "seed": 0}
    with RowFile(tmp_path / "rows.jsonl", {}) as rows:
        for mark in (here, elsewhere):
            variants.keep(rows, mark, trained("first"))
            rows.add({**mark, "kind": "service"})
        before = list(rows.rows)
        variants.keep(rows, here, trained("first"))
        assert rows.rows == before
        variants.keep(rows, here, trained("another"))
        assert [row["kind"] for row in rows.find(**here)] == ["network", "training"]
        assert rows.find(**here, kind="training")[0]["classifier"] == len("another")
        assert rows.find(**elsewhere) == [row for row in before if row["variant"] == "veil"]


def test_service_and_attackers_share_nobody(tmp_path: Path) -> None:
    faces = audit_faces(load(conditions(tmp_path), SETTINGS["smoke"]))
    assert faces.service is not None
    assert faces.service.identities is not None
    assert faces.own.identities is not None
    assert not set(faces.service.identities.tolist()) & set(faces.own.identities.tolist())


def test_faces_that_are_not_there_are_named(tmp_path: Path) -> None:
    given = Conditions(paper=PAPER.name, scale="cpu", results=tmp_path, data=(tmp_path,), work=tmp_path)
    with pytest.raises(FileNotFoundError, match="celeba"):
        papers.reproduce(PAPER, [audits.ITEM], given)
