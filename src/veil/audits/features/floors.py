"""Floors of private attributes: what can be said of them without any features, in an audit (Li et al. 2019).

Two of them, each a row for each private attribute:

- ``floor``: from the *true* target attributes: what a service that is always right would give away;
- ``answer-floor``: from the service's own answers about the same faces, *as sent*, wrong ones among them: what it does
  give away. Whoever gets the answers guesses from yes and no, or from the scores behind them, whichever does better on
  the validation part. It needs the service.

An attacker below a floor is too weak to say anything: everybody reads that much without attacking anything.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from veil.audits.features.running import PART, RunningAudit
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.jobs.rows import Row
    from veil.metrics.attributes import Guess

TRUE, ANSWERS = "true", "answers"
_RIDGE = 1e-3


def floors(audit: RunningAudit) -> None:
    """A row for each floor of each private attribute."""
    from veil.metrics.attributes import measure

    kinds = {TRUE: "floor"} | ({ANSWERS: "answer-floor"} if audit.subject.answer is not None else {})
    judged = audit.faces.judged
    for name in audit.subject.hides:
        for floor, kind in kinds.items():
            if audit.there(kind=kind, attribute=name):
                continue
            guess, by = guesses(audit, name)[floor]
            result = measure(
                guess.scores, judged.labels([name])[:, 0], guess.threshold,
                accuracy_threshold=guess.accuracy_threshold, people=judged.identities,
            )  # fmt: skip
            audit.add(kind=kind, attribute=name, **({"by": by} if by else {}), **asdict(result))


def guesses(audit: RunningAudit, name: str) -> dict[str, tuple[Guess, str]]:
    """What is guessed of a private attribute of the judged faces, by floor, and by what; it is kept."""
    from veil.metrics.attributes import utility_guess

    if name not in audit.guessed:
        known, target = audit.faces.most, audit.subject.target
        true = utility_guess(known.labels(target), known.labels([name])[:, 0], audit.faces.judged.labels(target))
        audit.guessed[name] = {TRUE: (true, "")}
        if audit.subject.answer is not None:
            audit.guessed[name][ANSWERS] = _from_answers(audit, name)
    return audit.guessed[name]


def above(audit: RunningAudit, name: str, positive: Tensor) -> Row:
    """An attacker's balanced accuracy minus each floor's, paired, on the judged faces: a field of rows.

    Args:
        positive: whether the attacker says yes, bool (N,).
    """
    from veil.metrics.differences import balanced_difference

    judged = audit.faces.judged
    truths = judged.labels([name])[:, 0]
    return {
        "above": {
            floor: asdict(balanced_difference(positive, guess.positive, truths, judged.identities))
            for floor, (guess, _) in guesses(audit, name).items()
        }
    }


def _from_answers(audit: RunningAudit, name: str) -> tuple[Guess, str]:
    """The better of two guesses from the answers: by yes and no, or by the scores behind them.

    Both are fitted to the attackers' own faces, which the service has not been trained with: of its training's faces
    its answers are better than they will ever be again.
    """
    from veil.metrics.attributes import balanced_accuracy, utility_guess

    own, validation, judged = (_answers(audit, part) for part in ("own", "validation", "judged"))
    labels = audit.faces.own.labels([name])[:, 0]
    known = audit.faces.validation.labels([name])[:, 0]
    by_answer = [utility_guess(own >= 0, labels, part >= 0) for part in (validation, judged)]
    by_score = _by_scores((own, labels), (validation, known), judged)
    at_validation = (
        balanced_accuracy(by_answer[0].scores, known, by_answer[0].threshold),
        balanced_accuracy(by_score[0].scores, known, by_score[0].threshold),
    )
    if at_validation[1] > at_validation[0]:
        return by_score[1], "scores"
    return by_answer[1], "yes or no"


def _answers(audit: RunningAudit, part: str) -> Tensor:
    """The service's logits of a part of the faces, none of them mirrored: float64 (N, T)."""
    answer = audit.subject.answer
    assert answer is not None
    features = audit.features(part)[: len(getattr(audit.faces, part))]
    with torch.inference_mode():
        return torch.cat([answer(piece.float()).cpu() for piece in torch.split(features, PART)]).double()


def _by_scores(own: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], judged: Tensor) -> tuple[Guess, Guess]:
    """Regression of the attribute on scores and their squares; guesses about validation and judged faces."""
    from veil.metrics.attributes import Guess, best_threshold

    scores, labels = own
    mean, deviation = scores.mean(0), scores.std(0, correction=0).clamp_min(1e-9)

    def terms(values: Tensor) -> Tensor:
        standard = ((values - mean) / deviation).clamp(-10, 10)
        return torch.cat([standard, standard.square(), torch.ones_like(standard[:, :1])], 1)

    share = labels.double().mean()
    weight = torch.where(labels, 0.5 / share, 0.5 / (1 - share))[:, None]
    x, wanted = terms(scores), 2 * labels.double()[:, None] - 1
    square = x.T @ (weight * x) + _RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    coefficients = torch.linalg.solve(square, x.T @ (weight * wanted))
    others, last = (terms(values) @ coefficients for values in (validation[0], judged))
    thresholds = [best_threshold(others[:, 0], validation[1], balanced=balanced) for balanced in (True, False)]
    return Guess(others[:, 0], *thresholds), Guess(last[:, 0], *thresholds)
