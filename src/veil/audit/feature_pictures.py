"""What attackers draw from features, in an audit, and who is found again in it (Li et al. 2019, section 4.4): rows of
pictures and of people.

Threat model and rows: `veil.audit.features`. Floors are pictures that need no features: the mean face, another face,
grey.
"""

from collections.abc import Callable
from dataclasses import asdict, replace

import torch
from torch import Tensor

from veil import images
from veil.attacks import input_optimisation, reconstructors
from veil.attacks.reconstructors import RECONSTRUCTORS
from veil.audit.features import IN_LOOP, INVERSION, PART, Scene
from veil.metrics import identity, recovery
from veil.rows import Row

_GREY = 128


def floors(scene: Scene) -> None:
    """Pictures that need no features."""
    plain = scene.pictures
    mean = _mean(scene.faces("most").images)
    pictures = {
        "plain": plain, "mean": mean.expand(plain.shape), "unrelated": plain.roll(1, 0),
        "grey": torch.full_like(plain, _GREY),
    }  # fmt: skip
    for name, picture in pictures.items():
        if not scene.there(kind="picture-floor", floor=name):
            scene.add(kind="picture-floor", floor=name, **_pictured(scene, picture))
    scene.show(lambda: scene.shown, floor="plain")
    scene.show(lambda: mean.expand(scene.shown.shape), floor="mean")


def _mean(images: Tensor) -> Tensor:
    """The mean of uint8 images, (3, H, W), a part at a time."""
    total = sum(part.sum(0, dtype=torch.int64) for part in torch.split(images, PART))
    return (torch.as_tensor(total) / len(images)).round().to(torch.uint8)


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
        row = RECONSTRUCTORS[name]
        measured = scene.there(kind="reconstruction", attack=name)
        if measured and (not len(scene.shown) or scene.there(kind="shown", attack=name)):
            continue
        scene.say(row.title)
        changes = {**row.scales.get(scene.settings.scale, {}), **scene.settings.reconstructor_changes}
        attack = reconstructors.train(
            scene.features("most"), scene.faces("most").images,
            (scene.features("validation"), scene.material.validation.images), name, replace(row.settings, **changes),
            folder=scene.folder / name, seed=0, runner=scene.runner, about=scene.described(), **scene.reporting,
        )  # fmt: skip
        if not measured:
            found = _pictured(scene, attack(asked))
            scene.add(kind="reconstruction", attack=name, best_epoch=attack.best_epoch, **found)
        scene.show(lambda attack=attack: attack(scene.sent_of_shown()), attack=name)  # type: ignore[misc]
    _inversion(scene)


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
    row = input_optimisation.INVERSION
    settings = replace(row.settings, **row.scales.get(scene.settings.scale, {}))
    mean = images.to_float(_mean(scene.faces("most").images)[None])[0]

    def invert(sent: Tensor) -> Tensor:
        scene.say(row.title)
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


def _identified(probes: Tensor, gallery: Tensor, people: Tensor) -> Row:
    found = {
        "one_of_4": identity.one_of(probes, gallery, people),
        "one_of_4_another": identity.one_of(probes, gallery, people, photo="another"),
        "rank_one": identity.rank_one(probes, gallery, people, photo="another"),
        "true_accepts": identity.tar_at_far(probes, gallery, people, photo="another"),
    }
    return {name: None if each is None else asdict(each) for name, each in found.items()}


def identities(scene: Scene) -> None:
    """People, found by what is sent of another photo of theirs."""
    people = scene.material.judged.identities
    if people is None or scene.there(kind="identity"):
        return
    features = scene.features("judged").flatten(1).float()
    features = features - scene.features("validation").flatten(1).float().mean(0)
    scene.add(kind="identity", attack="cosine", **_identified(features, features, people))
