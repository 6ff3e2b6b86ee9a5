"""A reduced setting, for experiments that train many obfuscators: half the width, 48×48, one seed, few attackers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from veil import training
from veil.audits.features import audit, scene
from veil.audits.features.scene import FeatureAuditSettings
from veil.jobs.rows import RowFile
from veil.recipes.li2019 import variants
from veil.recipes.li2019.variants import SEEDS, SETTINGS, VARIANTS, Setting
from veil.recipes.recipe import Conditions
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from veil.data.faces import FaceParts

_CPU = SETTINGS["cpu"]
REDUCED: dict[Scale, Setting] = {
    "smoke": SETTINGS["smoke"],
    "cpu": replace(_CPU, side=48, common={**_CPU.common, "width": 32}),
    "paper": SETTINGS["paper"],
}
_SMOKE = replace(scene.SCALES["smoke"], attackers=("linear",), reconstructors=(), inverted=0)
_CPU_AUDIT = FeatureAuditSettings(seeds=1, shares=(), inverted=0, judged=500)
MAPS: dict[str, Any] = {"attackers": ("linear", "vgg", "resnet"), "reconstructors": ("mirror",),
        "reconstructor_changes": {"epochs": 4, "width": 0.5}}  # fmt: skip
VECTORS: dict[str, Any] = {"attackers": ("mlp", "kernel"), "reconstructors": ("mirror",),
           "reconstructor_changes": {"epochs": 4, "width": 0.5}}  # fmt: skip
STRONGEST = ("linear", "resnet")
"""Attackers of maps that gave away most in the other experiments."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One obfuscator of an experiment.

    Attributes:
        variant: a key of `VARIANTS`.
        target, private: names of attributes.
        changes: to the variant's training.
        mark: fields of its rows, that tell it from others.
        brief: at cpu scale, only attributes are attacked, those of maps by the two strongest attackers.
    """

    variant: str
    target: tuple[str, ...]
    private: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    mark: Mapping[str, Any]
    brief: bool = False

    @property
    def folder(self) -> str:
        """A name for its checkpoints."""
        return "-".join(str(value) for value in self.mark.values()).replace(" ", "")


def audit_settings(scale: Scale, point: Point) -> FeatureAuditSettings:
    """How much of it is audited."""
    if scale == "smoke":
        return _SMOKE
    if scale == "paper":
        return scene.SCALES["paper"]
    sent = {**REDUCED[scale].presets.get(VARIANTS[point.variant].preset, {}), **point.changes}
    vectors = VARIANTS[point.variant].preset == "veil" and sent.get("values", 1) is not None
    found = replace(_CPU_AUDIT, **(VECTORS if vectors else MAPS))
    if not point.brief:
        return found
    return replace(
        found, reconstructors=(), reconstructor_changes={}, attackers=found.attackers if vectors else STRONGEST
    )


def measure(conditions: Conditions, item: str, points: Sequence[Point]) -> None:
    """Trains and audits each point that has not all of its rows."""
    seeds = conditions.seeds_or(SEEDS)
    with conditions.rows(item, about(conditions.scale, points)) as rows:
        if set(seeds) <= set(rows.complete):
            return
        parts, runner = variants.load(conditions, REDUCED[conditions.scale]), training.fabric(conditions.device, "auto")
        for seed in seeds:
            for point in points:
                _measure(conditions, rows, item, point, seed, parts, runner)
            rows.finish((seed,))


def _measure(
    conditions: Conditions, rows: RowFile, item: str, point: Point, seed: int, parts: "FaceParts", runner: "Fabric"
) -> None:
    setting, mark = REDUCED[conditions.scale], {**point.mark, "seed": seed}
    if rows.find(**mark, kind="done"):
        return
    told = [f"{name} {value}" for name, value in point.mark.items() if name != "variant"]
    title = ", ".join([VARIANTS[point.variant].title, *told])
    conditions.say(title)
    folder = conditions.work / conditions.paper / conditions.scale / item / f"{point.folder}-{seed}"
    trained = variants.train(
        conditions, setting, point.variant, parts, target=point.target, private=point.private, seed=seed,
        runner=runner, folder=folder / "training", changes=point.changes,
    )  # fmt: skip
    variants.keep(rows, mark, trained)
    audit.audit(
        trained.subject, variants.material(parts), rows, audit_settings(conditions.scale, point),
        folder=folder / "attackers", seed=seed, runner=runner, mark=mark, shown=parts.test.images[:0],
        say=lambda line: conditions.say(f"{title}: {line}"), logged=lambda row: None,
    )  # fmt: skip
    rows.add({**mark, "kind": "done"})


def about(scale: Scale, points: Sequence[Point]) -> dict[str, Any]:
    """What rows of an experiment depend on."""
    setting = REDUCED[scale]
    return {
        "data": setting.data or "drawn faces", "side": setting.side,
        "trainings": {
            point.folder: asdict(replace(setting.settings(VARIANTS[point.variant]), **point.changes))
            for point in points
        },
        "audits": {point.folder: audit_settings(scale, point).described() for point in points},
    }  # fmt: skip
