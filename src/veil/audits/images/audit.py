"""The audit of a protection of images: every attack, what it gives back, and floors, as rows.

Attackers have images of their own (``parts.train``): half of them protected and half plain where they have no pairs,
all of them both ways where they have. They are judged on others (``parts.test``), protected by the same key. Each row
says what came back of those, by every metric of `veil.metrics.recovery`; rows of floors say the same of guesses. Rows
of the kind ``shown`` hold pictures of what came back of a few images, the first judged ones or others that are given.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from veil.attacks.errors import AttackFailed
from veil.attacks.images import ATTACKS, AttackRow, Reconstruct
from veil.audits.images.subjects import Subject
from veil.data.labelled_images import LabelledImages, Parts
from veil.jobs.rows import Row, RowFile, pack
from veil.metrics import recovery
from veil.models.classifier import Classifier
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FEW = (1, 2, 4, 8, 16)
"""Pairs that an attacker has who has a handful: the least number that gives everything is what counts."""
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


def about(subject: Subject, parts: Parts, scale: Scale, classifier: Classifier | None, seed: int) -> dict[str, Any]:
    """What the rows of an audit depend on, whichever attacks are made; these name their settings themselves."""
    return {
        "protection": subject.name, "described": subject.described, "form": subject.form,
        "data": f"{parts.name} {parts.fingerprint}", "side": parts.test.images.shape[-1],
        "settings": asdict(SCALES[scale]),
        "classifier": None if classifier is None else f"{classifier.name} {classifier.fingerprint()}", "seed": seed,
    }  # fmt: skip


def _settings(row: AttackRow, scale: Scale) -> Any:
    return None if row.settings is None else replace(row.settings, **row.scales.get(scale, {}))


def audit(
    subject: Subject,
    parts: Parts,
    rows: RowFile,
    *,
    scale: Scale,
    attacks: list[str],
    classifier: Classifier | None,
    folder: Path,
    seed: int,
    runner: "Fabric",
    mark: Mapping[str, Any] | None = None,
    shown: Tensor | None = None,
    say: Callable[[str], None] = lambda line: None,
    **reporting: Any,
) -> list[Row]:
    """Makes every attack that has no row yet.

    Args:
        rows: where they go.
        attacks: keys of `veil.attacks.ATTACKS`.
        classifier: trained on plain images of these classes; None where there is none.
        folder: for checkpoints of attacks that are trained.
        mark: fields of this audit's rows that tell them from others among ``rows``.
        shown: images of the size of the judged ones, uint8 (N, 3, H, W), that reports show instead of these; none are
            shown where N is 0.
        say: called with a line before each attack.

    Returns:
        All rows of this audit.

    Raises:
        ValueError: where the protection changes the number or channels of images, or makes them smaller.
        TrainingError: where the training of an attack diverges.
    """
    marked = _Marked(rows, dict(mark or {}))
    scene = _Scene.of(subject, parts, SCALES[scale], classifier, seed, shown)
    _floors(scene, marked)
    for name in attacks:
        row = ATTACKS[name]
        for count in FEW if row.knows == "few" else (None,):
            of_it: Row = {"attack": name, "pairs": count}
            measured, pictured = marked.find(kind="attack", **of_it), scene.pictured(marked, **of_it)
            if measured and (pictured or "failed" in measured[0]):
                continue
            fewer = [] if count is None or measured else marked.find(kind="attack", attack=name)
            if any("failed" in each or each["exact"] == 1 for each in fewer):
                break  # fewer pairs gave everything, or were too many for it already
            say(row.title + (f", pairs: {count}" if count is not None else ""))
            settings = _settings(row, scale)
            trained = {} if settings is None else {
                "settings": settings, "folder": folder / name, "seed": seed, "runner": runner,
                "about": {"protection": f"{subject.name} {subject.described}", "data": parts.fingerprint}, **reporting,
            }  # fmt: skip
            about_it: Row = {"kind": "attack", **of_it}
            if settings is not None:
                about_it["settings"] = asdict(settings)
            try:
                reconstruct = _made(row, scene, count, trained)
            except AttackFailed as failure:
                marked.add(about_it | {"failed": str(failure)})
                continue
            if not measured:
                marked.add(about_it | _settled(reconstruct) | scene.judge(scene.undone(reconstruct)))
            if not pictured:
                marked.add({"kind": "shown", **of_it, "pictures": _packed(scene.undone_shown(reconstruct))})
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
class _Scene:
    """Images of an audit: the attacker's, before and after, and those that are judged."""

    subject: Subject
    own: Tensor
    own_protected: Tensor
    judged: LabelledImages
    judged_protected: Tensor
    shown: Tensor
    shown_protected: Tensor
    classifier: Classifier | None
    generator: Generator

    @classmethod
    def of(
        cls, subject: Subject, parts: Parts, settings: AuditSettings, classifier: Classifier | None, seed: int,
        shown: Tensor | None,
    ) -> "_Scene":  # fmt: skip
        generator = Generator().manual_seed(seed_of("audit", seed))
        own = parts.train.images[_drawn(len(parts.train), settings.own, generator)]
        chosen = _drawn(len(parts.test), settings.judged, generator)
        judged = LabelledImages(parts.test.images[chosen], parts.test.labels[chosen], parts.test.classes)
        protected = [_protected(subject, each, generator) for each in (own, judged.images)]
        if shown is None:
            pictured = judged.images[:SHOWN], protected[1][:SHOWN]
        else:
            drawn = Generator().manual_seed(seed_of("shown", seed))
            pictured = shown, _protected(subject, shown, drawn) if len(shown) else shown
        return cls(subject, own, protected[0], judged, protected[1], *pictured, classifier, generator)

    @property
    def halves(self) -> tuple[Tensor, Tensor]:
        """T1, protected, and T2, plain: no image is in both."""
        half = len(self.own) // 2
        return self.own_protected[:half], self.own[half:]

    def judge(self, reconstructed: Tensor) -> Row:
        found = recovery.recovery(
            self.judged.images, reconstructed, self.judged.labels if self.classifier else None, self.classifier
        )
        return asdict(found)

    def pictured(self, rows: "_Marked", **fields: Any) -> bool:
        """Whether there are pictures of that already, or none are wanted."""
        return not len(self.shown) or bool(rows.find(kind="shown", **fields))

    def undone(self, reconstruct: Reconstruct) -> Tensor:
        """What an attack makes of the judged images."""
        return self._in_size(reconstruct(self.judged_protected))

    def undone_shown(self, reconstruct: Reconstruct) -> Tensor:
        """What it makes of those that are shown."""
        return self._in_size(reconstruct(self.shown_protected))

    def _in_size(self, images: Tensor) -> Tensor:
        height, width = self.judged.images.shape[2:]
        return images[:, :, :height, :width].contiguous()


