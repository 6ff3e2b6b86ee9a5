"""The audit of a protection of images: every attack, what it gives back, and floors, as rows.

Attackers have images of their own (``parts.train``): half of them protected and half plain where they have no pairs,
all of them both ways where they have. They are judged on others (``parts.test``), protected by the same key. A row says
what came back of those, by every metric of `veil.metrics.recovery`; rows of floors say the same of guesses. Rows of the
kind ``shown`` hold pictures of what came back of a few images, the first judged ones or others that are given.

What rows depend on (`about`) says nothing of attacks: these name their settings themselves, so that new ones, and
those of other packages, go into folders that stand.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from veil.attacks.errors import AttackFailed, failing
from veil.attacks.images import ImageAttack, words_of
from veil.attacks.images.attack import AttackersImages, Reconstruct
from veil.audits.images.subjects import Subject
from veil.data.labelled_images import LabelledImages, Parts
from veil.jobs.rows import Row, RowFile, pack
from veil.metrics import recovery
from veil.models.classifier import Classifier
from veil.runtime.errors import UserError
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of
from veil.runtime.tables import others_code
from veil.training.run import Run

SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """How much is audited.

    Attributes:
        own: images that an attacker has.
        judged: images that attacks are judged on.
    """

    own: int
    judged: int


SCALES: dict[Scale, AuditSettings] = {
    "smoke": AuditSettings(own=48, judged=24),
    "cpu": AuditSettings(own=10_000, judged=1_000),
    "paper": AuditSettings(own=50_000, judged=10_000),
}


def scale_of(about: Mapping[str, Any]) -> Scale | None:
    """The scale of an audit, from what its rows depend on; None where it is none of ours."""
    return next((scale for scale, settings in SCALES.items() if asdict(settings) == about.get("settings")), None)


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageAudit:
    """What is audited, on which images, and how much of it.

    Attributes:
        subject: the protection.
        parts: plain images: attackers' own to train, others to judge.
        scale: how much.
        classifier: trained on plain images of these classes, to read what comes back; None where there is none.
    """

    subject: Subject
    parts: Parts
    scale: Scale
    classifier: Classifier | None = None

    @property
    def settings(self) -> AuditSettings:
        """How much that is."""
        return SCALES[self.scale]

    def about(self, seed: int) -> dict[str, Any]:
        """What the rows of the audit depend on, whichever attacks are made."""
        subject, parts, reader = self.subject, self.parts, self.classifier
        return {
            "protection": subject.name, "described": subject.described, "form": subject.form,
            "data": f"{parts.name} {parts.fingerprint}", "side": parts.test.images.shape[-1],
            "settings": asdict(self.settings),
            "classifier": None if reader is None else f"{reader.name} {reader.fingerprint()}", "seed": seed,
        }  # fmt: skip


def audit(
    audited: ImageAudit,
    attacks: Sequence[ImageAttack],
    rows: RowFile,
    run: Run,
    *,
    mark: Mapping[str, Any] | None = None,
    shown: Tensor | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Makes every attack that has no row yet.

    Args:
        rows: where they go.
        run: seed of the audit; folder for checkpoints of attacks that are trained, and how they are.
        mark: fields of this audit's rows that tell them from others among ``rows``.
        shown: images of the size of the judged ones, uint8 (N, 3, H, W), that reports show instead of these; none are
            shown where N is 0.
        say: called with a line before each attack.

    Returns:
        All rows of this audit.

    Raises:
        ValueError: where the protection or an attack fails in its code, or gives no such images as it has to.
        NoFiniteAnswer: where the classifier gives none for images that need no attack.
    """
    marked = _Marked(rows, dict(mark or {}))
    scene = Scene.of(audited, run.seed, shown)
    _floors(scene, marked)
    for attack in attacks:
        for pairs in attack.knowledge.pairs:
            fewer = [] if pairs is None else marked.find(kind="attack", attack=attack.name)
            if not _lacking(scene, marked, attack, pairs):
                continue
            if not _measured(marked, attack, pairs) and any("failed" in row or row["exact"] == 1 for row in fewer):
                break  # fewer pairs gave everything, or were too many for it already
            say(attack.title + (f", pairs: {pairs}" if pairs is not None else ""))
            _make(scene, marked, attack, pairs, audited, run)
    return marked.find()


