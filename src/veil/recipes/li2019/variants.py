"""The variants that the paper's experiments train and attack: obfuscators, ablations and baselines, on one set of
faces.

At cpu scale these are 12,000 faces of CelebA at 64×64, of which the service learns from two thirds of the training part
and attackers from the other third, of other people, or from both. Networks have the widths of Table 1; the heads of the
classifiers are small (`veil.models.obfuscator`, ``head="pool"``), and trainings are shorter than the paper's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from veil.audits import protocol
from veil.audits.features.settings import FeatureAuditSettings, goes_on, without_attackers
from veil.audits.features.subject import FeatureSubject
from veil.audits.protocol import AuditFaces
from veil.data import faces, synthetic_faces
from veil.data.faces import FaceParts, Faces
from veil.jobs.rows import RowFile
from veil.protections.features import PRESETS, ObfuscatorSettings, deep_obfuscator, only
from veil.protections.features.baselines import noisy
from veil.protections.features.encoding import Encoding
from veil.protections.features.file import pair
from veil.protections.features.training_data import TrainingFaces
from veil.recipes import free_photos
from veil.recipes.recipe import Conditions
from veil.runtime.scales import Scale
from veil.training.checkpoints import Row
from veil.training.run import Run

SMILE, CHEEKS, GENDER, MAKEUP = "Smiling", "High_Cheekbones", "Male", "Heavy_Makeup"
OWN_SHARE = 1 / 3
SEEDS: dict[Scale, int] = {"smoke": 1, "cpu": 1, "paper": 3}
_SAMPLE = 500
FACE, _TOP, _LEFT, _FRAME = "astronaut", 10, (130, 100, 160), 190
"""Where the face is in the photo, in pixels."""
CREDIT = free_photos.CREDITS[FACE]
PEOPLE = ("cosine", "matcher")
_ALL = ("linear", "mlp", "vgg", "resnet", "neighbours", "kernel", "mirror", "urec1", "urec2", "resrec", "inversion")
ATTACKERS: dict[Scale, tuple[str, ...]] = {
    "smoke": ("linear", "mlp", "mirror", "inversion", *PEOPLE), "cpu": (*_ALL, *PEOPLE), "paper": (*_ALL, *PEOPLE),
}  # fmt: skip
"""The attackers in the paper's experiments, even if the table has more."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant of the training.

    Attributes:
        title: its name in tables.
        preset: name of one of `PRESETS`.
        defended: whether anything is defended; if not, obfuscator and classifier are trained by `Setting.plain`.
        images, attributes: whether these are defended; both in DeepObfuscator.
        noise: deviation of the noise on raw images, for values in [0, 1].
    """

    title: str
    preset: str
    defended: bool = True
    images: bool = True
    attributes: bool = True
    noise: float = 0.0


VARIANTS: dict[str, Variant] = {
    "undefended": Variant(title="no adversarial training", preset="paper", defended=False),
    "noise": Variant(title="noise on raw images", preset="paper", defended=False, noise=0.3),
    "paper": Variant(title="DeepObfuscator, as in the paper", preset="paper"),
    "authors-code": Variant(title="DeepObfuscator, as in its authors’ code", preset="authors-code"),
    "only-images": Variant(title="only images defended", preset="paper", attributes=False),
    "only-attributes": Variant(title="only attributes defended", preset="paper", images=False),
    "bottleneck": Variant(title="Veil’s bottleneck alone", preset="veil", defended=False),
    "veil": Variant(title="Veil’s bottleneck and adversaries", preset="veil"),
}


def undefended(settings: ObfuscatorSettings) -> ObfuscatorSettings:
    """The same training, of the same length, without any defence."""
    return replace(settings, pretraining=settings.pretraining + settings.epochs, epochs=0, attackers=0)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How much is trained at a scale.

    Attributes:
        data: a folder's name; None draws faces.
        side: of the images, or (height, width).
        common: changes to every training.
        presets: further changes by preset.
        plain: further changes for undefended variants: the settings that did best on validation faces. Without them,
            undefended trainings are as long as defended ones.
    """

    data: str | None
    side: int | tuple[int, int]
    common: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plain: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, variant: Variant) -> ObfuscatorSettings:
        """Of a variant's training."""
        base = PRESETS[variant.preset].settings
        phases = only(base.phases, images=variant.images, attributes=variant.attributes)
        settings = replace(base, **{**self.common, **self.presets.get(variant.preset, {}), "phases": phases})
        return settings if variant.defended else undefended(replace(settings, **self.plain))


