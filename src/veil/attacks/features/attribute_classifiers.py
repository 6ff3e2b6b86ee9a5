"""Attackers that learn to read private attributes from features (Li et al. 2019, DeepObfuscator, section 3.3).

What the attacker knows: features as they are sent and decoded, of images of other people than those who are attacked,
with the attributes of these images: whoever has the obfuscator, which is on every phone, gets as many as they have
labelled images. The obfuscator itself is not used.

All of them read maps and vectors alike. ``vgg`` is the paper's adversary for maps; for vectors the paper has none, and
it is a perceptron of four wide normalised layers. All private attributes are learned at once.

Deviations: the two classes of each attribute weigh as much as each other, for balanced accuracy is what is reported;
AdamW with a rate that rises once and falls; features are standardised by the attacker's own; layers of perceptrons are
normalised. The epoch that is best on the attacker's validation part is kept, by the mean AUROC over the attributes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from veil.attacks.features.attackers import AttributeAttacker, KnownAttributes, TrainedAttack, shape_of
from veil.models.features import is_vector
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from veil.models.features import Head, Shape
    from veil.training.run import Run

KNOWS = "features of other people's photos, with the attributes of these photos"
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
        head: of ``vgg`` on maps; see `veil.models.obfuscator.FeatureClassifier`.
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


Build = Callable[["Shape", int, AttributeSettings], "nn.Module"]
"""Makes a network for features of a shape, with so many logits."""


def scores_of(network: Callable[[Tensor], Tensor], features: Tensor, device: torch.device) -> Tensor:
    """What a network says of features, float32 (N, A), on their device, a part at a time."""
    with torch.inference_mode():
        parts = torch.split(features, max(1, _VALUES_AT_ONCE // features[0].numel()))
        return torch.cat([network(part.to(device).float()).float() for part in parts])


def mean_auroc(scores: Tensor, labels: Tensor) -> float:
    """Mean AUROC over those attributes that some have and some have not; where there are none, one half.

    NaN for scores that are not finite, which ends a training as diverged.
    """
    from veil.metrics.attributes import auroc

    if not bool(scores.isfinite().all()):
        return math.nan
    areas = [
        auroc(score, label)
        for score, label in zip(scores.cpu().T, labels.cpu().T, strict=True)
        if bool(label.any()) and not bool(label.all())
    ]
    return sum(areas) / len(areas) if areas else 0.5


def balanced(labels: Tensor) -> Tensor:
    """Weights (N, A) with which yes and no count as much as each other in each column, 1 on average.

    A column of one kind has 1 throughout.
    """
    share = labels.double().mean(0)
    weights = torch.where(labels, 0.5 / share, 0.5 / (1 - share))
    return torch.where((share > 0) & (share < 1), weights, 1.0)


def fit(
    build: Build, name: str, own: KnownAttributes, validation: KnownAttributes, settings: AttributeSettings, run: Run
) -> TrainedAttack:
    """Trains the network that ``build`` makes.

    Args:
        name: of the attacker; a checkpoint of another one is refused.
    """
    from veil.attacks.features import training
    from veil.models.feature_attackers import Standardised

    torch.manual_seed(seed_of("weights", run.seed))
    network = Standardised(
        build(shape_of(own.features), own.labels.shape[1], settings), *training.moments(own.features, places=True)
    )
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    model, device = run.runner.setup_module(network), run.runner.device
    weights = balanced(own.labels).float()

    def update(index: Tensor) -> Tensor:
        x = own.features[index.to(own.features.device)].to(device).float()
        wanted, weight = (known[index.to(known.device)].to(device).float() for known in (own.labels, weights))
        loss = F.binary_cross_entropy_with_logits(model(x).float(), wanted, weight)
        run.runner.backward(loss)
        return loss

    learner = training.Learner(
        network, optimizer, update,
        judge=lambda: mean_auroc(scores_of(model, validation.features, device), validation.labels),
    )  # fmt: skip
    described = {"attack": "attributes", "attacker": name, **asdict(settings)}
    best = training.train(learner, len(own.features), settings, described, run)

    def answer(features: Tensor) -> Tensor:
        return scores_of(best.network, features, device).to(features.device)

    return TrainedAttack(answer, best.log, best.best_epoch)


def _linear(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    from veil.models.feature_attackers import Perceptron

    return Perceptron(shape, labels, 0, 0)


def _mlp(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    from veil.models.feature_attackers import Perceptron, channels_of

    return Perceptron(shape, labels, channels_of(512, settings.width), 2, settings.dropout)


def _vgg(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    from veil.models.feature_attackers import Perceptron, channels_of
    from veil.models.obfuscator import FeatureClassifier

    if is_vector(shape):
        return Perceptron(shape, labels, channels_of(1024, settings.width), 4, settings.dropout)
    return FeatureClassifier(shape, labels, channels_of(256, settings.width), head=settings.head)


def _resnet(shape: Shape, labels: int, settings: AttributeSettings) -> nn.Module:
    from veil.models.feature_attackers import FeatureResNet, ResidualPerceptron, channels_of

    if is_vector(shape):
        return ResidualPerceptron(shape, labels, channels_of(256, settings.width), dropout=settings.dropout)
    return FeatureResNet(shape, labels, channels_of(64, settings.width), settings.dropout)


_SMOKE = {"epochs": 2, "batch_size": 32, "width": 1 / 32, "head": "pool"}

LINEAR = AttributeAttacker(
    name="linear", title="linear classifier", knows=KNOWS, fit=partial(fit, _linear, "linear"),
    settings=AttributeSettings(epochs=60, weight_decay=0.1),
    scales={"smoke": _SMOKE, "cpu": {"epochs": 20}, "paper": {}},
)  # fmt: skip
MLP = AttributeAttacker(
    name="mlp", title="perceptron (MLP)", knows=KNOWS, fit=partial(fit, _mlp, "mlp"),
    settings=AttributeSettings(epochs=60, dropout=0.5),
    scales={"smoke": _SMOKE, "cpu": {"epochs": 20, "width": 0.5}, "paper": {}},
)  # fmt: skip
VGG = AttributeAttacker(
    name="vgg", title="VGG (the paper's AC)", knows=KNOWS, fit=partial(fit, _vgg, "vgg"), settings=AttributeSettings(),
    scales={"smoke": _SMOKE, "cpu": {"epochs": 8, "width": 0.25, "head": "pool"}, "paper": {}},
    default_at=("cpu", "paper"),
)  # fmt: skip
RESNET = AttributeAttacker(
    name="resnet", title="residual network", knows=KNOWS, fit=partial(fit, _resnet, "resnet"),
    settings=AttributeSettings(), scales={"smoke": _SMOKE, "cpu": {"epochs": 8, "width": 0.5}, "paper": {}},
    default_at=("cpu", "paper"),
)  # fmt: skip