@dataclass(frozen=True, eq=False)
class _Marked:
    """Rows of one audit among those of others."""

    rows: RowFile
    mark: dict[str, Any]

    def find(self, **fields: Any) -> list[Row]:
        return self.rows.find(**self.mark, **fields)

    def add(self, row: Row) -> None:
        self.rows.add(self.mark | row)


@dataclass(frozen=True, eq=False)
class Scene:
    """Images of an audit: the attacker's, before and after, and those that are judged; the same for the same seed."""

    subject: Subject
    own: AttackersImages
    judged: LabelledImages
    judged_protected: Tensor
    shown: Tensor
    shown_protected: Tensor
    classifier: Classifier | None

    @classmethod
    def of(cls, audited: ImageAudit, seed: int, shown: Tensor | None) -> "Scene":
        subject, parts, settings = audited.subject, audited.parts, audited.settings
        generator = Generator().manual_seed(seed_of("audit", seed))
        own = parts.train.images[_drawn(len(parts.train), settings.own, generator)]
        chosen = _drawn(len(parts.test), settings.judged, generator)
        judged = LabelledImages(parts.test.images[chosen], parts.test.labels[chosen], parts.test.classes)
        own_protected, judged_protected = (_protected(subject, plain, generator) for plain in (own, judged.images))
        if shown is None:
            pictured = judged.images[:SHOWN], judged_protected[:SHOWN]
        else:
            drawn = Generator().manual_seed(seed_of("shown", seed))
            pictured = shown, _protected(subject, shown, drawn) if len(shown) else shown
        given = AttackersImages(own, own_protected, lambda images: _called(subject, images, generator))
        return cls(subject, given, judged, judged_protected, *pictured, audited.classifier)

    def judge(self, reconstructed: Tensor) -> Row:
        """All metrics of what came back of the judged images, and how many these are."""
        labels = self.judged.labels if self.classifier else None
        measured = recovery.recovery(self.judged.images, reconstructed, labels, self._reader)
        return {"count": len(self.judged), **asdict(measured)}

    @property
    def _reader(self) -> Callable[[Tensor], Tensor] | None:
        return None if self.classifier is None else self.classifier.answers

    def judged_as(self, reconstruct: Reconstruct) -> Row:
        """What an attack says of itself, and what it gives back of the judged images.

        Raises:
            AttackFailed: where that is nothing.
        """
        with failing():
            return _of_itself(reconstruct) | self.judge(self.undone(reconstruct, self.judged_protected))

    def pictured(self, rows: _Marked, **fields: Any) -> bool:
        """Whether there are pictures of that already, or none are wanted."""
        return not len(self.shown) or bool(rows.find(kind="shown", **fields))

    def undone(self, reconstruct: Reconstruct, protected: Tensor) -> Tensor:
        """What an attack makes of protected images, in the size of the plain ones.

        Raises:
            ValueError: where it does not give as many images of that size and type.
        """
        height, width = self.judged.images.shape[2:]
        images = reconstruct(protected)
        if images.dtype != torch.uint8 or images.shape != protected.shape:
            raise ValueError(
                f"the attack gives {images.dtype} {tuple(images.shape)} for protected uint8 {tuple(protected.shape)}"
            )
        return images[:, :, :height, :width].contiguous()


def _packed(images: Tensor) -> Row:
    return pack(images.permute(0, 2, 3, 1).contiguous().numpy())


def _drawn(total: int, wanted: int, generator: Generator) -> Tensor:
    return torch.randperm(total, generator=generator)[:wanted]


def _protected(subject: Subject, plain: Tensor, generator: Generator) -> Tensor:
    """Protected images, by parts.

    Raises:
        ValueError: where they are no images of at least that size, or the protection fails.
    """
    protected = torch.cat([_called(subject, part, generator) for part in torch.split(plain, 500)])
    larger = all(protected.shape[side] >= plain.shape[side] for side in (2, 3)) if protected.ndim == 4 else False
    if protected.dtype != torch.uint8 or not larger or protected.shape[:2] != plain.shape[:2]:
        raise ValueError(
            f"{subject.name} makes {protected.dtype} {tuple(protected.shape)} of uint8 {tuple(plain.shape)}: "
            "an audit needs images of the same number and channels, and no smaller ones"
        )
    return protected


