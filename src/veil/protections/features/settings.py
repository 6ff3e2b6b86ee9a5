"""Settings of an obfuscator's training, and what a preset of them is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from veil.models.features import Head, Norm

Phase = Literal[
    "defend-reconstruction", "defend-noise", "defend-original", "defend-attributes", "attack", "recover", "joint"
]
PHASES: tuple[Phase, ...] = get_args(Phase)


def _option(default: Any, help: str, least: float | None = None) -> Any:
    """A field that the command line has an option for.

    Args:
        least: that the option takes.
    """
    return field(default=default, metadata={"help": help, "least": least})


@dataclass(frozen=True, kw_only=True)
class ObfuscatorSettings:
    """Settings of a training. The defaults are the paper's, where it says them.

    Attributes:
        width: of the obfuscator and the mirror.
        values: how many values are sent; None sends the maps of Table 1.
        levels: how many levels each of them has; None for as many as a byte.
        norm, head, reader: normalisation of all networks; head and width of the service's network and of AC.
        pretraining: epochs of obfuscator and classifier without any defence; no number in the paper.
        attackers: epochs that AC and AR then learn in, from frozen features.
        reconstructor: epochs that AR does, where they are others than AC's.
        epochs: of Algorithm 1.
        phases: what batches are used for, in turn.
        batch_size: images of a batch.
        learning_rate: of Adam, for all; the paper calls it adaptive. It falls to zero over each stage with ``falling``.
        lambda1, lambda2, lambda3: λ1 weighs the defence of attributes, λ2 that of images, λ3 `losses.discrepancy`.
        factors: λs are multiplied by, epoch by epoch; the last one holds on.
        bounded: whether the defence of attributes is `losses.confusion` instead of −L(AC).
        target: what reconstructions are to look like: fresh ``noise`` for every image, one ``fixed-noise``, or the
            ``mean`` image, which is bounded: nothing is then said of the original.
        steps: updates of each AC for a ``joint`` batch, on features that were kept.
        adversaries: how many AC there are.
        renewed: after so many epochs one AC begins anew, in turn; 0 for never.
        idle: whether networks that do not learn in a phase normalise as in training or as in use.
        clip: largest norm of a gradient; None for no limit.
        sigmoid: of the mirror.
        padding: of random crops; images are mirrored at random too.
    """

    width: int = _option(64, "Channels of the obfuscator, a multiple of 8.")
    values: int | None = None
    levels: int | None = None
    norm: Norm = "batch"
    head: Head = "fc"
    reader: int = _option(256, "Channels of the service's network, for maps.")
    pretraining: int = _option(20, "Epochs without any defence.", least=0)
    attackers: int = _option(20, "Epochs of the adversaries alone.", least=0)
    reconstructor: int | None = None
    epochs: int = _option(40, "Epochs of the adversarial training.", least=0)
    phases: tuple[Phase, ...] = ("defend-reconstruction", "defend-attributes", "attack", "recover")
    batch_size: int = _option(64, "Images of a batch.", least=2)
    learning_rate: float = _option(1e-4, "Of Adam.")
    falling: bool = False
    lambda1: float = _option(1.0, "Weight of the defence of attributes.", least=0)
    lambda2: float = _option(1.0, "Weight of the defence of images.", least=0)
    lambda3: float = 0.0
    factors: tuple[float, ...] = (1.0,)
    bounded: bool = False
    target: Literal["noise", "fixed-noise", "mean"] = "noise"
    steps: int = 1
    adversaries: int = 1
    renewed: int = 0
    idle: Literal["train", "eval"] = "eval"
    clip: float | None = None
    sigmoid: bool = True
    padding: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "adversaries"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("pretraining", "attackers", "reconstructor", "epochs", "renewed", "padding"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must not be negative, unlike {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
        if unknown := [phase for phase in self.phases if phase not in PHASES]:
            raise ValueError(f"there is no phase {unknown[0]!r}; there are {', '.join(PHASES)}")
        if not self.phases or not self.factors:
            raise ValueError("there must be at least one phase and one factor")

    def prepared(self, network: str) -> int:
        """Epochs that an adversary learns in before the adversarial training."""
        return self.reconstructor if network == "reconstructor" and self.reconstructor is not None else self.attackers

    def factor(self, epoch: int) -> float:
        """What λs are multiplied by in an epoch, from 0."""
        return self.factors[min(epoch, len(self.factors) - 1)]

    @property
    def defends(self) -> tuple[bool, bool]:
        """Whether images and attributes are defended at all."""
        if not self.epochs:
            return False, False
        images = bool({"defend-reconstruction", "defend-noise", "defend-original"} & set(self.phases))
        joint = "joint" in self.phases
        return (
            (images or joint) and self.lambda2 > 0,
            ("defend-attributes" in self.phases or joint) and max(self.lambda1, self.lambda3) > 0,
        )


def only(phases: Sequence[Phase], *, images: bool, attributes: bool) -> tuple[Phase, ...]:
    """Phases of an ablation (section 4.2 of the paper): without the defence of the one or of the other."""
    kept: dict[Phase, bool] = {
        "defend-reconstruction": images, "defend-noise": images, "defend-original": images,
        "defend-attributes": attributes,
    }  # fmt: skip
    return tuple(phase for phase in phases if kept.get(phase, True))


@dataclass(frozen=True, kw_only=True)
class ObfuscatorPreset:
    """A row of `veil.protections.features.PRESETS`.

    Attributes:
        name: by which it is chosen.
        title: how it trains and what it sends, in a few words.
        settings: of the training.
    """

    name: str
    title: str
    settings: ObfuscatorSettings