SETTINGS: dict[Scale, Setting] = {
    "smoke": Setting(
        data=None, side=32,
        common={"width": 8, "reader": 16, "head": "pool", "pretraining": 1, "attackers": 1, "reconstructor": None,
                "epochs": 1, "batch_size": 32, "learning_rate": 1e-3},
    ),
    "cpu": Setting(
        data="celeba", side=64, common={"reader": 64, "head": "pool", "padding": 2},
        presets={
            "paper": {"pretraining": 6, "attackers": 3, "epochs": 20, "learning_rate": 5e-4},
            "authors-code": {"pretraining": 6, "reconstructor": 3, "learning_rate": 5e-4},
            "veil": {"pretraining": 6, "epochs": 8},
        },
        plain={"pretraining": 14, "epochs": 0, "learning_rate": 1e-3, "falling": True},
    ),
    "paper": Setting(data="celeba", side=(216, 176)),
}  # fmt: skip
SMOKE_FACES = 400


def load(conditions: Conditions, setting: Setting) -> FaceParts:
    """The faces of a scale.

    Raises:
        FileNotFoundError: where they are in none of ``conditions.data``.
    """
    if setting.data is None:
        assert isinstance(setting.side, int)
        return synthetic_faces.faces(SMOKE_FACES, side=setting.side)
    for root in conditions.data:
        for folder in (root, root / setting.data):
            if folder.name == setting.data and folder.is_dir():
                return _read(folder, setting.side)
    where = ", ".join(map(str, conditions.data)) or "no folder at all"
    raise FileNotFoundError(f"no faces '{setting.data}' in {where}")


@cache
def _read(folder: Path, side: int | tuple[int, int]) -> FaceParts:
    return faces.read(folder, side)


def shown(size: tuple[int, int]) -> Tensor:
    """A face that anybody may show, in the others' frame and slightly shifted: uint8 (3, 3, H, W)."""
    whole = free_photos.read(FACE, 512)
    views = []
    for left in _LEFT:
        face = whole[:, _TOP : _TOP + _FRAME, left : left + _FRAME]
        picture = Image.fromarray(face.permute(1, 2, 0).numpy()).resize((size[1], size[0]), Image.Resampling.LANCZOS)
        views.append(torch.from_numpy(np.array(picture).transpose(2, 0, 1).copy()))
    return torch.stack(views)


def audit_faces(parts: FaceParts) -> AuditFaces:
    """The faces of the service and of the attackers, who share the training part."""
    return protocol.shared(parts, OWN_SHARE)


