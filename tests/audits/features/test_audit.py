"""The audit of features: it finds what leaks, says nothing of what does not, and goes on where it was stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from veil import training
from veil.attacks.features.attributes import ATTRIBUTE_ATTACKERS
from veil.attacks.features.reconstructors import RECONSTRUCTORS
from veil.audits.features import audit, page, pictures, scene
from veil.audits.features.scene import ALL, IN_LOOP, INVERSION, FeatureAuditSettings, FeatureSubject, Material
from veil.audits.features.verdicts import floor_of, guess, in_loop, least, lift, of_attribute, strongest, verdicts
from veil.data import faces, synthetic_faces
from veil.data.faces import FaceParts
from veil.jobs.rows import Row, RowFile
from veil.metrics import recovery
from veil.report import page as report

SMOKE = scene.SCALES["smoke"]
TARGET, HIDES = ("Smiling",), ("Male",)


@pytest.fixture(scope="module")
def parts() -> FaceParts:
    return synthetic_faces.faces(600, side=24)


@pytest.fixture(scope="module")
def material(parts: FaceParts) -> Material:
    service, own = faces.for_attackers(parts.train, 0.5, 0)
    return Material(name="made", own=own, validation=parts.validation, judged=parts.test, service=service)


def tells(parts: FaceParts, *names: str) -> Any:
    """A sender of the named attributes and nothing else, which it knows by heart, of mirrored images, too."""
    known = {
        each.contiguous().numpy().tobytes(): labels
        for part in (parts.train, parts.validation, parts.test)
        for image, labels in zip(part.images, part.labels(names), strict=True)
        for each in (image, image.flip(2))
    }

    def send(images: Tensor) -> Tensor:
        return torch.stack([known[image.contiguous().numpy().tobytes()] for image in images]).float()[:, :, None, None]

    return send


def subject(send: Any, **other: Any) -> FeatureSubject:
    return FeatureSubject(name="made up", send=send, target=TARGET, hides=HIDES, **other)


def run(
    one: FeatureSubject, material: Material, folder: Path, settings: FeatureAuditSettings = SMOKE, **other: Any
) -> list[Row]:
    with RowFile(folder / "rows.jsonl", scene.about(one, material, settings, 0)) as rows:
        return audit.audit(
            one, material, rows, settings, folder=folder / "attackers", seed=0, runner=training.fabric("cpu", "auto"),
            logged=lambda row: None, **other,
        )  # fmt: skip


def test_the_strongest_is_chosen_by_the_metric_that_is_asked_for() -> None:
    same = {"kind": "attribute", "attribute": "Male", "share": "all"}
    sharp = {**same, "attack": "linear", "balanced_accuracy": 0.7, "auroc": 0.75}
    ordered = {**same, "attack": "vgg", "balanced_accuracy": 0.6, "auroc": 0.8}
    assert strongest([sharp, ordered], "Male") is sharp
    assert strongest([sharp, ordered], "Male", "auroc") is ordered


def test_what_is_sent_is_found(parts: FaceParts, material: Material, tmp_path: Path) -> None:
    rows = run(subject(tells(parts, "Smiling", "Male")), material, tmp_path)
    assert strongest(rows, "Male")["balanced_accuracy"] == 1
    assert lift(strongest(rows, "Male")["balanced_accuracy"], least(floor_of(rows, "Male"))) == 1
    attribute, image, person = verdicts(rows, HIDES)
    assert (attribute.about, attribute.level) == ("Male", "broken")
    assert (image.about, person.about) == ("the image", "the person")
    assert "to learn from, is right in 100.0 %" in attribute.text
    shown = page.page(rows, scene.about(subject(tells(parts, "Male")), material, SMOKE, 0), "here")
    text = report.write_html(shown, tmp_path / "page").read_text()
    assert "no attack" not in text
    assert (tmp_path / "page/figures/reconstructions.png").is_file()


def test_what_the_service_is_told_is_the_floor(parts: FaceParts, material: Material, tmp_path: Path) -> None:
    settings = FeatureAuditSettings(
        seeds=1, shares=(), attackers=("linear", "mlp", "neighbours"), reconstructors=(), inverted=0, scale="smoke"
    )
    rows = run(subject(tells(parts, "Smiling")), material, tmp_path, settings)
    area = floor_of(rows, "Male")["auroc"]
    for row in of_attribute(rows, "Male"):  # one bit leaves nothing to choose but which way round it is read
        assert min(abs(row["auroc"] - each) for each in (area, 1 - area, 0.5)) < 1e-6
    assert verdicts(rows, HIDES)[0].level == "nothing"


def test_noise_says_nothing(material: Material, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = run(subject(lambda images: torch.randn(len(images), 4, 1, 1, generator=generator)), material, tmp_path)
    levels = {each.about: each.level for each in verdicts(rows, HIDES)}
    assert levels == {"Male": "nothing", "the image": "nothing", "the person": "nothing"}
    assert strongest(rows, "Male")["auroc_interval"][0] < 0.5


def test_images_themselves_come_back(material: Material, tmp_path: Path) -> None:
    """A made-up sender of a few lines, of maps, with everything that an audit can take."""

    def send(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float() / 255, 4)

    one = subject(
        send, described="pooled", answer=lambda sent: sent.mean((1, 2, 3))[:, None] - 0.5,
        features=lambda images: torch.nn.functional.avg_pool2d(images, 4),
        adversaries=[lambda sent: sent.mean((1, 2, 3))[:, None]],
        reconstructor=lambda sent: torch.nn.functional.interpolate(sent, scale_factor=4),
    )  # fmt: skip

    def embed(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float() / 255, 6).flatten(1) - 0.5

    rows = run(one, material, tmp_path, embed=embed)
    drawn = {row["attack"]: row for row in rows if row["kind"] == "reconstruction"}
    assert set(drawn) == {IN_LOOP, INVERSION, *SMOKE.reconstructors}
    (sent,) = (row for row in rows if row["kind"] == "sent")
    assert (sent["shape"], sent["different"]) == ([3, 6, 6], len(material.judged))
    assert drawn[IN_LOOP]["ssim"] > guess(rows, "ssim")
    assert drawn[IN_LOOP]["one_of_4"]["rate"] > 0.9
    assert in_loop(rows, "Male") is not None
    told = {each.about: each for each in verdicts(rows, HIDES)}
    assert "adversary is right in" in told["Male"].text
    assert {row["kind"] for row in rows} == {
        "service", "sent", "floor", "attribute", "picture-floor", "reconstruction", "shown", "identity",
    }  # fmt: skip


def test_a_stopped_audit_goes_on(parts: FaceParts, material: Material, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(line: str) -> None:
        if "mirror" in line:
            raise Stopped

    one = subject(tells(parts, "Male"))
    with pytest.raises(Stopped):
        run(one, material, tmp_path / "cut", say=stop)
    said: list[str] = []
    resumed = run(one, material, tmp_path / "cut", say=said.append)
    assert said == [f"{RECONSTRUCTORS['mirror'].title}, seed 0", "matcher of people"]
    whole = run(one, material, tmp_path / "whole")

    def told(rows: list[Row]) -> list[Row]:
        kept = [{key: value for key, value in row.items() if key not in ("run", "seconds")} for row in rows]
        return json.loads(json.dumps(kept))  # tuples are lists in a file

    assert told(resumed) == told(whole)
    assert told(run(one, material, tmp_path / "cut")) == told(whole)


@pytest.mark.parametrize("after", [1, 3, 4, 7, 9])
def test_an_audit_that_was_stopped_between_any_two_rows_goes_on(
    parts: FaceParts, material: Material, tmp_path: Path, after: int
) -> None:
    """With two attributes of each kind, so that a stop may lie between those of one attack."""

    class Stopped(Exception):
        pass

    def stop(row: Row) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Stopped

    one = FeatureSubject(
        name="made up", send=tells(parts, "Male"), target=("Smiling", "High_Cheekbones"),
        hides=("Male", "Heavy_Makeup"), answer=lambda sent: sent.flatten(1).expand(-1, 2),
        adversaries=[lambda sent: sent.flatten(1).expand(-1, 2)],
    )  # fmt: skip
    settings = FeatureAuditSettings(
        seeds=1, shares=(), attackers=("linear",), reconstructors=(), inverted=0, scale="smoke"
    )
    left, about = after, scene.about(one, material, settings, 0)
    with RowFile(tmp_path / "rows.jsonl", about, added=stop) as rows, pytest.raises(Stopped):
        audit.audit(
            one, material, rows, settings, folder=tmp_path / "attackers", seed=0,
            runner=training.fabric("cpu", "auto"), logged=lambda row: None,
        )  # fmt: skip
    resumed = run(one, material, tmp_path, settings)
    told = [(row["kind"], row.get("attack"), row.get("attribute"), row.get("floor")) for row in resumed]
    assert len(told) == len(set(told)) == 2 + 1 + 2 + 2 + 2 + 4 + 2 + 2  # shown: the photos and the mean face


def test_attackers_have_what_they_are_said_to_have(parts: FaceParts, material: Material, tmp_path: Path) -> None:
    settings = FeatureAuditSettings(
        seeds=2, shares=(0.1, 1.0), attackers=("linear",), reconstructors=(), inverted=0, scale="smoke"
    )
    rows = run(subject(tells(parts, "Male")), material, tmp_path, settings)
    found = [(row["share"], row["attack_seed"], row["faces"]) for row in rows if row["kind"] == "attribute"]
    own = len(material.own)
    every = own + len(parts.train) - own
    assert found == [(0.1, 0, round(0.1 * own)), (1.0, 0, own), (ALL, 0, every), (ALL, 1, every)]


def test_features_that_do_not_fit_into_memory_say_the_same(
    parts: FaceParts, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FeatureAuditSettings(
        seeds=1, shares=(), attackers=("linear",), reconstructors=("mirror",), inverted=0, scale="smoke"
    )
    expected = run(subject(tells(parts, "Male")), material, tmp_path / "memory", settings)
    monkeypatch.setattr(scene, "_IN_MEMORY", 0)
    found = run(subject(tells(parts, "Male")), material, tmp_path / "disk", settings)
    assert (tmp_path / "disk/attackers/sent-most").stat().st_size == 4 * 2 * len(material.most)  # floats, mirrored

    def told(rows: list[Row]) -> list[Row]:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    assert told(found) == told(expected)


def test_the_strongest_reconstructor_draws_again(material: Material, tmp_path: Path) -> None:
    def send(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float() / 255, 4)

    one, runner = subject(send), training.fabric("cpu", "auto")
    settings = FeatureAuditSettings(
        seeds=1, shares=(), attackers=("linear",), reconstructors=("mirror", "resrec"), inverted=0, judged=24,
        drawn=2, scale="smoke",
    )  # fmt: skip
    found = [row for row in run(one, material, tmp_path, settings) if row["kind"] == "reconstruction"]
    assert [(row["attack"], row["attack_seed"]) for row in found] == [
        ("mirror", 0), ("mirror", 1), ("resrec", 0), ("resrec", 1)
    ]  # fmt: skip
    values = [row["ms_ssim"] for row in found]
    assert len(set(values)) == 4
    with RowFile(tmp_path / "rows.jsonl", scene.about(one, material, settings, 0)) as rows:
        judged = audit.scene_of(
            one, material, rows, settings, folder=tmp_path / "attackers", seed=0, runner=runner,
            logged=lambda row: None,
        )  # fmt: skip
        drawn = pictures.drawn_again(judged, judged.pictures)
    assert recovery.recovery(judged.pictures, drawn).ms_ssim == pytest.approx(max(values), abs=1e-3)  # floats, halves


def test_a_page_says_who_is_found_again_without_a_recogniser_too(
    parts: FaceParts, material: Material, tmp_path: Path
) -> None:
    one = subject(tells(parts, "Male"))
    shown = page.page(run(one, material, tmp_path), scene.about(one, material, SMOKE, 0), "")
    table = next(each for section in shown.sections if section.item == "pictures" for each in section.tables)
    compared = [row for row in table.rows if row[0].startswith("no image")]
    assert len(compared) == 2
    assert "rank 1" in table.head
    assert all(row[table.head.index("rank 1")].endswith("%") for row in compared)
    assert not next(section for section in shown.sections if section.item == "service").tables  # nobody answered
    text = report.write_html(shown, tmp_path / "page").read_text()
    assert "an audit" in text
    assert "a paper, measured again" not in text
    assert 'class="said"' in text  # verdicts are sentences


def test_none_are_shown_where_none_are_to_be(parts: FaceParts, material: Material, tmp_path: Path) -> None:
    rows = run(subject(tells(parts, "Male")), material, tmp_path, shown=parts.test.images[:0])
    assert not [row for row in rows if row["kind"] == "shown"]
    assert page.drawn("reconstructions", rows) is None


def test_vectors_alone_are_no_business_of_maps(parts: FaceParts, material: Material, tmp_path: Path) -> None:
    settings = FeatureAuditSettings(
        seeds=1, shares=(), attackers=("linear", "kernel"), reconstructors=(), inverted=0, scale="smoke"
    )
    rows = run(subject(lambda images: images.float() / 255), material, tmp_path, settings)
    failed = [row for row in rows if "failed" in row]
    assert [row["attack"] for row in failed] == ["kernel"]
    assert ATTRIBUTE_ATTACKERS["kernel"].title in failed[0]["failed"]


def test_what_is_no_features_is_refused(material: Material, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs floats"):
        run(subject(lambda images: images), material, tmp_path)
