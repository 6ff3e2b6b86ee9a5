"""What attackers draw from features, in an audit, and who is found again in it (Li et al. 2019, section 4.4): rows of
pictures and of people.

Threat model and rows: `veil.audits.features.scene`. Floors are pictures that need no features: the mean face, another
face, grey.
"""

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from veil import images
from veil.attacks.errors import AttackFailed
from veil.attacks.features import input_optimisation, matching, reconstructors
from veil.attacks.features.reconstructors import RECONSTRUCTORS, FeatureReconstruction
from veil.audits.features.scene import COSINE, IN_LOOP, INVERSION, MATCHER, PART, Scene
from veil.jobs.rows import Row
from veil.metrics import identity, recovery
from veil.runtime.seeds import seed_of

_GREY = 128


def floors(scene: Scene) -> None:
    """Pictures that need no features."""
    plain = scene.pictures
    mean = _mean_face(scene)
    pictures = {
        "plain": plain, "mean": mean.expand(plain.shape), "unrelated": plain[_others(scene, len(plain))],
        "grey": torch.full_like(plain, _GREY),
    }  # fmt: skip
    for name, picture in pictures.items():
        if not scene.there(kind="picture-floor", floor=name):
            scene.add(kind="picture-floor", floor=name, **_pictured(scene, picture))
    scene.show(lambda: scene.shown, floor="plain")
    scene.show(lambda: mean.expand(scene.shown.shape), floor="mean")


def _others(scene: Scene, count: int) -> Tensor:
    """For each of the first judged faces the next one of another person, or the next one."""
    people = scene.material.judged.identities
    people = torch.arange(count) if people is None else people[:count]
    found = torch.arange(1, count + 1) % count
    for _ in range(count - 1):
        alike = people[found] == people
        if not alike.any():
            break
        found = torch.where(alike, (found + 1) % count, found)
    return found


def _mean_face(scene: Scene) -> Tensor:
    """Of all faces that an attacker can have: uint8 (3, H, W)."""
    return recovery.mean_image(scene.material.most.images).round().to(torch.uint8)


def reconstructions(scene: Scene) -> None:
    """What attackers draw who have all faces that can be had."""
    asked = scene.features("judged")[: scene.settings.judged]
    own = scene.subject.reconstructor
    if own is not None:
        drawn = _drawn_by(own)
        if not scene.there(kind="reconstruction", attack=IN_LOOP):
            scene.add(kind="reconstruction", attack=IN_LOOP, **_pictured(scene, drawn(asked)))
        scene.show(lambda: drawn(scene.sent_of_shown()), attack=IN_LOOP)
    for name in scene.settings.reconstructors:
        for number in range(scene.settings.drawn):
            measured = scene.there(kind="reconstruction", attack=name, attack_seed=number)
            if measured and (number or not len(scene.shown) or scene.there(kind="shown", attack=name)):
                continue
            scene.say(f"{RECONSTRUCTORS[name].title}, seed {number}")
            attack = _reconstructor(scene, name, number)
            if not measured:
                found = _pictured(scene, attack(asked))
                scene.add(kind="reconstruction", attack=name, attack_seed=number, best_epoch=attack.best_epoch, **found)
            if not number:
                scene.show(lambda attack=attack: attack(scene.sent_of_shown()), attack=name)  # type: ignore[misc]
    _inversion(scene)


def _reconstructor(scene: Scene, name: str, number: int) -> FeatureReconstruction:
    """Trained with all faces that can be had, or taken from its checkpoint."""
    return reconstructors.train(
        scene.features("most"), scene.faces("most").images,
        (scene.features("validation"), scene.material.validation.images), name, scene.settings.of_reconstructor(name),
        folder=scene.folder / name / str(number), seed=seed_of("attack", scene.seed, number), runner=scene.runner,
        about=scene.described(), **scene.reporting,
    )  # fmt: skip


