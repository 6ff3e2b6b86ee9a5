"""The boundary where a network answers: what is not finite is no answer.

A network whose values overflow says NaN or infinity. Every number made of that would be wrong without saying so: NaN
compares as neither larger nor smaller, so a photo would count as hidden, and an attacker as beaten. So whatever asks a
network about photos passes its answers through `require_finite`, or through `finite_rows` where it goes on with the
others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from veil.runtime.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


class NoFiniteAnswer(UserError, ValueError):
    """A network's answer, or a number made of it, is not finite; the message is one line."""


def finite_rows(answers: Tensor) -> list[bool]:
    """For each of N answers, (N, …), whether all of its values are finite."""
    finite = answers.detach().isfinite()
    rows: list[bool] = (finite.flatten(1).all(1) if finite.ndim > 1 else finite).tolist()
    return rows


def no_answer(network: str, of: str = "this photo") -> NoFiniteAnswer:
    """What is raised, or becomes the photo's row."""
    return NoFiniteAnswer(f"the network {network} gives no finite answer for {of}")


def require_finite(answers: Tensor, network: str, of: str = "this photo") -> Tensor:
    """The answers of a network, (N, …), as they are.

    Raises:
        NoFiniteAnswer: where a value is not finite; names the network.
    """
    if not bool(answers.detach().isfinite().all()):
        raise no_answer(network, of)
    return answers
