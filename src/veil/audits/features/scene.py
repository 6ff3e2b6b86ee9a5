"""What an audit of features is made of: who sends them, how much is audited, on which faces, and the rows.

Attackers know the client (it is on every phone), have faces of their own with their attributes, and what is sent of
these. They are trained from nothing, keep the epoch that did best on a part of their own, and are judged on faces of
people that neither they nor the service have seen. Each row is one measurement; `kind` says which:

- ``service``: how well the service's own classifier tells a target attribute;
- ``sent``: how many values, and how many different features of the judged faces;
- ``floor``: what is known of a private attribute without any features, from the true target attributes alone;
- ``attribute``: an attacker's answer about a private attribute;
- ``picture-floor`` and ``reconstruction``: pictures that need no features, and what attackers draw from them;
- ``shown``: pictures of some reconstructions, of the first judged faces or of others that are given;
- ``identity``: whether people are found again by their features alone, as they are or by a matcher that was learnt.

Whoever has the client can send a photo's mirror image, too, so attackers learn from both. The service's own answers
count as it gives them, yes from 0 on; of attackers, the threshold is the one that does best on their validation part,
for balanced and for plain accuracy each its own. Intervals are over people where these are known.

The adversaries of the training can be given: their rows have ``attack`` ``in-loop``, and are what a training
says of itself.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from veil.attacks.features.attributes import ATTRIBUTE_ATTACKERS, AttributeSettings
from veil.attacks.features.closed_forms import ClosedFormSettings
from veil.attacks.features.input_optimisation import INVERSION as INVERTING
from veil.attacks.features.input_optimisation import InversionSettings
from veil.attacks.features.reconstructors import RECONSTRUCTORS, ReconstructorSettings
from veil.data.faces import Faces
from veil.jobs.rows import Row, RowFile, pack
from veil.models.obfuscator import is_vector
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Embed = Callable[[Tensor], Tensor]
ALL = "all"
"""The attacker's share that is all of their own faces, and those that the service was trained with, too."""
INVERSION = "inversion"
IN_LOOP = "in-loop"
COSINE, MATCHER = "cosine", "matcher"
"""How features of two photos are compared: by their angle, or by an embedding that was learnt."""
SHOWN = 8
PART = 250
"""Images, or features, that are worked on at a time."""
LEARNT = ("most", "own")
"""What attackers learn from."""
_IN_MEMORY = 1 << 34
"""Bytes of features; more of them lie in a file."""


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
        drawn: seeds of each reconstructor.
        components: of the matcher of people, at most.
        mirrored: whether attackers learn from mirrored photos, too, which makes their epochs twice as long.
        scale: of the attacks' settings.
        attribute_changes, reconstructor_changes: to these settings.
    """

    seeds: int = 3
    shares: tuple[float, ...] = (0.01, 0.1, 1.0)
    attackers: tuple[str, ...] = tuple(ATTRIBUTE_ATTACKERS)
    reconstructors: tuple[str, ...] = tuple(RECONSTRUCTORS)
    inverted: int = 64
    judged: int = 1000
    drawn: int = 1
    components: int = 1024
    mirrored: bool = True
    scale: Scale = "cpu"
    attribute_changes: Mapping[str, Any] = field(default_factory=dict)
    reconstructor_changes: Mapping[str, Any] = field(default_factory=dict)

    def of_attacker(self, name: str) -> AttributeSettings | ClosedFormSettings:
        """Settings of an attribute attacker; changes that it knows nothing of are for others."""
        row = ATTRIBUTE_ATTACKERS[name]
        changes = {**row.scales.get(self.scale, {}), **self.attribute_changes}
        return replace(row.settings, **{each: value for each, value in changes.items() if hasattr(row.settings, each)})

    def of_reconstructor(self, name: str) -> ReconstructorSettings:
        """Settings of a reconstructor."""
        row = RECONSTRUCTORS[name]
        return replace(row.settings, **{**row.scales.get(self.scale, {}), **self.reconstructor_changes})

    def of_inversion(self) -> InversionSettings:
        """Settings of direct optimisation."""
        return replace(INVERTING.settings, **INVERTING.scales.get(self.scale, {}))

    def described(self) -> dict[str, Any]:
        """All of them, with those of each attack."""
        attacks: dict[str, Any] = {name: self.of_attacker(name) for name in self.attackers}
        attacks |= {name: self.of_reconstructor(name) for name in self.reconstructors}
        if self.inverted:
            attacks[INVERSION] = self.of_inversion()
        return asdict(self) | {"attacks": {name: asdict(each) for name, each in attacks.items()}}


SCALES: dict[Scale, FeatureAuditSettings] = {
    "smoke": FeatureAuditSettings(
        seeds=1, shares=(1.0,), attackers=("linear", "mlp"), reconstructors=("mirror",), inverted=4, judged=24,
        components=16, scale="smoke",
    ),
    "cpu": FeatureAuditSettings(),
    "paper": FeatureAuditSettings(judged=10_000, inverted=256, drawn=3, mirrored=False, scale="paper"),
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


def mirrored(faces: Faces) -> Faces:
    """Faces, and behind them the same ones mirrored."""
    return joined(faces, replace(faces, images=faces.images.flip(3)))


def about(subject: FeatureSubject, material: Material, settings: FeatureAuditSettings, seed: int) -> dict[str, Any]:
    """What the rows of an audit depend on."""
    return {
        "protection": subject.name, "described": subject.described, "target": list(subject.target),
        "hides": list(subject.hides), "data": material.name,
        "faces": {name: len(getattr(material, name)) for name in ("own", "validation", "judged")}
        | {"service": 0 if material.service is None else len(material.service)},
        "size": list(material.judged.images.shape[2:]), "settings": settings.described(), "seed": seed,
    }  # fmt: skip


def _room(shape: tuple[int, ...], dtype: torch.dtype, file: Path) -> Tensor:
    """Room for features: in memory, or on disk where they are many."""
    count = math.prod(shape)
    if count * dtype.itemsize <= _IN_MEMORY:
        return torch.empty(shape, dtype=dtype)
    file.parent.mkdir(parents=True, exist_ok=True)
    return torch.from_file(str(file), shared=True, size=count, dtype=dtype).view(shape)


@dataclass(frozen=True, eq=False)
class Scene:
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
    seen: dict[str, Faces] = field(default_factory=dict)

    def find(self, **fields: Any) -> list[Row]:
        """This audit's rows with such fields."""
        return self.rows.find(**self.mark, **fields)

    def there(self, **fields: Any) -> bool:
        return bool(self.find(**fields))

    def all_there(self, attributes: Sequence[str], **fields: Any) -> bool:
        """Whether there is such a row for each of some attributes: an audit may have been stopped between two."""
        return all(self.there(**fields, attribute=name) for name in attributes)

    def add(self, **fields: Any) -> None:
        self.rows.add(self.mark | fields)

    def features(self, name: str) -> Tensor:
        """What is sent of a part of the material: ``most``, ``own``, ``validation``, ``judged``."""
        if name not in self.sent:
            self.sent[name] = self._send(name, torch.split(self.faces(name).images, PART))
        return self.sent[name]

    def _send(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        room, done = torch.empty(0), 0
        for part in parts:
            found = self.subject.send(part).cpu()
            if not found.is_floating_point() or found.ndim != 4 or len(found) != len(part):
                raise ValueError(
                    f"{self.subject.name} sends {found.dtype} {tuple(found.shape)}: an audit needs floats (N, C, h, w)"
                )
            if not done:
                vector = is_vector(found.shape[1:])
                shape = (sum(map(len, parts)), *found.shape[1:])
                room = _room(shape, found.dtype if vector else torch.half, self.folder / f"sent-{name}")
            room[done : done + len(part)] = found
            done += len(part)
        return room

    def faces(self, name: str) -> Faces:
        """A part of the material; those that attackers learn from are followed by their mirror images."""
        if name not in self.seen:
            found: Faces = getattr(self.material, name)
            self.seen[name] = mirrored(found) if self.settings.mirrored and name in LEARNT else found
        return self.seen[name]

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
        return {
            "protection": f"{self.subject.name} {self.subject.described}", "data": self.material.name,
            "mirrored": self.settings.mirrored,
        }  # fmt: skip