def drawn_again(scene: Scene, faces: Tensor) -> Tensor:
    """What the strongest retrained reconstructor draws of what is sent of faces, uint8 (N, 3, H, W) as these are.

    Raises:
        ValueError: where an audit measured none.
    """
    rows = [row for row in scene.find(kind="reconstruction") if row["attack"] in RECONSTRUCTORS]
    if not rows:
        raise ValueError("no reconstructor was trained in this audit")
    best = max(rows, key=lambda row: float(row["ms_ssim"]))
    attack = _reconstructor(scene, best["attack"], best["attack_seed"])
    sent = [scene.subject.send(part).cpu().float() for part in torch.split(faces, PART)]
    return torch.cat([attack(part) for part in sent])


def _drawn_by(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A network from features to images in [0, 1], as one to uint8."""

    @torch.inference_mode()
    def draw(sent: Tensor) -> Tensor:
        parts = [images.quantise(network(part.float()).clamp(0, 1)).cpu() for part in torch.split(sent, PART)]
        return torch.cat(parts)

    return draw


def _inversion(scene: Scene) -> None:
    """Images that send the same, sought with the client at hand; some of them, for it takes long."""
    features, count = scene.subject.features, min(scene.settings.inverted, len(scene.pictures))
    if features is None or not count:
        return
    settings = scene.settings.of_inversion()
    mean = images.to_float(_mean_face(scene)[None])[0]

    def invert(sent: Tensor) -> Tensor:
        scene.say(input_optimisation.INVERSION.title)
        size = tuple(scene.pictures.shape[2:])
        return input_optimisation.invert(sent.float(), features, size, settings, seed=scene.seed, prior_mean=mean).cpu()

    if not scene.there(kind="reconstruction", attack=INVERSION):
        found = invert(scene.features("judged")[:count])
        scene.add(kind="reconstruction", attack=INVERSION, **_pictured(scene, found))
    scene.show(lambda: invert(scene.sent_of_shown()), attack=INVERSION)


def _pictured(scene: Scene, drawn: Tensor) -> Row:
    """All metrics of pictures of the first judged faces."""
    found = asdict(recovery.recovery(scene.pictures[: len(drawn)], drawn))
    del found["accuracy"]
    return {"count": len(drawn), **found, **_recognised(scene, drawn)}


def _recognised(scene: Scene, drawn: Tensor) -> Row:
    """How often people are found again in pictures, among the photos themselves and among others of theirs."""
    people = scene.material.judged.identities
    if scene.embed is None or people is None:
        return {}
    if "gallery" not in scene.sent:
        scene.sent["gallery"] = scene.embed(scene.material.judged.images)
    return _identified(scene.embed(drawn), scene.sent["gallery"], people)


def _identified(probes: Tensor, gallery: Tensor, people: Tensor, *, same: bool = True) -> Row:
    found = {
        "one_of_4": identity.one_of(probes, gallery, people) if same else None,
        "one_of_4_another": identity.one_of(probes, gallery, people, photo="another"),
        "rank_one": identity.rank_one(probes, gallery, people, photo="another"),
        "true_accepts": identity.tar_at_far(probes, gallery, people, photo="another"),
    }
    return {name: None if each is None else asdict(each) for name, each in found.items()}


def identities(scene: Scene) -> None:
    """People, found by what is sent of another photo of theirs: as it is, and by a matcher that was learnt.

    That the same photo sends the same again says nothing. The matcher learns from no mirror images: by them it would
    choose what finds a photo's own.
    """
    people = scene.material.judged.identities
    if people is None:
        return
    if not scene.there(kind="identity", attack=COSINE):
        features = scene.features("judged").flatten(1).float()
        features = features - scene.features("validation").flatten(1).float().mean(0)
        scene.add(kind="identity", attack=COSINE, **_identified(features, features, people, same=False))
    known = scene.material.most.identities
    if known is None or scene.there(kind="identity", attack=MATCHER):
        return
    scene.say("matcher of people")
    try:
        own = scene.features("most")[: len(known)]
        matcher = matching.fit(own, known, components=scene.settings.components)
    except AttackFailed as failure:
        scene.add(kind="identity", attack=MATCHER, failed=str(failure))
        return
    found = matcher(scene.features("judged"))
    scene.add(kind="identity", attack=MATCHER, **_identified(found, found, people, same=False))
