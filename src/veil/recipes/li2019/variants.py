"""What the paper's experiments train and attack: obfuscators, ablations and baselines, on one set of faces.

At cpu scale these are 12,000 faces of CelebA at 64×64, of which the service learns from two thirds of the training part
and attackers from the other third, of other people, or from both. Networks have the widths of Table 1; the heads of the
classifiers are small (`veil.models.obfuscator`, ``head="pool"``), and trainings are shorter than the paper's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from veil.audits.features.scene import FeatureAuditSettings, FeatureSubject, Material
from veil.data import faces, synthetic_faces
from veil.data.faces import FaceParts, Faces
from veil.jobs.rows import RowFile
from veil.protections.features import PRESETS, ObfuscatorSettings, deep_obfuscator, only
from veil.protections.features.baselines import noisy
from veil.protections.features.encoding import Encoding
from veil.protections.features.file import pair
from veil.protections.features.training_data import Material as TrainingData
from veil.recipes import free_photos
from veil.recipes.recipe import Conditions
from veil.runtime.scales import Scale
from veil.training.checkpoints import Row

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SMILE, CHEEKS, GENDER, MAKEUP = "Smiling", "High_Cheekbones", "Male", "Heavy_Makeup"
OWN_SHARE = 1 / 3
SEEDS: dict[Scale, int] = {"smoke": 1, "cpu": 1, "paper": 3}
_SAMPLE = 500
FACE, _TOP, _LEFT, _FRAME = "astronaut", 10, (130, 100, 160), 190
"""Where the face is in the photo, in pixels."""
CREDIT = free_photos.CREDITS[FACE]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to train.

    Attributes:
        title: as tables name it.
        preset: a key of `PRESETS`.
        defended: whether anything is; where nothing is, obfuscator and classifier are trained by `Setting.plain`.
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
    """The same training without any defence, and as long."""
    return replace(settings, pretraining=settings.pretraining + settings.epochs, epochs=0, attackers=0)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How much is trained at a scale.

    Attributes:
        data: a folder's name; None draws faces.
        side: of the images, or (height, width).
        common: changes to every training.
        presets: further changes by preset.
        plain: further changes where nothing is defended: what serves the classifier best on validation faces. Without
            any, such trainings are as long as the defended ones.
    """

    data: str | None
    side: int | tuple[int, int]
    common: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plain: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, variant: Variant) -> ObfuscatorSettings:
        """Of a variant's training."""
        base = PRESETS[variant.preset]
        phases = only(base.phases, images=variant.images, attributes=variant.attributes)
        found = replace(base, **{**self.common, **self.presets.get(variant.preset, {}), "phases": phases})
        return found if variant.defended else undefended(replace(found, **self.plain))


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
SMOKE_FACES = 900


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
    """A face that anybody may show, in the frame of the others and a little aside: uint8 (3, 3, H, W)."""
    whole = free_photos.read(FACE, 512)
    found = []
    for left in _LEFT:
        face = whole[:, _TOP : _TOP + _FRAME, left : left + _FRAME]
        picture = Image.fromarray(face.permute(1, 2, 0).numpy()).resize((size[1], size[0]), Image.Resampling.LANCZOS)
        found.append(torch.from_numpy(np.array(picture).transpose(2, 0, 1).copy()))
    return torch.stack(found)


def shared(parts: FaceParts) -> tuple[Faces, Faces]:
    """The training part: the service's faces and the attackers', of different people."""
    return faces.for_attackers(parts.train, OWN_SHARE, 0)


def material(parts: FaceParts) -> Material:
    """What an audit takes."""
    service, own = shared(parts)
    name = f"{parts.name} {parts.fingerprint}"
    return Material(name=name, own=own, validation=parts.validation, judged=parts.test, service=service)


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of a variant: what is audited, and the logs of its stages."""

    subject: FeatureSubject
    logs: Mapping[str, list[Row]]
    size: tuple[int, int]


def train(
    conditions: Conditions,
    setting: Setting,
    name: str,
    parts: FaceParts,
    *,
    target: tuple[str, ...],
    private: tuple[str, ...],
    seed: int,
    runner: "Fabric",
    folder: Path,
    changes: Mapping[str, Any] | None = None,
) -> Trained:
    """Trains a variant, or takes it from ``folder`` where it was trained before."""
    variant = VARIANTS[name]
    settings = replace(setting.settings(variant), **(changes or {}))
    service, _ = shared(parts)
    seen = partial(noisy, deviation=variant.noise, seed=seed) if variant.noise else _same
    fitted = deep_obfuscator.train(
        _material(service, target, private, seen), settings, folder=folder, seed=seed, runner=runner,
        about={"data": parts.fingerprint, "target": target, "private": private, "noise": variant.noise},
        watched=_material(parts.validation, target, private, seen), logged=lambda row: conditions.say(str(row)),
    )  # fmt: skip
    networks = fitted.networks
    for each in networks.named().values():
        each.to("cpu")
    with torch.inference_mode():
        sample = networks.obfuscator(seen(service.images[:_SAMPLE]).float() / 255)
    client, reader = pair(
        networks.obfuscator, networks.classifier, size=_size(service), name=name, target=target, hides=private,
        encoding=Encoding.of(None, sample),
    )  # fmt: skip
    for module in (client.network, reader.network, *networks.adversaries):
        module.to(runner.device)
    subject = FeatureSubject(
        name=name, described=client.fingerprint, target=target, hides=private,
        send=lambda images: client(seen(images).to(runner.device)),
        answer=lambda sent: reader.network(sent.to(runner.device)),
        features=client.features,
        adversaries=[_on(each, runner.device) for each in networks.adversaries],
        reconstructor=None if networks.reconstructor is None else _on(networks.reconstructor, runner.device),
    )  # fmt: skip
    return Trained(subject, fitted.logs, client.size)


def _same(images: Tensor) -> Tensor:
    return images


def _on(network: torch.nn.Module, device: torch.device) -> Any:
    module = network.to(device).eval()
    return lambda sent: module(sent.to(device))


def _size(known: Faces) -> tuple[int, int]:
    return known.images.shape[2], known.images.shape[3]


def _material(known: Faces, target: tuple[str, ...], private: tuple[str, ...], seen: Any) -> TrainingData:
    return TrainingData(seen(known.images), known.labels(target), known.labels(private))


def keep(rows: RowFile, mark: Mapping[str, Any], trained: Trained) -> None:
    """Rows of a training: which network came of it, and each epoch of its stages; those that are there stay.

    Where checkpoints were lost and it was trained anew, by other arithmetic, it is another network: what was measured
    of the first one does not count.
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
    """Those of the first seed: tables are about one training of each kind."""
    first = min((row["seed"] for row in rows), default=0)
    return [row for row in rows if row["seed"] == first]


def described(
    setting: Setting, variants: Mapping[str, Variant], audits: Mapping[str, FeatureAuditSettings]
) -> dict[str, Any]:
    """What rows depend on: settings of trainings and of audits."""
    return {
        "data": setting.data or "drawn faces", "side": setting.side,
        "trainings": {name: asdict(setting.settings(each)) for name, each in variants.items()},
        "audits": {name: each.described() for name, each in audits.items()},
    }  # fmt: skip
