"""The audit of features: it finds what leaks, says nothing of what does not, and goes on where it was stopped."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from feature_audits import HIDES, asked, rows_file, running_audit, subject, tells
from torch import Tensor

from veil.attacks.features import FEATURE_ATTACKERS, Reconstructor
from veil.audits import protocol
from veil.audits.features import page, picture_rows, running
from veil.audits.features.api import about
from veil.audits.features.audit import measure
from veil.audits.features.readings import (
    floor_of,
    guess,
    in_loop,
    least,
    lift,
    of_attribute,
    strongest,
)
from veil.audits.features.settings import ALL, SCALES, FeatureAuditSettings
from veil.audits.features.subject import FeatureSubject
from veil.audits.features.verdicts import verdicts
from veil.audits.protocol import AuditFaces
from veil.data import synthetic_faces
from veil.data.faces import FaceParts
from veil.jobs.rows import Row
from veil.metrics import recovery
from veil.report import page as report

SMOKE = SCALES["smoke"]
IN_LOOP, INVERSION = "in-loop", "inversion"


@pytest.fixture(scope="module")
def parts() -> FaceParts:
    return synthetic_faces.faces(600, side=24)


@pytest.fixture(scope="module")
def faces(parts: FaceParts) -> AuditFaces:
    return protocol.shared(parts, 0.5)


def run(
    one: FeatureSubject, faces: AuditFaces, folder: Path, settings: FeatureAuditSettings = SMOKE, **other: Any
) -> list[Row]:
    with rows_file(one, faces, folder, settings) as rows:
        return measure(running_audit(one, faces, folder, rows, settings, **other))


def plain(rows: list[Row]) -> list[Row]:
    """Rows as a file has them, without times."""
    kept = [{key: value for key, value in row.items() if key not in ("run", "seconds")} for row in rows]
    return json.loads(json.dumps(kept))  # type: ignore[no-any-return]


def test_the_strongest_is_chosen_by_the_metric_that_is_asked_for() -> None:
    same = {"kind": "attribute", "attribute": "Male", "share": "all"}
    sharp = {**same, "attack": "linear", "balanced_accuracy": 0.7, "auroc": 0.75}
    ordered = {**same, "attack": "vgg", "balanced_accuracy": 0.6, "auroc": 0.8}
    assert strongest([sharp, ordered], "Male") is sharp
    assert strongest([sharp, ordered], "Male", "auroc") is ordered


def test_what_is_sent_is_found(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    rows = run(subject(tells(parts, "Smiling", "Male")), faces, tmp_path)
    assert strongest(rows, "Male")["balanced_accuracy"] == 1
    assert lift(strongest(rows, "Male")["balanced_accuracy"], least(floor_of(rows, "Male"))) == 1
    attribute, image, person = verdicts(rows, HIDES)
    assert (attribute.about, attribute.level) == ("Male", "broken")
    assert (image.about, person.about) == ("the image", "the person")
    assert "to learn from, is right in 100.0 %" in attribute.text
    shown = page.page(rows, about(subject(tells(parts, "Male")), faces, SMOKE, 0), "here")
    text = report.write_html(shown, tmp_path / "page").read_text()
    assert "smoke scale: shows that everything runs; no verdict" in text
    assert (tmp_path / "page/figures/reconstructions.png").is_file()


def test_what_the_service_is_told_is_the_floor(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    rows = run(subject(tells(parts, "Smiling")), faces, tmp_path, asked("linear", "mlp", "neighbours"))
    area = floor_of(rows, "Male")["auroc"]
    for row in of_attribute(rows, "Male"):  # one bit leaves nothing to choose but which way round it is read
        assert min(abs(row["auroc"] - guessed) for guessed in (area, 1 - area, 0.5)) < 1e-6
    assert verdicts(rows, HIDES)[0].words == "not shown: no control"


def test_noise_says_nothing(faces: AuditFaces, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = run(subject(lambda images: torch.randn(len(images), 4, 1, 1, generator=generator)), faces, tmp_path)
    levels = {one.about: one.level for one in verdicts(rows, HIDES)}
    assert levels == {"Male": "unshown", "the image": "unshown", "the person": "unshown"}
    assert strongest(rows, "Male")["auroc_interval"][0] < 0.5


def test_images_themselves_come_back(faces: AuditFaces, tmp_path: Path) -> None:
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

    rows = run(one, faces, tmp_path, embed=embed)
    drawn = {row["attack"]: row for row in rows if row["kind"] == "reconstruction"}
    assert set(drawn) == {IN_LOOP, INVERSION, *(row.name for row in SMOKE.of(Reconstructor))}
    (sent,) = (row for row in rows if row["kind"] == "sent")
    assert (sent["shape"], sent["different"]) == ([3, 6, 6], len(faces.judged))
    assert drawn[IN_LOOP]["ssim"] > guess(rows, "ssim")
    assert drawn[IN_LOOP]["one_of_4"]["rate"] > 0.9
    assert in_loop(rows, "Male") is not None
    texts = {one.about: one.text for one in verdicts(rows, HIDES)}
    assert "adversary is right in" in texts["Male"]
    assert {row["kind"] for row in rows} == {
        "service", "sent", "floor", "answer-floor", "attacker", "attribute", "picture-floor", "reconstruction",
        "shown", "identity",
    }  # fmt: skip


def test_a_stopped_audit_goes_on(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(line: str) -> None:
        if "mirror" in line:
            raise Stopped

    one = subject(tells(parts, "Male"))
    with pytest.raises(Stopped):
        run(one, faces, tmp_path / "cut", say=stop)
    lines: list[str] = []
    resumed = run(one, faces, tmp_path / "cut", say=lines.append)
    assert lines == ["mirror (the paper's AR), seed 0", "features as they are", "matcher of people"]
    whole = run(one, faces, tmp_path / "whole")
    assert plain(resumed) == plain(whole)
    assert plain(run(one, faces, tmp_path / "cut")) == plain(whole)


@pytest.mark.parametrize("after", [1, 3, 4, 7, 9])
def test_an_audit_that_was_stopped_between_any_two_rows_goes_on(
    parts: FaceParts, faces: AuditFaces, tmp_path: Path, after: int
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
    settings, left = asked("linear", "cosine", "matcher"), after
    with rows_file(one, faces, tmp_path, settings, stop) as rows, pytest.raises(Stopped):
        measure(running_audit(one, faces, tmp_path, rows, settings))
    resumed = run(one, faces, tmp_path, settings)
    measured = [(row["kind"], row.get("attack"), row.get("attribute"), row.get("floor")) for row in resumed]
    assert (
        len(measured) == len(set(measured)) == 2 + 1 + 2 + 2 + 2 + 2 + 4 + 2 + 2 + 3
    )  # shown: the photos and the mean face


def test_attackers_have_what_they_are_said_to_have(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    rows = run(subject(tells(parts, "Male")), faces, tmp_path, asked("linear", seeds=2, shares=(0.1, 1.0)))
    had = [(row["share"], row["attack_seed"], row["faces"]) for row in rows if row["kind"] == "attribute"]
    own = len(faces.own)
    every = own + len(parts.train) - own
    assert had == [(0.1, 0, round(0.1 * own)), (1.0, 0, own), (ALL, 0, every), (ALL, 1, every)]


def test_features_that_do_not_fit_into_memory_say_the_same(
    parts: FaceParts, faces: AuditFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = asked("linear", "mirror")
    expected = run(subject(tells(parts, "Male")), faces, tmp_path / "memory", settings)
    monkeypatch.setattr(running, "_IN_MEMORY", 0)
    rows = run(subject(tells(parts, "Male")), faces, tmp_path / "disk", settings)
    assert (tmp_path / "disk/attackers/sent-most").stat().st_size == 4 * 2 * len(faces.most)  # floats, mirrored
    assert plain(rows) == plain(expected)


def test_the_strongest_reconstructor_draws_again(faces: AuditFaces, tmp_path: Path) -> None:
    def send(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float() / 255, 4)

    one, settings = subject(send), asked("linear", "mirror", "resrec", drawn=2, judged=24)
    drawn = [row for row in run(one, faces, tmp_path, settings) if row["kind"] == "reconstruction"]
    assert [(row["attack"], row["attack_seed"]) for row in drawn] == [
        ("mirror", 0), ("mirror", 1), ("resrec", 0), ("resrec", 1)
    ]  # fmt: skip
    values = [row["ms_ssim"] for row in drawn]
    assert len(set(values)) == 4
    with rows_file(one, faces, tmp_path, settings) as rows:
        again = running_audit(one, faces, tmp_path, rows, settings)
        judged = again.pictures
        images = picture_rows.drawn_again(again, judged)
    assert recovery.recovery(judged, images).ms_ssim == pytest.approx(max(values), abs=1e-3)  # floats, halves


def test_a_page_says_who_is_found_again_without_a_recogniser_too(
    parts: FaceParts, faces: AuditFaces, tmp_path: Path
) -> None:
    one = subject(tells(parts, "Male"))
    shown = page.page(run(one, faces, tmp_path), about(one, faces, SMOKE, 0), "")
    table = next(table for section in shown.sections if section.item == "pictures" for table in section.tables)
    compared = [row for row in table.rows if row[0].startswith("no image")]
    assert len(compared) == 2
    assert "rank 1" in table.head
    assert all("% of 120 (95 %: " in row[table.head.index("rank 1")] for row in compared)
    assert not next(section for section in shown.sections if section.item == "service").tables  # nobody answered
    text = report.write_html(shown, tmp_path / "page").read_text()
    assert "an audit" in text
    assert "a paper, measured again" not in text
    assert 'class="said"' in text  # verdicts are sentences


def test_none_are_shown_where_none_are_to_be(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    rows = run(subject(tells(parts, "Male")), faces, tmp_path, shown_instead=parts.test.images[:0])
    assert not [row for row in rows if row["kind"] == "shown"]
    assert page.drawn("reconstructions", rows) is None


def test_what_is_no_features_is_refused(faces: AuditFaces, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs floats"):
        run(subject(lambda images: images), faces, tmp_path)


def test_features_that_an_attacker_cannot_read_are_a_row_that_says_why(faces: AuditFaces, tmp_path: Path) -> None:
    def send(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float() / 255, 8)

    settings = asked("linear", "neighbours")
    rows = run(subject(send), faces, tmp_path, settings)
    (failed,) = (row for row in rows if "failed" in row)
    assert (failed["attack"], failed["failed"]) == ("neighbours", "nearest neighbours reads vectors, not maps of 3×3")
    assert {row["attack"] for row in of_attribute(rows, "Male")} == {"linear"}
    assert plain(run(subject(send), faces, tmp_path, settings)) == plain(rows)
    assert report.write_html(page.page(rows, about(subject(send), faces, settings, 0), ""), tmp_path / "page").is_file()


def test_who_is_not_installed_here_is_called_by_name(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    """Rows of an attacker whose package is gone still count, and are shown."""
    stranger = replace(FEATURE_ATTACKERS["linear"], name="gone", title="of a package")
    settings = replace(asked(), attackers=(stranger,))
    rows = run(subject(tells(parts, "Male")), faces, tmp_path, settings)
    assert "Gone, with" in verdicts(rows, HIDES)[0].text
    shown = page.page(rows, about(subject(tells(parts, "Male")), faces, settings, 0), "")
    table, _ = next(section for section in shown.sections if section.item == "attributes").tables
    assert [line[0] for line in table.rows][1].startswith("gone")
