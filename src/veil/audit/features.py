"""The audit of features that a client sends: what the service reads off them, and what others do.

Attackers know the client (it is on every phone), have faces of their own with their attributes, and what is sent of
these. They are trained from nothing, keep the epoch that did best on a part of their own, and are judged on faces of
people that neither they nor the service have seen. Each row is one measurement; `kind` says which:

- ``service``: how well the service's own classifier tells a target attribute;
- ``floor``: what is known of a private attribute without any features, from the true target attributes alone;
- ``attribute``: an attacker's answer about a private attribute;
- ``picture-floor`` and ``reconstruction``: pictures that need no features, and what attackers draw from them;
- ``shown``: pictures of some reconstructions, of the first judged faces or of others that are given;
- ``identity``: whether people are found again by their features alone.

The adversaries of the training can be given: their rows have ``attack`` ``in-loop``, and are what a training
says of itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Generator, Tensor

from veil import images
from veil.attacks import AttackFailed, attributes, input_optimisation, reconstructors
from veil.attacks.attributes import ATTRIBUTE_ATTACKERS
from veil.attacks.reconstructors import RECONSTRUCTORS
from veil.data.faces import Faces
from veil.metrics import attributes as told
from veil.metrics import identity, recovery
from veil.metrics.attributes import AttributeResult
from veil.models.obfuscation import is_vector
from veil.rows import Row, RowFile, pack
from veil.seeds import seed_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Scale = Literal["smoke", "cpu", "paper"]
Embed = Callable[[Tensor], Tensor]
ALL = "all"
"""The attacker's share that is all of their own faces, and those that the service was trained with, too."""
INVERSION = "inversion"
IN_LOOP = "in-loop"
SHOWN = 8
_PART = 250
_GREY = 128


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureSubject:
    """What sends features, and who reads them.

    Attributes:
        name: what reports call it.
        described: what tells it from others of that name.
        send: uint8 images (N, 3, H, W) to what an eavesdropper gets, decoded: floats (N, C, h, w).
        target, hides: names of attributes: the service's, and the private ones.
        answer: features to logits (N, T) of the service; None where it is not at hand.
        features: images in [0, 1] to features before they are encoded, with gradients, for who has the client; None for
            a callable of which only answers are known.
        adversaries: of the training: features to logits (N, P) of ``hides``.
        reconstructor: of the training: features to images in [0, 1].
    """

    name: str
    send: Callable[[Tensor], Tensor]
    target: tuple[str, ...]
    hides: tuple[str, ...]
    described: str = ""
    answer: Callable[[Tensor], Tensor] | None = None
    features: Callable[[Tensor], Tensor] | None = None
    adversaries: Sequence[Callable[[Tensor], Tensor]] = ()
    reconstructor: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True, kw_only=True)
class FeatureAuditSettings:
    """How much is audited.

    Attributes:
        seeds: of each attribute attacker that has most.
        shares: of an attacker's own faces that weaker ones have, by one seed each.
        attackers, reconstructors: keys of the tables of attacks.
        inverted: how many images are sought by direct optimisation; 0 for none.
        judged: at most so many faces are judged for pictures.
        scale: of the attacks' settings.
        attribute_changes, reconstructor_changes: to these settings.
    """

    seeds: int = 3
    shares: tuple[float, ...] = (0.01, 0.1, 1.0)
    attackers: tuple[str, ...] = tuple(ATTRIBUTE_ATTACKERS)
    reconstructors: tuple[str, ...] = tuple(RECONSTRUCTORS)
    inverted: int = 64
    judged: int = 1000
    scale: Scale = "cpu"
    attribute_changes: Mapping[str, Any] = field(default_factory=dict)
    reconstructor_changes: Mapping[str, Any] = field(default_factory=dict)


