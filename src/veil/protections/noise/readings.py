"""What networks say of a photo before and after: readings of original and released pixels, and what survives.

Everything here looks at uint8 pixels as a file gave them. Readings are taken in float32 by the same passes that the
engine uses, so that the descent and its judgement cannot disagree about one file. A network that gives no finite answer
for a photo judges nothing: `NoFiniteAnswer` names it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from veil.images.processing import PLATFORMS, Processing, processed
from veil.metrics import privacy
from veil.models.classifier import Classifier
from veil.protections.noise.passes import Passes
from veil.protections.noise.scheme import Objective, Verdict


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one network says of a photo, before and after. Probabilities in [0, 1], entropies in nats.

    Attributes:
        network: its name.
        true_class: index of the true class, or of the first choice on the original where the truth is not known.
        class_before, class_after: first choices; ``score_before`` and ``score_after`` are their probabilities.
        icp_before, icp_after: probability of the true class (eq. 1 of Liu et al. 2019).
        ice_before, ice_after: entropy (eq. 2).
        rank_after: rank of the true class, 1 is first.
    """

    network: str
    true_class: int
    class_before: int
    class_after: int
    score_before: float
    score_after: float
    icp_before: float
    icp_after: float
    ice_before: float
    ice_after: float
    rank_after: int


def label_spaces(classifiers: Sequence[Classifier]) -> list[int]:
    """A number for each classifier; equal numbers where the class names are equal."""
    first: dict[tuple[str, ...], int] = {}
    return [first.setdefault(classifier.classes, number) for number, classifier in enumerate(classifiers)]


def readings_of(
    passes: Passes, before: Tensor, after: Tensor, truths: Sequence[int | None]
) -> tuple[list[Reading], list[Tensor]]:
    """Asks every classifier about uint8 pixels (C, H, W) before and after.

    ``truths`` holds the true class in each network's own label space, None where it is not known.

    Returns:
        A reading per network, and each network's logits (K,) on ``after``.

    Raises:
        NoFiniteAnswer: where a network gives none.
    """
    answers = passes.logits([before, after])
    readings = [
        reading_of(classifier.name, logits, truth)
        for classifier, logits, truth in zip(passes.classifiers, answers, truths, strict=True)
    ]
    return readings, [logits[1] for logits in answers]


def reading_of(network: str, logits: Tensor, truth: int | None) -> Reading:
    """What a network's logits (2, K), before and after, say; ``truth`` as in `readings_of`."""
    true_class = int(logits[0].argmax()) if truth is None else truth
    true = torch.full((2,), true_class)
    score, chosen = logits.softmax(1).max(1)
    icp, ice = privacy.icp(logits, true), privacy.ice(logits)
    return Reading(
        network=network, true_class=true_class,
        class_before=int(chosen[0]), class_after=int(chosen[1]),
        score_before=float(score[0]), score_after=float(score[1]),
        icp_before=float(icp[0]), icp_after=float(icp[1]),
        ice_before=float(ice[0]), ice_after=float(ice[1]),
        rank_after=int(privacy.rank(logits, true)[1]),
    )  # fmt: skip


def worst_verdict(
    readings: Sequence[Reading], after: Sequence[Tensor], goals: Sequence[Sequence[Tensor]], objective: Objective
) -> Verdict:
    """The worst of several networks, for a scheme to judge.

    Args:
        readings: one per network of the descent.
        after: logits (K,) of each network on the decoded file.
        goals: for each noise that was added, the goal (K,) of each network.
        objective: the scheme's, for its score.
    """
    scores = []
    for number, logits in enumerate(after):
        reached = [objective(logits[None], goal[number][None])[1] for goal in goals]
        scores.append(max((float(score) for score in reached), default=0.0))
    least = min(readings, key=lambda r: r.ice_after - r.ice_before)
    return Verdict(
        truth_on_top=any(r.class_after == r.true_class for r in readings),
        icp_before=max(r.icp_before for r in readings),
        icp_after=max(r.icp_after for r in readings),
        entropy_before=least.ice_before,
        entropy_after=least.ice_after,
        target_score=min(scores),
    )


def left_after_processing(
    passes: Passes, after: Tensor, readings: Sequence[Reading], processings: Mapping[str, Processing] = PLATFORMS
) -> dict[str, dict[str, dict[str, float]]]:
    """What is left of the noise after each of ``processings``, per network.

    Returns:
        ``{network: {processing: {"class_after", "icp_after", "ice_after"}}}``; nothing is left where ``class_after``
        is the true class again.

    Raises:
        NoFiniteAnswer: where a network gives none.
    """
    logits = passes.logits([processed(after, processing) for processing in processings.values()])
    result: dict[str, dict[str, dict[str, float]]] = {}
    for reading, answers in zip(readings, logits, strict=True):
        icp = privacy.icp(answers, torch.full((len(answers),), reading.true_class))
        ice, chosen = privacy.ice(answers), answers.argmax(1)
        result[reading.network] = {
            name: {"class_after": int(chosen[i]), "icp_after": float(icp[i]), "ice_after": float(ice[i])}
            for i, name in enumerate(processings)
        }
    return result
