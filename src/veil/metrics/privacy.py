"""What a classifier still learns from a released image: ICP, ICE and the rank of the true class.

Source: Liu et al. 2019, section 3.2, equations 1 and 2. The observation ``o`` of the paper is the released
image; what the adversary's network says about it comes here as logits of shape (N, K), before any softmax.

How to read them: a *small* ICP and a *large* ICE are private. Compare both with their bounds: a blind guess among K
classes has ICP 1/K, and ICE is at most ln K. ICE alone says nothing about the true class: a network that is certain and
wrong has ICE 0 and ICP 0.

Deviations: equation 2 leaves the logarithm's base open; the natural one fits the paper's numbers (ln 1000 =
6.9, and about 0.7 for clean images). The ranks are not in the paper: an attacker may look at more answers
than the first.

All functions are pure, differentiable where that has a meaning, and raise ``ValueError`` for logits that are
not finite floats of shape (N, K) with K ≥ 1, and for true classes that are not integers of shape (N,) in [0,
K).
"""

import math

import torch
from torch import Tensor


def icp(logits: Tensor, true_class: Tensor) -> Tensor:
    """Image classification probability: the softmax probability of the true class (Liu et al. 2019, eq. 1).

    Small is private: 0 means that the classifier rules the truth out, 1 that it is sure of it; a guess has
    1/K.

    Args:
        logits: (N, K), finite floats.
        true_class: (N,), integers in [0, K).

    Returns:
        (N,) probabilities in [0, 1]; float32, or float64 where the logits are.
    """
    _check_true_class(logits, true_class)
    log_probabilities = _log_probabilities(logits)
    return log_probabilities.gather(1, true_class.long().unsqueeze(1)).squeeze(1).exp()


def ice(logits: Tensor) -> Tensor:
    """Image classification entropy of the classifier's answer, in nats (Liu et al. 2019, eq. 2).

    Large is private: 0 means one certain answer, be it right or wrong; the ceiling ln K means all classes
    alike.

    Args:
        logits: (N, K), finite floats.

    Returns:
        (N,) entropies in [0, ln K]; float32, or float64 where the logits are.
    """
    log_probabilities = _log_probabilities(logits)
    # A class so improbable that its logarithm left the number range would give 0 · (−inf) = NaN.
    finite = log_probabilities.clamp_min(torch.finfo(log_probabilities.dtype).min)
    entropy = -(log_probabilities.exp() * finite).sum(dim=1)
    return entropy.clamp(0.0, math.log(logits.shape[1]))


def ice_normalised(logits: Tensor) -> Tensor:
    """Image classification entropy as a share of its ceiling, ICE / ln K, to compare numbers of classes.

    With a single class there is nothing to be confused about: K = 1 is defined as 0.

    Args:
        logits: (N, K), finite floats.

    Returns:
        (N,) shares in [0, 1]; float32, or float64 where the logits are.
    """
    entropy = ice(logits)
    classes = logits.shape[1]
    return entropy if classes == 1 else (entropy / math.log(classes)).clamp(0.0, 1.0)


def rank(logits: Tensor, true_class: Tensor) -> Tensor:
    """Place of the true class among the classifier's answers; 1 is the top answer, K the last.

    Ties count against privacy: the true class takes the best place that it can have, so that with equal
    logits everywhere every class has rank 1.

    Args:
        logits: (N, K), finite floats.
        true_class: (N,), integers in [0, K).

    Returns:
        (N,) int64 in [1, K].
    """
    _check_true_class(logits, true_class)
    true_logit = logits.gather(1, true_class.long().unsqueeze(1))
    return (logits > true_logit).sum(dim=1) + 1


def survives(logits: Tensor, true_class: Tensor, k: int) -> Tensor:
    """Whether the true class is still within the top ``k`` answers, ties against privacy as in `rank`.

    The floor is min(k, K)/K: a guess of k classes out of K holds the true one that often.

    Args:
        logits: (N, K), finite floats.
        true_class: (N,), integers in [0, K).
        k: how many answers the attacker looks at, at least 1; from K on, every class survives.

    Returns:
        (N,) bool.

    Raises:
        ValueError: also for ``k`` below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return rank(logits, true_class) <= k


def _log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax over the classes, in float32 for half precision too."""
    _check_logits(logits)
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=1)


def _check_logits(logits: Tensor) -> None:
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise ValueError(f"logits must have shape (N, K) with K >= 1, got {tuple(logits.shape)}")
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floats, got {logits.dtype}")
    if not logits.isfinite().all():
        raise ValueError("logits must be finite")


def _check_true_class(logits: Tensor, true_class: Tensor) -> None:
    _check_logits(logits)
    if true_class.shape != logits.shape[:1]:
        raise ValueError(
            f"true_class must have shape ({logits.shape[0]},) beside logits of shape {tuple(logits.shape)}, "
            f"got {tuple(true_class.shape)}"
        )
    if true_class.is_floating_point() or true_class.is_complex() or true_class.dtype == torch.bool:
        raise ValueError(f"true_class must hold integers, got {true_class.dtype}")
    indices = true_class.long()  # a small integer type could not be compared with a large K
    if ((indices < 0) | (indices >= logits.shape[1])).any():
        raise ValueError(f"true_class must be in [0, {logits.shape[1]})")
