"""Who has which faces in an audit, and who is judged: nobody whom the client was trained with."""

from pathlib import Path
from typing import Any

import obfuscators
import pytest
import torch
from face_folders import content, made_folder, people

from veil.audits import protocol
from veil.audits.protocol import AuditFaces, UnknownTrainingFaces, faces_for, parts_for
from veil.data import faces, synthetic_faces
from veil.data.faces import FaceParts, Faces, Split
from veil.protections.features.file import Client
from veil.protections.features.trainer import drawn_faces

ATTRIBUTES: dict[str, Any] = {"size": (32, 32), "target": ("Smiling", "High_Cheekbones"), "hides": ("Male",)}


def card(parts: FaceParts) -> dict[str, Any]:
    """What `veil.protections.features.trainer` writes of them."""
    return {"data": parts.name, "fingerprint": parts.fingerprint, "split": parts.split, "split_seed": parts.seed}


def client(training: dict[str, Any]) -> Client:
    return obfuscators.tiny(**ATTRIBUTES, training=training)[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces of fifty people, in no partition."""
    return made_folder(tmp_path_factory.mktemp("data") / "faces")


@pytest.mark.parametrize(("split", "seed"), [("paper", 0), ("paper", 3), ("official", 3)])
def test_nobody_is_judged_whom_the_client_was_trained_with(split: Split, seed: int, data: Path) -> None:
    """Read as of itself, the training's and the judged faces would share people."""
    trained = faces.read(data, 32, split=split, seed=seed)
    as_of_itself = faces.read(data, 32)
    assert people(trained.train) & people(as_of_itself.test)
    audited = faces_for(client(card(trained)), str(data))
    assert audited.known
    assert audited.service is not None
    whole = [people(part) for part in (audited.service, audited.validation, audited.own, audited.judged)]
    assert sum(map(len, whole)) == len(set.union(*whole)) == 50
    assert whole[0] == people(trained.train)
    assert whole[2] | whole[3] == people(trained.test)
    assert len(audited.own) + len(audited.judged) == len(trained.test)
    assert abs(len(audited.own) - len(audited.judged)) <= 12
    assert len(audited.most) == len(trained.train) + len(audited.own)
    other = faces_for(client(card(trained)), data, seed=1)
    assert people(other.judged) != people(audited.judged)
    again = faces_for(client(card(trained)), data)
    assert again.judged.images.equal(audited.judged.images)


def test_faces_in_memory_are_recognised_as_those_of_a_folder(data: Path) -> None:
    trained = faces.read(data, 32, split="paper", seed=3)
    audited = faces_for(client(card(trained)), trained)
    assert audited.service is not None
    assert people(audited.service) == people(trained.train)
    with pytest.raises(ValueError, match="this is a set called faces, as the one that tiny was trained with, but not"):
        faces_for(client(card(trained)), faces.read(data, 32))  # the same faces in another split
    with pytest.raises(ValueError, match=r"tiny takes faces of \(32, 32\), not \(28, 28\)"):
        faces_for(client(card(trained)), faces.read(data, 28))


def test_the_halves_are_of_images_where_nobody_is_known(tmp_path: Path) -> None:
    data = made_folder(tmp_path / "faces", 100, identities=False)
    trained = faces.read(data, 32, split="paper", seed=1)
    audited = faces_for(client(card(trained)), str(data))
    assert audited.known
    assert (len(audited.own), len(audited.judged)) == (10, 10)
    assert not content(audited.own.images) & content(audited.judged.images)
    assert not content(trained.train.images) & content(audited.judged.images)


def test_the_same_faces_are_known_under_another_name(data: Path, tmp_path: Path) -> None:
    (tmp_path / "renamed").symlink_to(data)
    trained = faces.read(data, 32, split="paper")
    parts, known = parts_for(client(card(trained)), tmp_path / "renamed")
    assert known
    assert people(parts.train) == people(trained.train)


def test_other_faces_of_that_name_are_refused(data: Path, tmp_path: Path) -> None:
    fewer = made_folder(tmp_path / "faces", 200)
    subject = client(card(faces.read(data, 32, split="paper")))
    with pytest.raises(ValueError, match="called faces, as the one that tiny was trained with, but not the sa"):
        faces_for(subject, str(fewer))


def test_other_faces_are_read_as_anybody_reads_them(data: Path, tmp_path: Path) -> None:
    other = made_folder(tmp_path / "others", 100, seed=5)
    audited = faces_for(client(card(faces.read(data, 32, split="paper", seed=3))), other)
    read = faces.read(other, 32)
    assert not audited.known
    assert audited.name == f"others {read.fingerprint}"
    assert people(audited.own) == people(read.train)
    assert people(audited.judged) == people(read.test)


def test_a_client_that_does_not_say_what_it_was_trained_with_is_warned_of(data: Path) -> None:
    with pytest.warns(UnknownTrainingFaces, match="tiny does not say which faces it was trained with") as caught:
        audited = faces_for(client({"data": "my own"}), data)
    assert caught[0].filename == __file__
    assert not audited.known
    lines: list[str] = []
    faces_for(client({"data": "my own"}), data, warn=lines.append)
    assert len(lines) == 1


def test_drawn_faces_are_those_of_the_training() -> None:
    drawn = drawn_faces(32, 2)
    parts, known = parts_for(client(card(drawn)), None)
    assert known
    assert parts.fingerprint == drawn.fingerprint
    assert not parts_for(client(card(drawn) | {"split_seed": 0}), None)[1]  # of another seed: others were drawn


def part(identities: list[int] | None, seed: int = 0) -> Faces:
    drawn = synthetic_faces.faces(10, seed, 24).train
    known = None if identities is None else torch.tensor(identities)
    count = 4 if identities is None else len(identities)
    return Faces(drawn.images[:count], drawn.attributes[:count], drawn.names, known)


@pytest.mark.parametrize("where", ["own", "validation", "service"])
def test_nobody_is_judged_who_is_in_another_part(where: str) -> None:
    """Whoever puts the parts together, and however."""
    apart = {"own": part([1, 2]), "validation": part([3, 4]), "judged": part([5, 6]), "service": part([7, 8])}
    assert AuditFaces(name="apart", **apart).known
    with pytest.raises(ValueError, match="1 of the people who would be judged are among"):
        AuditFaces(name="mixed", **apart | {where: part([9, 6])})
    AuditFaces(name="nobody is known", **dict.fromkeys(apart, part(None)))


def test_what_cannot_be_told_is_refused() -> None:
    drawn = synthetic_faces.faces(400, side=24)
    audited = protocol.shared(drawn, 0.5)
    audited.require_both_values(["Smiling"], ["Male"])
    with pytest.raises(ValueError, match="no attribute 'Bald'"):
        audited.require_both_values(["Bald"], ["Male"])
    women = drawn.test.take(~drawn.test.labels(["Male"])[:, 0])
    some = AuditFaces(name="women", own=drawn.train, validation=drawn.validation, judged=women)
    with pytest.raises(ValueError, match=r"Male is false of all \d+ faces that are judged: nothing can be said of it"):
        some.require_both_values(["Smiling"], ["Male"])


def test_service_and_attackers_share_nobody() -> None:
    drawn = synthetic_faces.faces(120, side=24)
    audited = protocol.shared(drawn, 1 / 3)
    assert audited.service is not None
    assert not people(audited.service) & people(audited.own)
    assert people(audited.service) | people(audited.own) == people(drawn.train)
    assert audited.judged is drawn.test


def test_mirrored_faces_follow_the_others() -> None:
    some = part([1, 2])
    both = protocol.mirrored(some)
    assert both.images[2:].equal(some.images.flip(3))
    assert both.identities is not None
    assert both.identities.tolist() == [1, 2, 1, 2]
    with pytest.raises(ValueError, match="cannot be joined"):
        protocol.joined(some, part(None))