def _packed(images: Tensor) -> Row:
    return pack(images.permute(0, 2, 3, 1).contiguous().numpy())


def _drawn(total: int, wanted: int, generator: Generator) -> Tensor:
    return torch.randperm(total, generator=generator)[:wanted]


def _protected(subject: Subject, plain: Tensor, generator: Generator) -> Tensor:
    """Protected images, by parts.

    Raises:
        ValueError: where they are no images of at least that size.
    """
    found = torch.cat([subject.protect(part, generator) for part in torch.split(plain, 500)])
    if found.dtype != torch.uint8 or found.ndim != 4 or found.shape[:2] != plain.shape[:2] or any(
        found.shape[side] < plain.shape[side] for side in (2, 3)
    ):  # fmt: skip
        raise ValueError(
            f"{subject.name} makes {found.dtype} {tuple(found.shape)} of uint8 {tuple(plain.shape)}: "
            "an audit needs images of the same number and channels, and no smaller ones"
        )
    return found


def _floors(scene: _Scene, rows: _Marked) -> None:
    """What is there before any attack: plain images, protected ones, and guesses."""
    plain = scene.judged.images
    floors = {"plain": plain, **recovery.floors(plain, scene.judged_protected, scene.halves[1])}
    for name, images in floors.items():
        if not rows.find(kind="floor", floor=name):
            rows.add({"kind": "floor", "floor": name, **scene.judge(images)})
    as_it_is = scene.undone_shown(lambda protected: protected)
    for name, images in {"plain": scene.shown, "protected": as_it_is}.items():
        if not scene.pictured(rows, floor=name):
            rows.add({"kind": "shown", "floor": name, "pictures": _packed(images)})


def _made(row: AttackRow, scene: _Scene, count: int | None, trained: dict[str, Any]) -> Reconstruct:
    extra = trained | ({"form": scene.subject.form} if row.form else {})
    match row.knows:
        case "protected":
            return row.make(scene.halves[0], **extra)
        case "unpaired":
            return row.make(*scene.halves, **extra)
        case "few" | "pairs":
            return row.make(scene.own[:count], scene.own_protected[:count], **extra)
        case "chosen":
            height, width = scene.own.shape[2:]
            return row.make(lambda images: scene.subject.protect(images, scene.generator), height, width, **extra)


def _settled(reconstruct: Reconstruct) -> Row:
    """Which share of the key an attack says that it knows, where it says so."""
    settled = getattr(reconstruct, "settled", None)
    return {} if settled is None else {"settled": settled}
