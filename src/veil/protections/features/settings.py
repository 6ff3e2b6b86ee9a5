"""Settings of an obfuscator's training, and three presets: the paper's, its authors' code's, and Veil's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from veil.models.obfuscator import Head, Norm

Phase = Literal[
    "defend-reconstruction", "defend-noise", "defend-original", "defend-attributes", "attack", "recover", "joint"
]
PHASES: tuple[Phase, ...] = get_args(Phase)


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
        phases: what a batch each is used for, in turn.
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

    width: int = 64
    values: int | None = field(default=None, metadata={"help": "How many values are sent; none sends Table 1's maps."})
    levels: int | None = field(default=None, metadata={"help": "Levels of each value; none for a byte's 256."})
    norm: Norm = "batch"
    head: Head = "fc"
    reader: int = 256
    pretraining: int = 20
    attackers: int = 20
    reconstructor: int | None = None
    epochs: int = field(default=40, metadata={"help": "Epochs of the adversarial training."})
    phases: tuple[Phase, ...] = ("defend-reconstruction", "defend-attributes", "attack", "recover")
    batch_size: int = 64
    learning_rate: float = field(default=1e-4, metadata={"help": "Of Adam."})
    falling: bool = False
    lambda1: float = field(default=1.0, metadata={"help": "Weight of the defence of attributes."})
    lambda2: float = field(default=1.0, metadata={"help": "Weight of the defence of images."})
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
        if unknown := [each for each in self.phases if each not in PHASES]:
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
        images = any(each in self.phases for each in ("defend-reconstruction", "defend-noise", "defend-original"))
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
    return tuple(each for each in phases if kept.get(each, True))


PRESETS: dict[str, ObfuscatorSettings] = {
    "paper": ObfuscatorSettings(),
    "authors-code": ObfuscatorSettings(
        epochs=20, batch_size=32, attackers=1, reconstructor=20, idle="train", sigmoid=False, target="fixed-noise",
        phases=("defend-noise", "defend-original", "defend-attributes", "attack", "recover"),
        factors=(10.0,) * 10 + tuple(float(each) for each in range(9, 0, -1)) + (1.0,),
    ),
    "veil": ObfuscatorSettings(
        values=32, levels=4, reader=64, head="pool", pretraining=8, attackers=0, epochs=8, batch_size=128,
        learning_rate=1e-3, falling=True, phases=("joint",), lambda1=2.0, lambda2=0.0, lambda3=10.0, bounded=True,
        target="mean", steps=8, adversaries=2, renewed=1, clip=1.0, padding=2, factors=(0.25, 0.5, 0.75, 1.0),
    ),
}  # fmt: skip
