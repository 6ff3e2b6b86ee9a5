"""What an attack raises that gives nothing, and what counts as nothing: a training that diverges, values that are not
finite.

An attack that came to nothing must be told from one that was beaten: NaN compares as worse than everything, and as an
image it is black. So what attackers learn and say passes through `failing` and `require_finite`, and an audit keeps a
row with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from veil.models.answers import NoFiniteAnswer, finite_rows

if TYPE_CHECKING:
    from torch import Tensor


class AttackFailed(RuntimeError):
    """The attack gives nothing, and knows it; the message is one line that says why."""


@contextmanager
def failing() -> Iterator[None]:
    """Within this, a training that diverges, a network without a finite answer, and equations without a solution, are
    `AttackFailed`."""
    from torch.linalg import LinAlgError  # type: ignore[attr-defined]

    from veil.training.loop import Diverged

    try:
        yield
    except (Diverged, NoFiniteAnswer) as error:
        raise AttackFailed(str(error)) from error
    except LinAlgError as error:
        raise AttackFailed("its equations have no solution") from error


def require_finite(values: Tensor) -> Tensor:
    """What an attacker says of N images or features, (N, …), as it is.

    Raises:
        AttackFailed: where a value is not finite.
    """
    if not values.is_floating_point():
        return values
    if lost := finite_rows(values).count(False):
        raise AttackFailed(f"the attacker gives values that are not finite for {lost:,} of {len(values):,}")
    return values
