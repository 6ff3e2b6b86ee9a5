"""What an attack on protected images is: what it knows, and what it gives back.

A row of `veil.attacks.images.ATTACKS` names a kind of knowledge. The kind decides which arguments the attack receives:
see `KNOWLEDGE`. Everybody knows the scheme's algorithm, but not its key (Kerckhoffs). An attack never gets the scheme's
module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from veil.attacks.errors import AttackFailed
from veil.images import require_batch
from veil.runtime.lazy import functional as F

if TYPE_CHECKING:
    from torch import Tensor

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Reconstruct(Protocol):
    """What an attack comes to.

    It may have attributes that rows keep: ``settled``, the share of the key that it knows for certain, and ``flat``,
    whether the curve of its training had gone flat (`veil.metrics.curves`).
    """

    def __call__(self, protected: Tensor, /) -> Tensor:
        """Protected images, uint8 (N, 3, H, W), to what the attacker makes of them, of the same shape and type."""


@dataclass(frozen=True, eq=False)
class AttackersImages:
    """What there is to give to attackers. All images are uint8 (N, 3, H, W), and none of them is attacked.

    Attributes:
        plain: images of the attacker's own.
        protected: the same ones protected, which may be larger.
        protect: protects whatever images the attacker chooses.
    """

    plain: Tensor
    protected: Tensor
    protect: Callable[[Tensor], Tensor]

    @property
    def halves(self) -> tuple[Tensor, Tensor]:
        """Protected images, and plain ones: no image is in both."""
        half = len(self.plain) // 2
        return self.protected[:half], self.plain[half:]


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """A kind of knowledge.

    Attributes:
        title: what the attacker has.
        attacker: who has that: "an attacker who …".
        rank: kinds of a higher rank include those of a lower one; kinds of one rank belong to one attacker.
        arguments: what an attack is called with, of what there is, and of so many pairs.
        pairs: how many pairs the attacker has: the attack is made with each number in turn, until one gives everything.
            None stands for all of them, or for none where there are no pairs.
    """

    title: str
    attacker: str
    rank: int
    arguments: Callable[[AttackersImages, int | None], tuple[Any, ...]]
    pairs: tuple[int | None, ...] = (None,)


_HANDFUL = "knows or chose a handful of the images"
KNOWLEDGE: Mapping[str, Knowledge] = {
    "protected": Knowledge(
        title="protected images",
        attacker="sees protected images",
        rank=0,
        arguments=lambda given, pairs: given.halves[:1],
    ),
    "unpaired": Knowledge(
        title="and own images",
        attacker="also has plain images of their own",
        rank=1,
        arguments=lambda given, pairs: given.halves,
    ),
    "few": Knowledge(
        title="pairs",
        attacker=_HANDFUL,
        rank=2,
        arguments=lambda given, pairs: (given.plain[:pairs], given.protected[:pairs]),
        pairs=(1, 2, 4, 8, 16),
    ),
    "chosen": Knowledge(
        title="chosen images",
        attacker=_HANDFUL,
        rank=2,
        arguments=lambda given, pairs: (given.protect, *given.plain.shape[2:]),
    ),
    "pairs": Knowledge(
        title="any number of pairs",
        attacker="may have as many images protected as they like",
        rank=3,
        arguments=lambda given, pairs: (given.plain, given.protected),
    ),
}
"""What attackers may know, from the least on:

- ``protected``: protected images of others; ``attack(protected)``;
- ``unpaired``: those, and plain images of the attacker's own, which are others; ``attack(protected, public)``;
- ``few``: a handful of images before and after, as a leak gives them; ``attack(plain, protected)``;
- ``chosen``: a callable that protects images which the attacker chose; ``attack(protect, height, width)``;
- ``pairs``: any number of images before and after, as whoever may have images protected, or has the protection itself,
  gets them; ``attack(plain, protected)``.
"""


@dataclass(frozen=True, kw_only=True)
class ImageAttack:
    """An attack on protected images.

    Attributes:
        name: by which it is chosen, and which rows of audits keep; words of a-z and 0-9 with - between.
        title: as tables name it.
        knows: a key of `KNOWLEDGE`, which says what ``attack`` is called with.
        attack: returns a `Reconstruct`, or raises `AttackFailed`. Where there are settings, it takes these as
            ``settings``, and where to train as ``run`` (`veil.training.run.Run`).
        takes_form: whether ``attack`` takes the scheme's form (`veil.images.forms`) as ``form``.
        settings: their class, whose defaults are the paper's; None where there is nothing to set.
        scales: changes to the settings by scale (`veil.runtime.scales`).
        control: the name of a protection that it is known to break: where it reports nothing of another one, an audit
            makes it against this one, too.
    """

    name: str
    title: str
    knows: str
    attack: Callable[..., Reconstruct]
    takes_form: bool = False
    settings: type[Any] | None = None
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    control: str = "pixel-same"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"an attack is named by words of a-z and 0-9 with - between, not {self.name!r}")
        if self.knows not in KNOWLEDGE:
            raise ValueError(f"{self.name} knows one of {', '.join(KNOWLEDGE)}, not {self.knows!r}")

    @property
    def knowledge(self) -> Knowledge:
        """What its attacker knows."""
        return KNOWLEDGE[self.knows]

    def settings_at(self, scale: str) -> Any:
        """Its settings at a scale; None where there is nothing to set."""
        return None if self.settings is None else self.settings(**self.scales.get(scale, {}))


def padded(plain: Tensor, protected: Tensor) -> Tensor:
    """Plain images of the size of protected ones, which may be larger: the last row and column are repeated.

    Raises:
        AttackFailed: where protected images are smaller, for then nothing is known of what belongs to what.
    """
    extra = [protected.shape[side] - plain.shape[side] for side in (3, 2)]
    if min(extra) < 0:
        raise AttackFailed("protected images are smaller than plain ones")
    if not any(extra):
        return plain
    return F.pad(plain.float(), (0, extra[0], 0, extra[1]), mode="replicate").to(plain.dtype)


def as_large(plain: Tensor, protected: Tensor) -> Tensor:
    """Plain images of pairs, of the size of the protected ones; see `padded`.

    Raises:
        AttackFailed: where protected images are smaller.
        ValueError: where the images are not such pairs.
    """
    for images in (plain, protected):
        require_batch(images, "pairs are")
    if len(plain) != len(protected):
        raise ValueError(f"{len(plain)} plain and {len(protected)} protected images are not pairs")
    return padded(plain, protected)
