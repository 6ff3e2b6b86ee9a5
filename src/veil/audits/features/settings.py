"""How much of a client is audited, and what the rows of an audit depend on; read without torch.

What all rows depend on stands in the ``about`` of their file. An attacker's own settings stand beside its rows, in a
row of the kind ``attacker``: so a new attacker, from this or from another package, goes into a folder that is there
already, and nothing is measured again. Files of older versions have the settings of all attackers in ``about``; they
are read as they are, and go on under the ``about`` that they have.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from veil.attacks.features import FEATURE_ATTACKERS, FeatureAttacker, ImageSearch
from veil.jobs import rows
from veil.runtime.scales import Scale

About = Mapping[str, Any]
ALL = "all"
"""The attacker's share that is all of their own faces, and those that the service was trained with, too."""
A = TypeVar("A", bound=FeatureAttacker)


def named(*names: str) -> tuple[FeatureAttacker, ...]:
    """Attackers by name, or by ``module:object``.

    Raises:
        UnknownName: for one that there is not.
    """
    return tuple(FEATURE_ATTACKERS.resolve(name) for name in names)


@dataclass(frozen=True, kw_only=True)
class FeatureAuditSettings:
    """How much is audited.

    Attributes:
        scale: of the attacks' settings.
        attackers: rows of `FEATURE_ATTACKERS`, see `named`; None for all that are asked at this scale.
        seeds: of each attribute attacker that has most.
        shares: of an attacker's own faces that weaker ones have, by one seed each.
        drawn: seeds of each reconstructor.
        searched: how many images are searched for by attackers that do so; 0 for none.
        judged: at most so many faces are judged for pictures.
        mirrored: whether attackers learn from mirrored photos, too, which makes their epochs twice as long.
        changes: to the settings of attackers, by name.
    """

    scale: Scale = "cpu"
    attackers: tuple[FeatureAttacker, ...] | None = None
    seeds: int = 3
    shares: tuple[float, ...] = (0.01, 0.1, 1.0)
    drawn: int = 1
    searched: int = 64
    judged: int = 1000
    mirrored: bool = True
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, kind: type[A]) -> list[A]:
        """The attackers of a kind that are asked, in the table's order unless they were named."""
        rows = self.attackers
        if rows is None:
            rows = tuple(row for row in FEATURE_ATTACKERS.values() if self.scale in row.default_at)
        return [row for row in rows if isinstance(row, kind)]

    def settings_of(self, row: FeatureAttacker) -> Any:
        """Settings of an attacker."""
        return row.settings_at(self.scale, self.changes.get(row.name))

    def recorded(self, row: FeatureAttacker) -> dict[str, Any]:
        """All that the rows of an attacker depend on beside ``about``, as JSON has it."""
        own: dict[str, Any] = asdict(self.settings_of(row))
        if isinstance(row, ImageSearch):
            own["searched"] = self.searched
        plain: dict[str, Any] = json.loads(json.dumps(own))
        return plain

    def common(self) -> dict[str, Any]:
        """All that the rows of every attacker depend on."""
        return {"scale": self.scale, "judged": self.judged, "mirrored": self.mirrored}


SCALES: dict[Scale, FeatureAuditSettings] = {
    "smoke": FeatureAuditSettings(scale="smoke", seeds=1, shares=(1.0,), searched=4, judged=24),
    "cpu": FeatureAuditSettings(),
    "paper": FeatureAuditSettings(scale="paper", judged=10_000, searched=256, drawn=3, mirrored=False),
}


def recorded_before(settings: About) -> dict[str, dict[str, Any]]:
    """Settings of attackers by name, from the settings in an ``about`` of an older version; none from one of today."""
    attackers: dict[str, dict[str, Any]] = {name: dict(own) for name, own in settings.get("attacks", {}).items()}
    if "inversion" in attackers:
        attackers["inversion"]["searched"] = settings["inverted"]
    if "components" in settings:
        attackers["matcher"] = {"components": settings["components"]}
    return attackers


def without_attackers(settings: About) -> dict[str, Any]:
    """Settings in an ``about`` of any version, as `FeatureAuditSettings.common` has them."""
    return {name: value for name, value in settings.items() if name in FeatureAuditSettings().common()}


def goes_on(file: Path, about: About, today: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """What the rows of a file depend on: as the file has it, where it says the same as ``about`` in an older form.

    Args:
        today: an ``about`` of any version in the form of this one.
    """
    wanted: dict[str, Any] = json.loads(json.dumps(about))
    there: Iterable[dict[str, Any]] = (line["about"] for line in rows.read(file) if "about" in line)
    return next((before for before in there if today(before) == wanted), wanted)