@dataclass(frozen=True, kw_only=True)
class Task:
    """An obfuscator that is to be trained.

    Attributes:
        variant: a key of `VARIANTS`.
        target, private: names of the target and the private attributes.
        changes: changes to the variant's training.
    """

    variant: str
    target: tuple[str, ...]
    private: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, setting: Setting) -> ObfuscatorSettings:
        """Of its training."""
        return replace(setting.settings(VARIANTS[self.variant]), **self.changes)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained variant: the networks to audit, and the logs of its stages."""

    subject: FeatureSubject
    logs: Mapping[str, list[Row]]
    size: tuple[int, int]


def train(task: Task, setting: Setting, parts: FaceParts, run: Run) -> Trained:
    """Trains an obfuscator, or loads it from the run's folder if it was trained before."""
    noise = VARIANTS[task.variant].noise
    service = audit_faces(parts).service
    assert service is not None
    seen = partial(noisy, deviation=noise, seed=run.seed) if noise else _same
    about = {"data": parts.fingerprint, "target": task.target, "private": task.private, "noise": noise}
    trained = deep_obfuscator.train(
        _training_faces(service, task, seen), task.settings(setting), run.at(about=about),
        validation=_training_faces(parts.validation, task, seen),
    )  # fmt: skip
    networks, device = trained.networks, run.runner.device
    for network in networks.named().values():
        network.to("cpu")
    with torch.inference_mode():
        sample = networks.obfuscator(seen(service.images[:_SAMPLE]).float() / 255)
    client, reader = pair(
        networks.obfuscator, networks.classifier, size=_size(service), name=task.variant, target=task.target,
        hides=task.private, encoding=Encoding.of(None, sample),
    )  # fmt: skip
    for module in (client.network, reader.network, *networks.adversaries):
        module.to(device)
    subject = FeatureSubject(
        name=task.variant, described=client.fingerprint, target=task.target, hides=task.private,
        send=lambda images: client(seen(images).to(device)),
        answer=lambda sent: reader.network(sent.to(device)),
        features=client.features,
        adversaries=[_on(adversary, device) for adversary in networks.adversaries],
        reconstructor=None if networks.reconstructor is None else _on(networks.reconstructor, device),
    )  # fmt: skip
    return Trained(subject, trained.logs, client.size)


def _same(images: Tensor) -> Tensor:
    return images


def _on(network: torch.nn.Module, device: torch.device) -> Any:
    module = network.to(device).eval()
    return lambda sent: module(sent.to(device))


def _size(known: Faces) -> tuple[int, int]:
    return known.images.shape[2], known.images.shape[3]


def _training_faces(known: Faces, task: Task, seen: Any) -> TrainingFaces:
    return TrainingFaces(seen(known.images), known.labels(task.target), known.labels(task.private))


def keep(rows: RowFile, mark: Mapping[str, Any], trained: Trained) -> None:
    """Rows of a training: the resulting network, and each epoch of its stages; existing rows stay.

    If checkpoints were lost and it was trained again with other arithmetic, it is another network, and the rows of the
    first network do not count.
    """
    network = trained.subject.described
    if any(row["network"] != network for row in rows.find(**mark, kind="network")):
        rows.void(**mark)
    if not rows.find(**mark, kind="network"):
        rows.add({**mark, "kind": "network", "network": network})
    for stage, log in trained.logs.items():
        for line in log:
            if not rows.find(**mark, kind="training", stage=stage, epoch=line["epoch"]):
                rows.add({**mark, "kind": "training", "stage": stage, **line})


def of_first_seed(rows: Sequence[Row]) -> list[Row]:
    """Rows of the first seed: tables show one training of each kind."""
    first = min((row["seed"] for row in rows), default=0)
    return [row for row in rows if row["seed"] == first]


def described(
    setting: Setting, variants: Mapping[str, Variant], audits: Mapping[str, FeatureAuditSettings]
) -> dict[str, Any]:
    """What rows depend on: settings of trainings and of audits."""
    return {
        "data": setting.data or "drawn faces", "side": setting.side,
        "trainings": {name: asdict(setting.settings(variant)) for name, variant in variants.items()},
        "audits": {name: settings.common() for name, settings in audits.items()},
    }  # fmt: skip


def as_the_file_has_it(file: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """What rows depend on, as `described` returns it, or as an older version wrote it if both mean the same."""

    def today(before: dict[str, Any]) -> dict[str, Any]:
        audits = {name: without_attackers(settings) for name, settings in before.get("audits", {}).items()}
        return before | {"audits": audits}

    return goes_on(file, about, today)
