"""The result of a study: accuracy compared with guessing, who counts, and a verdict in words.

Source: Li et al. 2019, section 4.4: 28 % over ten questions, "40 responses". The paper gives no interval and does not
say whether these are 40 people or 40 answers; with either number, the 95 % interval contains the 25 % of guessing.

The rule of who counts is fixed in advance: participants who answered every question, and all attention questions
correctly. Participants who failed an attention question or stopped early are reported separately.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

from veil.runtime.seeds import seed_of
from veil.study.answers import Answer
from veil.study.questions import Question, Study
from veil.study.statistics import Interval, Share, p_value

PAPER = {"accuracy": 0.28, "responses": 40, "questions": 10, "chance": 0.25}
Level = Literal["above", "guessing", "below", "none"]
FEW = 10  # people: with fewer, intervals over people are too narrow


@dataclass(frozen=True)
class Asked:
    """A question and the answers of the participants who count.

    Attributes:
        subject: the original to find.
        share: of right answers; None if nobody counts.
        choices: how often each place was chosen.
        right: the right place, from 0.
        seconds: median time to the answer.
    """

    subject: str
    share: Share | None
    choices: tuple[int, ...]
    right: int
    seconds: float | None


@dataclass(frozen=True)
class Result:
    """The result of a study.

    Attributes:
        study: its name.
        chance: the accuracy of guessing.
        attention: number of attention questions.
        people: how many participants counted, failed an attention question, are incomplete, or did not answer anything.
        share: over the answers of participants who count, without attention questions; None if nobody counts.
        p: two-sided, of the exact binomial test against ``chance``.
        over_people: bootstrap interval over people; None for fewer than two.
        over_questions: the same over people and questions.
        failed, incomplete: share of right answers of participants who failed an attention question, or are incomplete.
        questions: in the study's order, without attention questions.
        seconds: median time to an answer of participants who count.
    """

    study: str
    chance: float
    attention: int
    people: Mapping[str, int]
    share: Share | None
    p: float | None
    over_people: Interval | None
    over_questions: Interval | None
    failed: Share | None
    incomplete: Share | None
    questions: tuple[Asked, ...]
    seconds: float | None


def result(study: Study, participants: Sequence[str], given_answers: Iterable[Answer], seed: int = 0) -> Result:
    """Counts answers.

    Args:
        participants: everybody who started.
        given_answers: answers to questions that the study does not have are ignored.
        seed: of the bootstrap.
    """
    from veil.metrics.intervals import of_answers

    asked = {question.name: question for question in study.questions}
    by_person: dict[str, dict[str, Answer]] = {name: {} for name in participants}
    for answer in given_answers:
        if answer.question in asked and answer.participant in by_person:
            by_person[answer.participant][answer.question] = answer
    groups: dict[str, list[dict[str, Answer]]] = defaultdict(list)
    for answers in by_person.values():
        groups[_group(answers, asked)].append(answers)
    real = [question for question in study.questions if not question.attention]
    counted, chance = groups["counted"], 1 / study.settings.options
    share = _share(counted, real)
    right = np.array(
        [[_is_right(answers[question.name], question) for question in real] for answers in counted], dtype=np.bool_
    )
    right = right.reshape(len(counted), len(real))
    draw = seed_of("study report", study.name, seed)
    return Result(
        study.name, chance, len(study.questions) - len(real),
        {name: len(groups[name]) for name in ("counted", "failed", "incomplete", "nothing")},
        share, None if share is None else p_value(share, chance),
        of_answers(right, draw), of_answers(right, draw, questions=True),
        _share(groups["failed"], real), _share(groups["incomplete"], real),
        tuple(_asked(question, counted) for question in real), _median(counted, real),
    )  # fmt: skip


def _group(answers: Mapping[str, Answer], asked: Mapping[str, Question]) -> str:
    if not answers:
        return "nothing"
    if any(asked[name].attention and not _is_right(answer, asked[name]) for name, answer in answers.items()):
        return "failed"
    return "counted" if answers.keys() == asked.keys() else "incomplete"


def _is_right(answer: Answer, question: Question) -> bool:
    return answer.choice == question.right


def _share(people: Sequence[Mapping[str, Answer]], questions: Sequence[Question]) -> Share | None:
    right = [
        _is_right(answers[asked.name], asked) for answers in people for asked in questions if asked.name in answers
    ]  # fmt: skip
    return Share(sum(right), len(right)) if right else None


def _median(people: Sequence[Mapping[str, Answer]], questions: Sequence[Question]) -> float | None:
    seconds = [answers[asked.name].seconds for answers in people for asked in questions]
    return median(seconds) if seconds else None


def _asked(question: Question, people: Sequence[Mapping[str, Answer]]) -> Asked:
    chosen = [answers[question.name].choice for answers in people]
    choices = tuple(chosen.count(place) for place in range(len(question.options)))
    return Asked(question.subject, _share(people, [question]), choices, question.right, _median(people, [question]))


def widest(outcome: Result) -> Interval | None:
    """The smallest interval that contains Wilson's and the one over people; None if nobody counts."""
    if outcome.share is None:
        return None
    intervals = [outcome.share.interval, *([outcome.over_people] if outcome.over_people is not None else [])]
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def verdict(outcome: Result) -> tuple[Level, str]:
    """The meaning of the result in plain words, according to the `widest` interval."""
    interval = widest(outcome)
    if outcome.share is None or interval is None:
        return "none", "Nobody has answered every question and passed the attention questions: nothing can be said yet."
    low, high = interval
    start = (
        f"People chose the right photo in {percent(outcome.share.accuracy)} of {outcome.share.total} answers "
        f"(95 % interval {percent(low)} to {percent(high)}; guessing gives {percent(outcome.chance)})."
    )
    few = "" if outcome.people["counted"] >= FEW else (
        f" With fewer than {FEW} people who count, the interval is a rough one; ask more."
    )  # fmt: skip
    if low > outcome.chance:
        level: Level = "above"
        end = f"The interval lies above guessing: people recognise somebody in these reconstructions.{_others(outcome)}"
    elif high < outcome.chance:
        level = "below"
        end = (
            "The interval lies below guessing: the reconstructions lead people to others. That is no protection: who "
            "knows it chooses against them."
        )
    else:
        level = "guessing"
        end = (
            "The interval holds guessing: this study does not show that people recognise anybody. Nor does it show "
            f"that they cannot: up to {percent(high)} remains possible, and a face recogniser may do better."
        )
    return level, f"{start} {end}{few}"


def _others(outcome: Result) -> str:
    """A sentence on whether a result above guessing holds beyond the pictures of this study."""
    if outcome.over_questions is None or outcome.over_questions[0] > outcome.chance:
        return ""
    return " It may rest on a few of them: over other pictures than these the interval holds guessing."


def percent(share: float) -> str:
    """A share as ``28.0 %``."""
    return f"{100 * share:.1f} %"


def as_json(outcome: Result) -> dict[str, Any]:
    """The result as JSON, its verdict and the paper's number beside it."""
    level, text = verdict(outcome)
    plain = asdict(outcome)
    for name in ("share", "failed", "incomplete"):
        plain[name] = _plain(getattr(outcome, name))
    plain["questions"] = [asdict(question) | {"share": _plain(question.share)} for question in outcome.questions]
    return {"verdict": {"level": level, "text": text, "interval": widest(outcome)}, **plain, "paper": PAPER}


def _plain(share: Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    return {"right": share.right, "total": share.total, "accuracy": share.accuracy, "interval": share.interval}
