"""A reduced setting, for experiments that train many obfuscators: half the width, 48×48, one seed, few attackers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from veil.audit import feature_audit, features
from veil.audit.features import FeatureAuditSettings
from veil.recipes.li2019 import variants
from veil.recipes.li2019.variants import SETTINGS, VARIANTS, Setting
from veil.recipes.recipe import Conditions, Scale
from veil.rows import RowFile

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from veil.data.faces import FaceParts

_CPU = SETTINGS["cpu"]
REDUCED: dict[Scale, Setting] = {
    "smoke": SETTINGS["smoke"],
    "cpu": replace(_CPU, side=48, common={**_CPU.common, "width": 32}),
    "paper": SETTINGS["paper"],
}
_SMOKE = replace(features.SCALES["smoke"], attackers=("linear",), reconstructors=(), inverted=0)
_CPU_AUDIT = FeatureAuditSettings(seeds=1, shares=(), inverted=0, judged=500)
MAPS: dict[str, Any] = {"attackers": ("vgg", "resnet"), "reconstructors": ("mirror",),
        "reconstructor_changes": {"epochs": 6, "width": 0.5}}  # fmt: skip
VECTORS: dict[str, Any] = {"attackers": ("mlp", "kernel"), "reconstructors": ("mirror",),
           "reconstructor_changes": {"epochs": 6, "width": 0.5}}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Point:
    """One obfuscator of an experiment.

    Attributes:
        variant: a key of `VARIANTS`.
        target, private: names of attributes.
        changes: to the variant's training.
        mark: fields of its rows, that tell it from others.
    """

    variant: str
    target: tuple[str, ...]
    private: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    mark: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """A name for its checkpoints."""
        return "-".join(str(value) for value in self.mark.values()).replace(" ", "")


def audit_settings(scale: Scale, point: Point) -> FeatureAuditSettings:
    """How much of it is audited."""
    if scale == "smoke":
        return _SMOKE
    if scale == "paper":
        return features.SCALES["paper"]
    sent = {**REDUCED[scale].presets.get(VARIANTS[point.variant].preset, {}), **point.changes}
    vectors = VARIANTS[point.variant].preset == "veil" and sent.get("values", 1) is not None
    return replace(_CPU_AUDIT, **(VECTORS if vectors else MAPS))


def measure(conditions: Conditions, rows: RowFile, item: str, points: Sequence[Point], runner: "Fabric") -> None:
    """Trains and audits each point that has not all of its rows."""
    setting = REDUCED[conditions.scale]
    parts: FaceParts = variants.load(conditions, setting)
    faces = variants.material(parts)
    for point in points:
        mark = {**point.mark, "seed": 0}
        if rows.find(**mark, kind="done"):
            continue
        told = [f"{name} {value}" for name, value in point.mark.items() if name != "variant"]
        title = ", ".join([VARIANTS[point.variant].title, *told])
        conditions.say(title)
        folder = conditions.work / conditions.paper / conditions.scale / item / point.folder
        trained = variants.train(
            conditions, setting, point.variant, parts, target=point.target, private=point.private, seed=0,
            runner=runner, folder=folder / "training", changes=point.changes,
        )  # fmt: skip

        def say(line: str, title: str = title) -> None:
            conditions.say(f"{title}: {line}")

        feature_audit.audit(
            trained.subject, faces, rows, audit_settings(conditions.scale, point), folder=folder / "attackers", seed=0,
            runner=runner, mark=mark, shown=parts.test.images[:0], say=say, logged=lambda row: None,
        )  # fmt: skip
        shape = trained.subject.send(parts.test.images[:1]).shape
        rows.add({**mark, "kind": "done", "sent": shape[1] * shape[2] * shape[3]})


def about(scale: Scale, points: Sequence[Point]) -> dict[str, Any]:
    """What rows of an experiment depend on."""
    setting = REDUCED[scale]
    return {
        "data": setting.data or "drawn faces", "side": setting.side,
        "trainings": {
            point.folder: asdict(replace(setting.settings(VARIANTS[point.variant]), **point.changes))
            for point in points
        },
        "audits": {point.folder: asdict(audit_settings(scale, point)) for point in points},
    }  # fmt: skip
