"""The audit of features that a client sends, from the service's own answers to what attackers draw.

Threat model and rows: `veil.audits.features.running`. `veil.audits.features.audit_client` audits a client's file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from veil.attacks.features import FeatureAttacker
from veil.audits.features import attribute_rows, floors, person_rows, picture_rows

if TYPE_CHECKING:
    from veil.audits.features.running import RunningAudit
    from veil.jobs.rows import Row

MEASURES = (
    attribute_rows.service, attribute_rows.sent, floors.floors, attribute_rows.in_loop, attribute_rows.attackers,
    picture_rows.floors, picture_rows.reconstructions, person_rows.identities,
)  # fmt: skip


def measure(audit: RunningAudit) -> list[Row]:
    """Measures all that has no row yet.

    Returns:
        All rows of this audit.

    Raises:
        ValueError: where what is sent is no tensor (N, C, h, w) of floats, or an attribute is not known.
        RowsError: where rows of an attacker were measured with other settings.
    """
    for row in audit.settings.of(FeatureAttacker):
        if row.retrained:
            audit.require_same_settings(row)
    for one in MEASURES:
        one(audit)
    return audit.rows.find(**audit.mark)
