"""What an attack on protected images is: what it knows, and what it gives back.

An attack's signature shows what its attacker knows, all as uint8 (N, 3, H, W):

- ``protected``: protected images of others;
- ``unpaired``: those, and ``public``, plain images of the attacker's own, which are others;
- ``few`` and ``pairs``: ``plain`` and ``protected``, the same images before and after. A leak gives a handful; whoever
  may have images protected, or has the protection itself, gets as many as they like;
- ``chosen``: ``protect``, a callable: images that the attacker chose.

The scheme's algorithm is known to everybody, its key is not (Kerckhoffs). An attack never gets the scheme's module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional as F

from veil.attacks.errors import AttackFailed
from veil.images import require_batch

Knowledge = Literal["protected", "unpaired", "few", "chosen", "pairs"]
Form = Literal["blocks", "pixels", "image"]
"""What is known of a scheme: that it changes blocks of 4×4 pixels, or pixels, each by itself; or nothing."""
Reconstruct = Callable[[Tensor], Tensor]
"""Protected images, uint8 (N, 3, H, W), to what the attacker makes of them, of the same shape and type."""


@dataclass(frozen=True, kw_only=True)
class AttackRow:
    """An attack, for the audit.

    Attributes:
        title: as tables name it.
        knows: what ``make`` takes: ``(protected)``, ``(protected, public)``, ``(plain, protected)`` or ``(protect)``.
        make: returns a `Reconstruct`, or raises `AttackFailed`. Where there are settings, it takes these, and
            ``folder``, ``seed``, ``runner``, ``about``, ``logged`` of a training, by name.
        form: whether ``make`` takes the scheme's `Form`, by name.
        settings: of the paper; None where there is nothing to set.
        scales: changes to the settings by scale: ``smoke``, ``cpu``, ``paper``.
    """

    title: str
    knows: Knowledge
    make: Callable[..., Reconstruct]
    form: bool = False
    settings: Any = None
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
    for each in (plain, protected):
        require_batch(each, "pairs are")
    if len(plain) != len(protected):
        raise ValueError(f"{len(plain)} plain and {len(protected)} protected images are not pairs")
    return padded(plain, protected)