def _called(subject: Subject, plain: Tensor, generator: Generator) -> Tensor:
    """What the protection, which may be anybody's, makes of images.

    Raises:
        ValueError: where it fails, or gives no tensor.
    """
    with others_code(f"{subject.name} fails on images {tuple(plain.shape)}"):
        protected: object = subject.protect(plain, generator)
    if not isinstance(protected, Tensor):
        raise ValueError(f"{subject.name} gives a {type(protected).__name__}, not a tensor of images")
    return protected


def _floors(scene: Scene, rows: _Marked) -> None:
    """What is there before any attack: plain images, protected ones, and guesses."""
    plain = scene.judged.images
    floors = {"plain": plain, **recovery.floors(plain, scene.judged_protected, scene.own.halves[1])}
    for name, images in floors.items():
        if not rows.find(kind="floor", floor=name):
            rows.add({"kind": "floor", "floor": name, **scene.judge(images)})
    as_it_is = scene.undone(lambda protected: protected, scene.shown_protected)
    for name, images in {"plain": scene.shown, "protected": as_it_is}.items():
        if not scene.pictured(rows, floor=name):
            rows.add({"kind": "shown", "floor": name, "pictures": _packed(images)})


def _measured(rows: _Marked, attack: ImageAttack, pairs: int | None) -> list[Row]:
    return rows.find(kind="attack", attack=attack.name, pairs=pairs)


def _lacking(scene: Scene, rows: _Marked, attack: ImageAttack, pairs: int | None) -> bool:
    """Whether there is a row, or pictures, to be made."""
    measured = _measured(rows, attack, pairs)
    if measured and "failed" in measured[0]:
        return False
    return not measured or not scene.pictured(rows, attack=attack.name, pairs=pairs)


def _make(
    scene: Scene, rows: _Marked, attack: ImageAttack, pairs: int | None, audited: ImageAudit, run: Run
) -> None:  # fmt: skip
    """Makes an attack, and adds what rows it lacks."""
    row = described(attack, pairs, audited)
    named: Row = {"attack": attack.name, "pairs": pairs}
    measured = bool(_measured(rows, attack, pairs))
    try:
        reconstruct = attacked(scene, attack, pairs, audited, run)
        if not measured:
            rows.add({"kind": "attack", **row, **scene.judged_as(reconstruct)})
            measured = True
        if not scene.pictured(rows, **named):
            pictures = _packed(scene.undone(reconstruct, scene.shown_protected))
            rows.add({"kind": "shown", **named, **words_of(attack), "pictures": pictures})
    except AttackFailed as failure:
        if not measured:
            rows.add({"kind": "attack", **row, "failed": str(failure)})


def described(attack: ImageAttack, pairs: int | None, audited: ImageAudit) -> Row:
    """What the row of an attack says of the attack itself."""
    settings = attack.settings_at(audited.scale)
    row: Row = {"attack": attack.name, "pairs": pairs, **words_of(attack)}
    return row if settings is None else row | {"settings": json.loads(json.dumps(asdict(settings)))}


def attacked(
    scene: Scene, attack: ImageAttack, pairs: int | None, audited: ImageAudit, run: Run
) -> Reconstruct:  # fmt: skip
    """What the attack comes to, given what its attacker knows.

    Raises:
        AttackFailed: where it gives nothing.
    """
    options: dict[str, Any] = {}
    if attack.takes_form:
        options["form"] = scene.subject.form
    settings = attack.settings_at(audited.scale)
    if settings is not None:
        subject = scene.subject
        about = {"protection": f"{subject.name} {subject.described}", "data": audited.parts.fingerprint}
        options |= {"settings": settings, "run": run.at(attack.name, about=about)}
    with others_code(f"the attack {attack.name} fails", passed=(AttackFailed, UserError)), failing():
        return attack.attack(*attack.knowledge.arguments(scene.own, pairs), **options)


def _of_itself(reconstruct: Reconstruct) -> Row:
    """What an attack says of itself: which share of the key it knows, and whether its training had gone flat."""
    settled = getattr(reconstruct, "settled", None)
    return ({} if settled is None else {"settled": settled}) | {"flat": getattr(reconstruct, "flat", None)}
