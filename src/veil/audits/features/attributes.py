"""What services and attackers read off features, in an audit (Li et al. 2019, section 4.5): rows of attributes.

Threat model and rows: `veil.audits.features.scene`. The floor of a private attribute is what the true target attributes
say.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch
from torch import Generator, Tensor

from veil.attacks.errors import AttackFailed
from veil.attacks.features import attributes
from veil.attacks.features.attributes import ATTRIBUTE_ATTACKERS
from veil.audits.features.scene import ALL, IN_LOOP, PART, Scene
from veil.jobs.rows import Row
from veil.metrics import attributes as told
from veil.runtime.seeds import seed_of


def service(scene: Scene) -> None:
    """What the service's own classifier says."""
    if scene.subject.answer is None or scene.all_there(scene.subject.target, kind="service"):
        return
    _, answers = _scores(scene, scene.subject.answer)
    asked = scene.faces("judged")
    for place, name in enumerate(scene.subject.target):
        if not scene.there(kind="service", attribute=name):
            result = told.measure(answers[:, place], asked.labels([name])[:, 0], 0.0, people=asked.identities)
            scene.add(kind="service", attribute=name, **asdict(result))


def sent(scene: Scene) -> None:
    """How much is sent, and how many different features of the judged faces there are: the fewer, the less can leak."""
    if not scene.there(kind="sent"):
        found = scene.features("judged")
        different = {hashlib.sha256(part.contiguous().numpy()).digest() for part in found}
        scene.add(kind="sent", shape=list(found.shape[1:]), different=len(different), count=len(found))


def floors(scene: Scene) -> None:
    """A private attribute, guessed from the true target attributes."""
    known, asked = scene.material.most, scene.material.judged
    for name in scene.subject.hides:
        if scene.there(kind="floor", attribute=name):
            continue
        result = told.from_utility(
            known.labels(scene.subject.target), known.labels([name])[:, 0],
            asked.labels(scene.subject.target), asked.labels([name])[:, 0], people_test=asked.identities,
        )  # fmt: skip
        scene.add(kind="floor", attribute=name, **asdict(result))


def in_loop(scene: Scene) -> None:
    """What the adversaries of the training say, by the strongest one; by the threshold that suits it, as for others."""
    if not scene.subject.adversaries or scene.all_there(scene.subject.hides, kind="attribute", attack=IN_LOOP):
        return
    said = [_scores(scene, adversary) for adversary in scene.subject.adversaries]
    for place, name in enumerate(scene.subject.hides):
        about = {"kind": "attribute", "attack": IN_LOOP, "attribute": name}
        if not scene.there(**about):
            truths = [scene.private(part)[:, place] for part in ("validation", "judged")]
            found = [_result(scene, scores, truths, place) for scores in said]
            scene.add(**about, share=None, attack_seed=None, **max(found, key=lambda row: row["balanced_accuracy"]))


@torch.inference_mode()
def _scores(scene: Scene, network: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What a network says of the features of the validation part, and of the judged ones."""
    return [
        torch.cat([network(part.float()).cpu() for part in torch.split(scene.features(name), PART)])
        for name in ("validation", "judged")
    ]


def attackers(scene: Scene) -> None:
    """Attackers with some of their faces, by one seed; and with all that can be had, by several."""
    if not scene.subject.hides:
        return
    settings = scene.settings
    plans: list[tuple[float | str, int]] = [(share, 0) for share in settings.shares]
    plans += [(ALL, number) for number in range(settings.seeds)]
    for share, number in plans:
        for attacker in settings.attackers:
            row = ATTRIBUTE_ATTACKERS[attacker]
            about: Row = {"kind": "attribute", "attack": attacker, "share": share, "attack_seed": number}
            if any("failed" in row for row in scene.find(**about)) or scene.all_there(scene.subject.hides, **about):
                continue
            scene.say(f"{row.title}, {_known(share)}, seed {number}")
            try:
                _attack_attributes(scene, attacker, share, number)
            except AttackFailed as failure:
                scene.add(**about, failed=str(failure))


def _known(share: float | str) -> str:
    return "all faces" if share == ALL else f"{share:.0%} of own faces"


def _attack_attributes(scene: Scene, attacker: str, share: float | str, number: int) -> None:
    part = "most" if share == ALL else "own"
    features, labels = scene.features(part), scene.private(part)
    faces = len(getattr(scene.material, part))
    if isinstance(share, float) and share < 1:
        order = torch.randperm(faces, generator=Generator().manual_seed(seed_of("share", scene.seed)))
        some = order[: max(8, round(share * faces))]
        faces = len(some)
        some = torch.cat([some + start for start in range(0, len(features), len(order))])
        features, labels = features[some], labels[some]
    attack = attributes.train(
        features, labels, (scene.features("validation"), scene.private("validation")), attacker,
        scene.settings.of_attacker(attacker), folder=scene.folder / attacker / f"{share}-{number}",
        seed=seed_of("attack", scene.seed, number), runner=scene.runner,
        about=scene.described() | {"share": share}, **scene.reporting,
    )  # fmt: skip
    scores = [attack(scene.features(name)).cpu() for name in ("validation", "judged")]
    for place, name in enumerate(scene.subject.hides):
        truths = [scene.private(each)[:, place] for each in ("validation", "judged")]
        about = {"kind": "attribute", "attack": attacker, "share": share, "attack_seed": number, "attribute": name}
        if not scene.there(**about):
            scene.add(
                **about, faces=faces, best_epoch=attack.best_epoch, epochs=len(attack.log),
                **_result(scene, scores, truths, place),
            )  # fmt: skip


def _result(scene: Scene, scores: Sequence[Tensor], truths: Sequence[Tensor], place: int) -> Row:
    """An attribute, by the thresholds that are best on the validation part."""
    own, judged = (each[:, place].clone() for each in scores)
    result = told.measure(
        judged, truths[1], told.best_threshold(own, truths[0]),
        accuracy_threshold=told.best_threshold(own, truths[0], balanced=False), people=scene.material.judged.identities,
    )  # fmt: skip
    return asdict(result)
