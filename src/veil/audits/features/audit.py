"""The audit of features that a client sends, from the service's own answers to what attackers draw.

Threat model and rows: `veil.audits.features.scene`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from veil.audits.features import attributes, pictures
from veil.audits.features.scene import SHOWN, Embed, FeatureAuditSettings, FeatureSubject, Material, Scene
from veil.jobs.rows import Row, RowFile

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MEASURES = (
    attributes.service, attributes.sent, attributes.floors, attributes.in_loop,
    attributes.attackers, pictures.floors, pictures.reconstructions,
    pictures.identities,
)  # fmt: skip


def scene_of(
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
) -> Scene:
    """What `audit` works on.

    Args:
        rows: where they go.
        folder: for checkpoints of attacks that are trained.
        embed: a face recogniser: uint8 images (N, 3, H, W) to embeddings (N, D); None leaves re-identification out.
        mark: fields of this audit's rows that tell them from others among ``rows``.
        shown: faces of the size of the judged ones, uint8 (N, 3, H, W), that reports show instead of these; none are
            shown where N is 0.
        say: called with a line before each attack.
        reporting: ``stepped``, ``logged`` of a training.
    """
    return Scene(
        subject, material, settings, seed, runner, folder, embed, dict(mark or {}), rows,
        material.judged.images[:SHOWN] if shown is None else shown, say, reporting,
    )  # fmt: skip


def audit(
    subject: FeatureSubject, material: Material, rows: RowFile, settings: FeatureAuditSettings, **options: Any
) -> list[Row]:
    """Measures all that has no row yet.

    Args:
        options: as `scene_of` takes them.

    Returns:
        All rows of this audit.

    Raises:
        ValueError: where what is sent is no tensor (N, C, h, w) of floats, or an attribute is not known.
        TrainingError: where the training of an attack diverges.
    """
    scene = scene_of(subject, material, rows, settings, **options)
    for measure in MEASURES:
        measure(scene)
    return rows.find(**scene.mark)
