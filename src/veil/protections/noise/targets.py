"""Target classes: which ones may be drawn, in which order, and the loss that draws a photo towards one.

Shared by the schemes that replace a photo's class by another (Liu et al. 2019, Algorithms 1 and 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from veil.images import content_digest
from veil.runtime.lazy import functional as F
from veil.runtime.lazy import torch
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor

    from veil.protections.noise.scheme import Aim


def cross_entropy(logits: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
    """J(θ; x; y) of eq. 5, and the probability of the goal.

    Args:
        logits: (N, K).
        goals: (N, K), rows sum to one; one-hot for a single target class y.

    Returns:
        The cross-entropy to the goal in nats, (N,), and the score in [0, 1], (N,).
    """
    log_probability = F.log_softmax(logits, 1)
    return -(goals * log_probability).sum(1), (goals * log_probability.exp()).sum(1)


def forbidden(logits: Sequence[Tensor], label_spaces: Sequence[int], truth: int | None) -> dict[int, set[int]]:
    """By label space, the classes that networks must not see first: the true one where it is known, else each network's
    first choice on the original.

    Args:
        logits: (K,) of each network on the original photo.
        label_spaces: a number per network; equal numbers mean equal class names.
        truth: index of the true class in the first network's label space.
    """
    spaces: dict[int, set[int]] = {space: set() for space in label_spaces}
    for answers, space in zip(logits, label_spaces, strict=True):
        spaces[space].add(int(answers.argmax()))
    if truth is not None:
        spaces[label_spaces[0]] = {truth}
    return spaces


def draw(
    logits: Sequence[Tensor],
    label_spaces: Sequence[int],
    image: Tensor,
    *,
    excluded_top: int,
    truth: int | None,
    seed: int,
) -> list[list[int]]:
    """The classes that each network may be drawn to, in the order to try; networks of one label space share it.

    First come all but the ``excluded_top`` best classes of any network, in random order, which depends on the seed
    and the photo's pixels and on nothing else. Where those run out, the excluded ones follow, least probable first.
    What is `forbidden` is never among them.

    Args:
        logits: (K,) of each network on the original photo.
        label_spaces: a number per network; equal numbers mean equal class names.
        image: uint8, (C, H, W): the original photo.
        truth: index of the true class in the first network's label space.

    Returns:
        One list per network.

    Raises:
        ValueError: where no class is left.
    """
    digest = content_digest(image)
    orders: dict[int, list[int]] = {}
    for space, never in forbidden(logits, label_spaces, truth).items():
        members = torch.stack([answers for answers, other in zip(logits, label_spaces, strict=True) if other == space])
        top = set(members.topk(min(excluded_top, members.shape[1])).indices.flatten().tolist())
        generator = torch.Generator().manual_seed(seed_of("target", seed, digest, space))
        allowed = [y for y in torch.randperm(members.shape[1], generator=generator).tolist() if y not in top | never]
        spare = [y for y in members.mean(0).argsort().tolist() if y in top - never]
        orders[space] = allowed + spare
        if not orders[space]:
            raise ValueError(f"no target class is left among {members.shape[1]}")
    return [orders[space] for space in label_spaces]


def towards(
    number: int,
    label_spaces: Sequence[int],
    image: Tensor,
    *,
    excluded_top: int,
    truth: int | None,
    seed: int,
) -> Aim:
    """An aim at the ``number``-th class that was drawn (from the start again where there are fewer)."""

    def aim(logits: Sequence[Tensor]) -> list[Tensor]:
        orders = draw(logits, label_spaces, image, excluded_top=excluded_top, truth=truth, seed=seed)
        return [
            F.one_hot(torch.tensor(order[number % len(order)]), len(answers)).float()
            for order, answers in zip(orders, logits, strict=True)
        ]

    return aim
