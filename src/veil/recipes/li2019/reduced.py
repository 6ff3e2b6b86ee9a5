"""A reduced setting, for experiments that train many obfuscators: half the width, 48×48, one seed, few attackers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from veil import training
from veil.audits.features.audit import measure as measure_audit
from veil.audits.features.running import RunningAudit
from veil.audits.features.settings import SCALES, FeatureAuditSettings, named, recorded_before
from veil.jobs.rows import RowFile
from veil.recipes.li2019 import variants
from veil.recipes.li2019.variants import PEOPLE, SEEDS, SETTINGS, VARIANTS, Setting, Task
from veil.recipes.recipe import Conditions
from veil.runtime.scales import Scale
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from veil.data.faces import FaceParts

_CPU = SETTINGS["cpu"]
REDUCED: dict[Scale, Setting] = {
    "smoke": SETTINGS["smoke"],
    "cpu": replace(_CPU, side=48, common={**_CPU.common, "width": 32}),
    "paper": SETTINGS["paper"],
}
_CPU_AUDIT = FeatureAuditSettings(seeds=1, shares=(), judged=500, changes={"mirror": {"epochs": 4, "width": 0.5}})
MAPS, VECTORS = ("linear", "vgg", "resnet"), ("mlp", "kernel")
"""Attackers that read attributes."""
STRONGEST = ("linear", "resnet")
"""The strongest attackers of maps in the other experiments."""


@dataclass(frozen=True, kw_only=True)
class Point(Task):
    """One obfuscator of an experiment.

    Attributes:
        mark: fields of its rows that identify it.
        brief: at cpu scale, only attributes are attacked, and maps by the two strongest attackers only.
    """

    mark: Mapping[str, Any]
    brief: bool = False

    @property
    def folder(self) -> str:
        """The name of its checkpoint folder."""
        return "-".join(str(value) for value in self.mark.values()).replace(" ", "")


def audit_settings(scale: Scale, point: Point) -> FeatureAuditSettings:
    """The settings of its audit."""
    if scale == "smoke":
        return replace(SCALES["smoke"], attackers=named("linear", *PEOPLE))
    if scale == "paper":
        return replace(SCALES["paper"], attackers=named(*variants.ATTACKERS["paper"]))
    vectors = point.settings(REDUCED[scale]).values is not None
    if point.brief:
        return replace(_CPU_AUDIT, attackers=named(*(VECTORS if vectors else STRONGEST), *PEOPLE), changes={})
    return replace(_CPU_AUDIT, attackers=named(*(VECTORS if vectors else MAPS), "mirror", *PEOPLE))


def measure(conditions: Conditions, item: str, points: Sequence[Point]) -> None:
    """Trains and audits each point with missing rows."""
    seeds = conditions.seeds_or(SEEDS)
    wanted = variants.as_the_file_has_it(conditions.file(item), about(conditions.scale, points))
    with conditions.rows(item, wanted) as rows:
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
    marks = [f"{name} {value}" for name, value in point.mark.items() if name != "variant"]
    title = ", ".join([VARIANTS[point.variant].title, *marks])
    conditions.say(title)
    folder = conditions.work / conditions.paper / conditions.scale / item / f"{point.folder}-{seed}"
    run = Run(folder=folder / "training", seed=seed, runner=runner, logged=lambda row: conditions.say(str(row)))
    trained = variants.train(point, setting, parts, run)
    variants.keep(rows, mark, trained)
    measure_audit(RunningAudit(
        subject=trained.subject, faces=variants.audit_faces(parts), rows=rows, mark=mark,
        settings=audit_settings(conditions.scale, point), shown_instead=parts.test.images[:0],
        recorded=recorded_before(rows.about["audits"][point.folder]),
        run=Run(folder=folder / "attackers", seed=seed, runner=runner, logged=lambda row: None),
        say=lambda line: conditions.say(f"{title}: {line}"),
    ))  # fmt: skip
    rows.add({**mark, "kind": "done"})


def about(scale: Scale, points: Sequence[Point]) -> dict[str, Any]:
    """What rows of an experiment depend on."""
    setting = REDUCED[scale]
    return {
        "data": setting.data or "drawn faces", "side": setting.side,
        "trainings": {point.folder: asdict(point.settings(setting)) for point in points},
        "audits": {point.folder: audit_settings(scale, point).common() for point in points},
    }  # fmt: skip
