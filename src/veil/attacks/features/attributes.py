"""Attackers that read private attributes from features (Li et al. 2019, DeepObfuscator, section 3.3).

What the attacker knows: features as they are sent and decoded, of images of other people than those who are attacked,
with the attributes of these images: whoever has the obfuscator, which is on every phone, gets as many as they have
labelled images. The obfuscator itself is not used.

`ATTRIBUTE_ATTACKERS` reads maps and vectors alike but for ``neighbours`` and ``kernel``. ``vgg`` is the paper's
adversary for maps; for vectors the paper has none, and it is a perceptron of four wide normalised layers. All private
attributes are learned at once.

Deviations: the two classes of each attribute weigh as much as each other, for balanced accuracy is what is reported;
AdamW with a rate that rises once and falls; features are standardised by the attacker's own; layers of perceptrons are
normalised. The epoch that is best on the attacker's validation part is kept, by the mean AUROC over the attributes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.attacks.errors import AttackFailed
from veil.attacks.features import training
from veil.attacks.features.closed_forms import ClosedFormSettings, Judge, balanced, fit_kernel, fit_neighbours
from veil.metrics.attributes import auroc
from veil.models.feature_attackers import FeatureResNet, Perceptron, ResidualPerceptron, Standardised, channels_of
from veil.models.obfuscator import FeatureClassifier, Head, Shape, is_vector
from veil.runtime.seeds import seed_of
from veil.training.checkpoints import Row

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True, kw_only=True)
class AttributeSettings:
    """Settings of a training.

    Attributes:
        epochs: passes over the attacker's features.
        batch_size: features of a step.
        learning_rate: of AdamW, at its highest.
        weight_decay: of it.
        width: of all hidden layers, as a share of the full network's.
        head: of ``vgg`` on maps; see `FeatureClassifier`.
        dropout: share of what hidden layers say that is left out; ``vgg``'s on maps is the paper's.
        patience: the training ends when so many epochs in turn have brought nothing better.
    """

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    width: float = 1.0
    head: Head = "fc"
    dropout: float = 0.2
    patience: int = 10


@dataclass(frozen=True, eq=False)
class AttributeAttack:
    """Maps features (N, C, h, w) to scores, float32 (N, A): the larger, the rather the attribute is there.

    Attributes:
        network: of it, in evaluation mode.
        log: of its training; ``validation`` is the mean AUROC on the attacker's validation part.
        best_epoch: the one that was kept.
    """

    network: nn.Module
    log: list[Row]
    best_epoch: int

    def __call__(self, features: Tensor) -> Tensor:
        device = next(iter(self.network.state_dict().values())).device
        return scores_of(self.network, features, device).to(features.device)


Attack = Callable[..., AttributeAttack]


@dataclass(frozen=True, kw_only=True)
class AttackerRow:
    """An attribute attacker, for the audit.

    Attributes:
        title: as tables name it.
        fit: takes what `train` takes.
        maps: whether it reads maps, too.
        settings: at the scale ``paper``.
        scales: changes to the settings by scale: ``smoke``, ``cpu``, ``paper``.
    """

    title: str
    fit: Attack
    maps: bool = True
    settings: AttributeSettings | ClosedFormSettings
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def train(
    features: Tensor,
    labels: Tensor,
    validation: tuple[Tensor, Tensor],
    attacker: str,
    settings: AttributeSettings | ClosedFormSettings,
    *,
    folder: Path,
    seed: int,
    runner: "Fabric",
    about: Mapping[str, object] | None = None,
    **reporting: Any,
) -> AttributeAttack:
    """Trains an attacker from the last checkpoint in ``folder`` on.

    Args:
        features: floats (N, C, h, w), of any precision.
        labels: bool (N, A).
        validation: both of other people, for the choice of the epoch.
        attacker: a key of `ATTRIBUTE_ATTACKERS`.
        settings: of its row, or like it.
        about: what the features are, so that those of others are not taken for them.

    Raises:
        AttackFailed: for an attacker of vectors, and maps.
        ValueError: for another attacker, features or labels; as `loop.run` does.
        TrainingError: as `loop.run` does.
    """
    if attacker not in ATTRIBUTE_ATTACKERS:
        raise ValueError(f"there is no attacker {attacker!r}; there are {', '.join(ATTRIBUTE_ATTACKERS)}")
    row = ATTRIBUTE_ATTACKERS[attacker]
    training.require_alike(features, validation[0])
    for each, truth in ((features, labels), validation):
        if truth.dtype != torch.bool or truth.ndim != 2 or len(truth) != len(each) or truth.shape[1] != labels.shape[1]:
            raise ValueError(f"labels of {len(each)} images are not {truth.dtype} {tuple(truth.shape)}")
    if not isinstance(settings, type(row.settings)):
        raise ValueError(f"settings of {attacker!r} are {type(row.settings).__name__}")
    if not row.maps and not is_vector(features.shape[1:]):
        raise AttackFailed(f"{row.title} reads vectors, not maps of {features.shape[2]}×{features.shape[3]}")
    return row.fit(
        features, labels, validation, settings, attacker=attacker, folder=folder, seed=seed, runner=runner,
        about=about, **reporting,
    )  # fmt: skip


@torch.inference_mode()
def scores_of(network: nn.Module, features: Tensor, device: torch.device) -> Tensor:
    """What a network says of features, float32 (N, A), on their device, a part at a time."""
    parts = torch.split(features, max(1, _VALUES_AT_ONCE // features[0].numel()))
    return torch.cat([network(part.to(device).float()).float() for part in parts])


def mean_auroc(scores: Tensor, labels: Tensor) -> float:
    """Mean AUROC over those attributes that some have and some have not; where there are none, one half.

    NaN for scores that are not finite, which ends a training as diverged.
    """
    if not bool(scores.isfinite().all()):
        return math.nan
    told = [
        auroc(score, label)
        for score, label in zip(scores.cpu().T, labels.cpu().T, strict=True)
        if bool(label.any()) and not bool(label.all())
    ]
    return sum(told) / len(told) if told else 0.5


def _learn(build: Callable[[Shape, int, AttributeSettings], nn.Module]) -> Attack:
    """The training of networks that ``build`` makes."""

    def fit(
        features: Tensor, labels: Tensor, validation: tuple[Tensor, Tensor], settings: AttributeSettings, *,
        attacker: str, seed: int, runner: "Fabric", **training_of: Any,
    ) -> AttributeAttack:  # fmt: skip
        torch.manual_seed(seed_of("weights", seed))
        shape = training.shape_of(features)
        moments = training.moments(features, places=True)
        network = Standardised(build(shape, labels.shape[1], settings), *moments)
        optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        model = runner.setup_module(network)
        weights = balanced(labels).float()

        def update(index: Tensor) -> Tensor:
            x = features[index.to(features.device)].to(runner.device).float()
            wanted, weight = (each[index.to(each.device)].to(runner.device).float() for each in (labels, weights))
            loss = F.binary_cross_entropy_with_logits(model(x).float(), wanted, weight)
            runner.backward(loss)
            return loss

        kept = training.run(
            network, optimizer, update,
            lambda: mean_auroc(scores_of(model, validation[0], runner.device), validation[1]), len(features),
            epochs=settings.epochs, batch_size=settings.batch_size, learning_rate=settings.learning_rate,
            patience=settings.patience, seed=seed, runner=runner,
            settings={"attack": "attributes", "attacker": attacker, **asdict(settings)}, **training_of,
        )  # fmt: skip
        return AttributeAttack(kept.network, kept.log, kept.best_epoch)

    return fit


def _solve(solution: Callable[..., tuple[nn.Module, float]]) -> Attack:
    """Attackers that are computed again each time: nothing is trained, and nothing is left in ``folder``."""

    def fit(
        features: Tensor, labels: Tensor, validation: tuple[Tensor, Tensor], settings: ClosedFormSettings, *,
        runner: "Fabric", logged: Callable[[Row], None] | None = None, **_: Any,
    ) -> AttributeAttack:  # fmt: skip
        moments = training.moments(features, places=False)
        ready = Standardised(nn.Identity(), *moments)
        own, others = (ready(each).to(runner.device) for each in (features, validation[0]))
        judge: Judge = mean_auroc
        with torch.inference_mode():
            network, score = solution(
                own, labels.to(runner.device), (others, validation[1].to(runner.device)), settings, judge
            )
        row: Row = {"epoch": 0, "validation": score}
        if logged is not None:
            logged(row)
        return AttributeAttack(Standardised(network, *moments).to(runner.device).eval(), [row], 0)

    return fit


def _linear(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    return Perceptron(shape, labels, 0, 0)


def _mlp(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    return Perceptron(shape, labels, channels_of(512, settings.width), 2, settings.dropout)


def _vgg(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    if is_vector(shape):
        return Perceptron(shape, labels, channels_of(1024, settings.width), 4, settings.dropout)
    return FeatureClassifier(shape, labels, channels_of(256, settings.width), head=settings.head)


def _resnet(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    if is_vector(shape):
        return ResidualPerceptron(shape, labels, channels_of(256, settings.width), dropout=settings.dropout)
    return FeatureResNet(shape, labels, channels_of(64, settings.width), settings.dropout)


_SMOKE = {"epochs": 2, "batch_size": 32, "width": 1 / 32, "head": "pool"}

ATTRIBUTE_ATTACKERS: dict[str, AttackerRow] = {
    "linear": AttackerRow(
        title="linear classifier", fit=_learn(_linear), settings=AttributeSettings(epochs=60, weight_decay=0.1),
        scales={"smoke": _SMOKE, "cpu": {"epochs": 20}, "paper": {}},
    ),
    "mlp": AttackerRow(
        title="perceptron (MLP)", fit=_learn(_mlp), settings=AttributeSettings(epochs=60, dropout=0.5),
        scales={"smoke": _SMOKE, "cpu": {"epochs": 20, "width": 0.5}, "paper": {}},
    ),
    "vgg": AttackerRow(
        title="VGG (the paper's AC)", fit=_learn(_vgg), settings=AttributeSettings(),
        scales={"smoke": _SMOKE, "cpu": {"epochs": 8, "width": 0.25, "head": "pool"}, "paper": {}},
    ),
    "resnet": AttackerRow(
        title="residual network", fit=_learn(_resnet), settings=AttributeSettings(),
        scales={"smoke": _SMOKE, "cpu": {"epochs": 8, "width": 0.5}, "paper": {}},
    ),
    "neighbours": AttackerRow(
        title="nearest neighbours", fit=_solve(fit_neighbours), maps=False, settings=ClosedFormSettings(),
        scales={"smoke": {"neighbours": (1, 9)}, "cpu": {}, "paper": {}},
    ),
    "kernel": AttackerRow(
        title="kernel regression", fit=_solve(fit_kernel), maps=False, settings=ClosedFormSettings(),
        scales={"smoke": {"centres": 50, "bandwidths": (0.3,)}, "cpu": {"centres": 1000}, "paper": {}},
    ),
}  # fmt: skip