SCALES: dict[Scale, FeatureAuditSettings] = {
    "smoke": FeatureAuditSettings(
        seeds=1, shares=(1.0,), attackers=("linear", "mlp"), reconstructors=("mirror",), inverted=4, judged=24,
        scale="smoke",
    ),
    "cpu": FeatureAuditSettings(),
    "paper": FeatureAuditSettings(judged=10_000, inverted=256, scale="paper"),
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Material:
    """Faces of an audit; no person is in two of them.

    Attributes:
        name: of the data.
        own, validation: the attacker's, to learn from, and to choose an epoch by.
        judged: everybody is judged on.
        service: what the service was trained with, where an attacker may have these, too.
    """

    name: str
    own: Faces
    validation: Faces
    judged: Faces
    service: Faces | None = None

    @property
    def most(self) -> Faces:
        """All faces that an attacker can learn from."""
        return self.own if self.service is None else joined(self.service, self.own)


def joined(first: Faces, second: Faces) -> Faces:
    """Both, one after the other.

    Raises:
        ValueError: where they know other attributes, or only one of them identities.
    """
    if first.names != second.names or (first.identities is None) != (second.identities is None):
        raise ValueError("faces with other attributes cannot be joined")
    people = None
    if first.identities is not None and second.identities is not None:
        people = torch.cat([first.identities, second.identities])
    return Faces(
        torch.cat([first.images, second.images]), torch.cat([first.attributes, second.attributes]), first.names, people
    )


def about(subject: FeatureSubject, material: Material, settings: FeatureAuditSettings, seed: int) -> dict[str, Any]:
    """What the rows of an audit depend on."""
    return {
        "protection": subject.name, "described": subject.described, "target": list(subject.target),
        "hides": list(subject.hides), "data": material.name,
        "faces": {name: len(getattr(material, name)) for name in ("own", "validation", "judged")}
        | {"service": 0 if material.service is None else len(material.service)},
        "size": list(material.judged.images.shape[2:]), "settings": asdict(settings), "seed": seed,
    }  # fmt: skip


def audit(
    subject: FeatureSubject,
    material: Material,
    rows: RowFile,
    settings: FeatureAuditSettings,
    *,
    folder: Path,
    seed: int,
    runner: "Fabric",
    embed: Embed | None = None,
    mark: Mapping[str, Any] | None = None,
    shown: Tensor | None = None,
    say: Callable[[str], None] = lambda line: None,
    **reporting: Any,
) -> list[Row]:
    """Measures all that has no row yet.

    Args:
        rows: where they go.
        folder: for checkpoints of attacks that are trained.
        embed: a face recogniser: uint8 images (N, 3, H, W) to embeddings (N, D); None leaves re-identification out.
        mark: fields of this audit's rows that tell them from others among ``rows``.
        shown: faces of the size of the judged ones, uint8 (N, 3, H, W), that reports show instead of these; none are
            shown where N is 0.
        say: called with a line before each attack.
        reporting: ``stepped``, ``logged`` of a training.

    Returns:
        All rows of this audit.

    Raises:
        ValueError: where what is sent is no tensor (N, C, h, w) of floats, or an attribute is not known.
        TrainingError: where the training of an attack diverges.
    """
    scene = _Scene(
        subject, material, settings, seed, runner, folder, embed, dict(mark or {}), rows,
        material.judged.images[:SHOWN] if shown is None else shown, say, reporting,
    )  # fmt: skip
    for measure in (_service, _floors, _in_loop, _attributes, _picture_floors, _reconstructions, _identities):
        measure(scene)
    return rows.find(**scene.mark)


@dataclass(frozen=True, eq=False)
class _Scene:
    """An audit that is under way."""

    subject: FeatureSubject
    material: Material
    settings: FeatureAuditSettings
    seed: int
    runner: "Fabric"
    folder: Path
    embed: Embed | None
    mark: dict[str, Any]
    rows: RowFile
    shown: Tensor
    say: Callable[[str], None]
    reporting: dict[str, Any]
    sent: dict[str, Tensor] = field(default_factory=dict)

    def there(self, **fields: Any) -> bool:
        return bool(self.rows.find(**self.mark, **fields))

    def add(self, **fields: Any) -> None:
        self.rows.add(self.mark | fields)

    def features(self, name: str) -> Tensor:
        """What is sent of a part of the material: ``most``, ``own``, ``validation``, ``judged``."""
        if name not in self.sent:
            found = torch.cat([self.subject.send(part).cpu() for part in torch.split(self.faces(name).images, _PART)])
            if not found.is_floating_point() or found.ndim != 4 or len(found) != len(self.faces(name)):
                raise ValueError(
                    f"{self.subject.name} sends {found.dtype} {tuple(found.shape)}: an audit needs floats (N, C, h, w)"
                )
            self.sent[name] = found if is_vector(found.shape[1:]) else found.half()
        return self.sent[name]

    def faces(self, name: str) -> Faces:
        found: Faces = getattr(self.material, name)
        return found

    def private(self, name: str) -> Tensor:
        return self.faces(name).labels(self.subject.hides)

    @property
    def pictures(self) -> Tensor:
        """The images that reconstructions are judged on."""
        return self.material.judged.images[: self.settings.judged]

    def show(self, drawn: Callable[[], Tensor], **of_it: Any) -> None:
        """Keeps pictures of the faces that are shown, uint8, unless they are there or none are wanted."""
        if len(self.shown) and not self.there(kind="shown", **of_it):
            self.add(kind="shown", **of_it, pictures=pack(drawn().permute(0, 2, 3, 1).contiguous().numpy()))

    def sent_of_shown(self) -> Tensor:
        """What is sent of them."""
        return self.subject.send(self.shown).cpu().float()

    def described(self) -> dict[str, object]:
        return {"protection": f"{self.subject.name} {self.subject.described}", "data": self.material.name}


def _service(scene: _Scene) -> None:
    if scene.subject.answer is None or scene.there(kind="service"):
        return
    answers = [
        torch.cat([scene.subject.answer(part.float()).cpu() for part in torch.split(scene.features(name), _PART)])
        for name in ("validation", "judged")
    ]
    for place, name in enumerate(scene.subject.target):
        truths = [scene.faces(part).labels([name])[:, 0] for part in ("validation", "judged")]
        scene.add(kind="service", attribute=name, **_result(answers, truths, place))


def _floors(scene: _Scene) -> None:
    """A private attribute, guessed from the true target attributes."""
    if scene.there(kind="floor"):
        return
    known, asked = scene.faces("most"), scene.material.judged
    for name in scene.subject.hides:
        result = told.from_utility(
            known.labels(scene.subject.target), known.labels([name])[:, 0],
            asked.labels(scene.subject.target), asked.labels([name])[:, 0],
        )  # fmt: skip
        scene.add(kind="floor", attribute=name, **_fields(result))


def _in_loop(scene: _Scene) -> None:
    """What the adversaries of the training say, by the strongest one."""
    if not scene.subject.adversaries or scene.there(kind="attribute", attack=IN_LOOP):
        return
    for place, name in enumerate(scene.subject.hides):
        truths = [scene.faces(part).labels([name])[:, 0] for part in ("validation", "judged")]
        found = []
        for adversary in scene.subject.adversaries:
            with torch.inference_mode():
                logits = [
                    torch.cat([adversary(each.float()).cpu() for each in torch.split(scene.features(part), _PART)])
                    for part in ("validation", "judged")
                ]
            found.append(told.measure(logits[1][:, place].clone(), truths[1], 0.0))
        best = max(found, key=lambda each: each.balanced_accuracy)
        scene.add(kind="attribute", attack=IN_LOOP, attribute=name, share=None, attack_seed=None, **_fields(best))


def _attributes(scene: _Scene) -> None:
    """Attackers with some of their faces, by one seed; and with all that can be had, by several."""
    if not scene.subject.hides:
        return
    settings = scene.settings
    plans: list[tuple[float | str, int]] = [(share, 0) for share in settings.shares]
    plans += [(ALL, number) for number in range(settings.seeds)]
    for share, number in plans:
        for attacker in settings.attackers:
            row = ATTRIBUTE_ATTACKERS[attacker]
            if scene.there(kind="attribute", attack=attacker, share=share, attack_seed=number):
                continue
            scene.say(f"{row.title}, {_known(share)}, seed {number}")
            try:
                _attack_attributes(scene, attacker, share, number)
            except AttackFailed as failure:
                scene.add(kind="attribute", attack=attacker, share=share, attack_seed=number, failed=str(failure))


def _known(share: float | str) -> str:
    return "all faces" if share == ALL else f"{share:.0%} of own faces"


def _attack_attributes(scene: _Scene, attacker: str, share: float | str, number: int) -> None:
    row = ATTRIBUTE_ATTACKERS[attacker]
    changes = {**row.scales.get(scene.settings.scale, {}), **scene.settings.attribute_changes}
    known = {name: value for name, value in changes.items() if hasattr(row.settings, name)}
    part = "most" if share == ALL else "own"
    features, labels = scene.features(part), scene.private(part)
    if isinstance(share, float) and share < 1:
        order = torch.randperm(len(features), generator=Generator().manual_seed(seed_of("share", scene.seed)))
        some = order[: max(8, round(share * len(features)))]
        features, labels = features[some], labels[some]
    attack = attributes.train(
        features, labels, (scene.features("validation"), scene.private("validation")), attacker,
        replace(row.settings, **known), folder=scene.folder / attacker / f"{share}-{number}", seed=number,
        runner=scene.runner, about=scene.described() | {"share": share}, **scene.reporting,
    )  # fmt: skip
    scores = [attack(scene.features(name)).cpu() for name in ("validation", "judged")]
    for place, name in enumerate(scene.subject.hides):
        truths = [scene.private(each)[:, place] for each in ("validation", "judged")]
        scene.add(
            kind="attribute", attack=attacker, share=share, attack_seed=number, attribute=name, faces=len(features),
            best_epoch=attack.best_epoch, epochs=len(attack.log), **_result(scores, truths, place),
        )  # fmt: skip


def _picture_floors(scene: _Scene) -> None:
    plain = scene.pictures
    mean = _mean(scene.faces("most").images)
    if not scene.there(kind="picture-floor"):
        pictures = {
            "plain": plain, "mean": mean.expand(plain.shape), "unrelated": plain.roll(1, 0),
            "grey": torch.full_like(plain, _GREY),
        }  # fmt: skip
        for name, images in pictures.items():
            scene.add(kind="picture-floor", floor=name, **_pictured(scene, images))
    scene.show(lambda: scene.shown, floor="plain")
    scene.show(lambda: mean.expand(scene.shown.shape), floor="mean")


def _mean(images: Tensor) -> Tensor:
    """The mean of uint8 images, (3, H, W), a part at a time."""
    total = sum(part.sum(0, dtype=torch.int64) for part in torch.split(images, _PART))
    return (torch.as_tensor(total) / len(images)).round().to(torch.uint8)


def _reconstructions(scene: _Scene) -> None:
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
        parts = [images.quantise(network(part.float()).clamp(0, 1)).cpu() for part in torch.split(sent, _PART)]
        return torch.cat(parts)

    return draw


def _inversion(scene: _Scene) -> None:
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


def _pictured(scene: _Scene, drawn: Tensor) -> Row:
    """All metrics of pictures of the first judged faces."""
    found = asdict(recovery.recovery(scene.pictures[: len(drawn)], drawn))
    del found["accuracy"]
    return {"count": len(drawn), **found, **_recognised(scene, drawn)}


def _recognised(scene: _Scene, images: Tensor) -> Row:
    """How often people are found again in pictures, among the photos themselves and among others of theirs."""
    people = scene.material.judged.identities
    if scene.embed is None or people is None:
        return {}
    if "gallery" not in scene.sent:
        scene.sent["gallery"] = scene.embed(scene.material.judged.images)
    return _identified(scene.embed(images), scene.sent["gallery"], people)


def _identified(probes: Tensor, gallery: Tensor, people: Tensor) -> Row:
    found = {
        "one_of_4": identity.one_of(probes, gallery, people),
        "one_of_4_another": identity.one_of(probes, gallery, people, photo="another"),
        "rank_one": identity.rank_one(probes, gallery, people, photo="another"),
        "true_accepts": identity.tar_at_far(probes, gallery, people, photo="another"),
    }
    return {name: None if each is None else asdict(each) for name, each in found.items()}


def _identities(scene: _Scene) -> None:
    """People, found by what is sent of another photo of theirs."""
    people = scene.material.judged.identities
    if people is None or scene.there(kind="identity"):
        return
    features = scene.features("judged").flatten(1).float()
    features = features - scene.features("validation").flatten(1).float().mean(0)
    scene.add(kind="identity", attack="cosine", **_identified(features, features, people))


def _result(scores: Sequence[Tensor], truths: Sequence[Tensor], place: int) -> Row:
    """An attribute, by the threshold that is best on the validation part."""
    own, judged = (each[:, place].clone() for each in scores)
    return _fields(told.measure(judged, truths[1], told.best_threshold(own, truths[0])))


def _fields(result: AttributeResult) -> Row:
    return asdict(result)
