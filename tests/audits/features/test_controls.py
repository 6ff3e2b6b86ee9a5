"""Positive controls and floors of an audit of features: what is worth something, and what is too weak to say it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from feature_audits import HIDES, asked, rows_file, running_audit, subject, tells
from torch import Tensor

from veil.audits import protocol
from veil.audits.features import controls, page
from veil.audits.features.api import about
from veil.audits.features.audit import measure
from veil.audits.features.controls import plain_features
from veil.audits.features.readings import answer_floor_of, attackers_at, floor_of, of_attribute
from veil.audits.features.settings import FeatureAuditSettings
from veil.audits.features.subject import FeatureSubject
from veil.audits.features.verdicts import distances, verdicts
from veil.audits.protocol import AuditFaces
from veil.data import synthetic_faces
from veil.data.faces import FaceParts
from veil.jobs.rows import Row
from veil.metrics.recovery import recovery


@pytest.fixture(scope="module")
def parts() -> FaceParts:
    return synthetic_faces.faces(600, side=24)


@pytest.fixture(scope="module")
def faces(parts: FaceParts) -> AuditFaces:
    return protocol.shared(parts, 0.5)


def noise(values: int = 4) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    return lambda images: torch.randn(len(images), values, 1, 1, generator=generator)


def run(
    one: FeatureSubject, faces: AuditFaces, folder: Path, settings: FeatureAuditSettings, said: list[str] | None = None
) -> list[Row]:
    say = (said if said is not None else []).append
    with rows_file(one, faces, folder, settings) as rows:
        audit = running_audit(one, faces, folder, rows, settings, say=say, shown_instead=faces.judged.images[:0])
        measure(audit)
        return controls.measure(audit)


def test_who_reports_nothing_is_given_plain_features(faces: AuditFaces, tmp_path: Path) -> None:
    one, settings = subject(noise()), asked("kernel", "cosine", "matcher")
    rows = run(one, faces, tmp_path, settings)
    made = {row["attack"]: row for row in rows if row["kind"] == "control"}
    assert set(made) == {"kernel", "cosine", "matcher"}
    gained = made["kernel"]["before_minus_after"]
    assert gained["interval"][0] > 0  # far more is read of plain features than of noise
    attribute, person = verdicts(rows, HIDES)
    assert attribute.words.startswith("nothing found (the same attack reads Male off plain features, ")
    assert attribute.words.endswith(": kernel regression)")
    assert person.level == "nothing"
    shown = page.page(rows, about(one, faces, settings, 0), "")
    (table,) = next(section for section in shown.sections if section.item == "controls").tables
    assert [line[0] for line in table.rows] == ["kernel regression", "features as they are", "matcher of people"]
    again: list[str] = []
    assert len(run(one, faces, tmp_path, settings, again)) == len(rows)
    assert again == []


def test_without_controls_nothing_is_shown(faces: AuditFaces, tmp_path: Path) -> None:
    one, settings = subject(noise()), asked("kernel")
    rows = [row for row in run(one, faces, tmp_path, settings) if row["kind"] != "control"]
    assert verdicts(rows, HIDES)[0].words == "not shown: no control"
    shown = page.page(rows, about(one, faces, settings, 0), "")
    section = next(section for section in shown.sections if section.item == "controls")
    assert section.text[0].startswith("No control:")


def test_what_is_read_needs_no_control(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    rows = run(subject(tells(parts, "Male")), faces, tmp_path, asked("kernel"))
    assert not [row for row in rows if row["kind"] == "control"]
    (verdict,) = verdicts(rows, HIDES, "cpu")
    assert (verdict.words, verdict.over) == ("broken", "1 trained attacker, 120 faces of 20 people, cpu scale")
    (smoke,) = verdicts(rows, HIDES, "smoke")
    assert smoke.words == "smoke scale: shows that everything runs; no verdict"


def test_answers_as_sent_are_a_floor_of_their_own(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    """A service whose wrong answers say more of the private attribute than right ones would."""
    one = subject(tells(parts, "Male", "Smiling"), answer=lambda sent: sent.flatten(1)[:, :1] - 0.5)
    rows = run(one, faces, tmp_path, asked("kernel"))
    true, answers = floor_of(rows, "Male"), answer_floor_of(rows, "Male")
    assert answers is not None
    assert answers["balanced_accuracy"] == 1
    assert true["balanced_accuracy"] < 0.8
    best = of_attribute(rows, "Male")[0]
    sent, right = distances(rows, "Male", best)
    assert (sent.floor, sent.difference, sent.paired) == ("answers", 0, True)
    assert right.difference > 0.2
    assert right.interval[0] > 0
    verdict = verdicts(rows, HIDES)[0]
    assert verdict.level in ("unshown", "nothing")  # nothing that the answer does not say
    assert "0.0 points above what the service’s answers give away as sent, 100.0 %" in verdict.text
    assert not verdict.alarm


def test_an_attacker_below_a_floor_raises_an_alarm(parts: FaceParts, faces: AuditFaces, tmp_path: Path) -> None:
    known = tells(parts, "Male")

    def send(images: Tensor) -> Tensor:  # what attackers get is noise; the service is told the truth
        return torch.cat([noise(3)(images), 1e-4 * known(images)], 1)

    one = subject(send, answer=lambda sent: sent[:, 3].flatten(1) - 5e-5)
    settings = asked("linear")
    rows = run(one, faces, tmp_path, settings)
    weak = [row | {"balanced_accuracy": 0.55, "balanced_accuracy_interval": [0.5, 0.6], "above": {}}
            if row["kind"] == "attribute" else row for row in rows]  # fmt: skip
    verdict = verdicts(weak, HIDES)[0]
    assert verdict.words == "not shown: the strongest attacker is below its floor"
    assert verdict.alarm.startswith(
        "below its floor: 45.0 points below what the service’s answers give away as sent, 100"
    )
    shown = page.page(weak, about(one, faces, settings, 0), "")
    verdict_table, attributes = (shown.sections[place].tables[0] for place in (0, -2))
    assert "Below its floor: 45.0 points" in verdict_table.rows[0][2]
    assert [line[0] for line in attributes.rows][:2] == [
        "floor: the true target attributes", "floor: the service’s answers, as sent"
    ]  # fmt: skip
    assert "below the floor: -45.0 (95 %: " in attributes.rows[2][4]


def test_who_has_more_faces_can_do_what_who_has_fewer_can() -> None:
    def row(faces: int, value: float) -> Row:
        return {
            "kind": "attribute", "attribute": "Male", "attack": "linear", "share": "all" if faces == 800 else 0.1,
            "attack_seed": 0, "faces": faces, "balanced_accuracy": value, "balanced_accuracy_interval": [value, value],
            "accuracy": value, "auroc": value, "majority": 0.5, "count": 10, "people": None,
        }  # fmt: skip

    floor = row(0, 0.5) | {"kind": "floor"}
    rows = [floor, row(80, 0.9), row(400, 0.7), row(800, 0.6)]
    table = page.faces_table(rows, "Male")
    assert [(line[0], line[2], line[3]) for line in table.rows] == [
        ("80", "1", "90.0 %"), ("400", "2", "90.0 %"), ("800", "3", "90.0 %")
    ]  # fmt: skip
    assert len(attackers_at(rows, "Male", 400)) == 2
    assert len(page.attribute_table(rows, "Male").rows) == 2


@pytest.mark.parametrize("shape", [(1, 1, 1), (40, 1, 1), (900, 1, 1), (2, 6, 6), (3, 6, 6), (64, 6, 6)])
def test_plain_features_have_the_shape_and_give_all_away_that_fits(faces: AuditFaces, shape: Any) -> None:
    one = plain_features(shape, faces.own, ("Smiling",), HIDES)
    sent = one.send(faces.judged.images[:8])
    assert sent.shape == (8, *shape)
    assert sent.isfinite().all()
    if shape[0] == 1:
        truths = faces.judged.labels(HIDES)[:, 0]
        values = one.send(faces.judged.images).flatten()
        assert values[truths].mean() > values[~truths].mean()
    if shape == (64, 6, 6):
        drawn = torch.nn.functional.pixel_shuffle(sent[:, :48], 4).mul(255).round().clamp(0, 255).byte()
        assert recovery(faces.judged.images[:8], drawn).ssim > 0.7
