"""The result of a study as a page: the verdict, tables, and every question with its answers."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from veil.images import rgb
from veil.report import figures
from veil.report.page import Page, Picture, Section, Table
from veil.study.questions import Question, Study
from veil.study.result import PAPER, Asked, Result, percent, verdict
from veil.study.statistics import Interval, Share

_FRAME = (23, 102, 91)
_GAP, _EDGE = 6, 5  # pixels


def page(study: Study, result: Result, images: Mapping[str, bytes], source: str) -> Page:
    """The page of a study.

    Args:
        images: PNG files by name, as `veil.study.folder.read_images` returns them.
        source: where the numbers come from, in prose.
    """
    _, text = verdict(result)
    asked = [question for question in study.questions if not question.attention]
    drawn = tuple(_picture(number, question, got, images)
                  for number, (question, got) in enumerate(zip(asked, result.questions, strict=True), 1))  # fmt: skip
    questions = Section("questions", "Questions", (_LEGEND,), (question_table(result),), _bars(result), source)
    shown = Section("pictures", "What people saw", pictures=drawn)
    return Page(
        "Do people recognise whom the reconstructions show?", "", (text,),
        (Section("result", "Result", (_READING,), (result_table(result),)),
         Section("people", "Who took part", tables=(people_table(result),)), questions, shown),
        kind="a study with people",
    )  # fmt: skip


_READING = (
    "Wilson's interval and the exact test take every answer for independent of the others. Answers of one person are "
    "not, nor are answers to one question: the interval over people draws whole people anew, the last one whole "
    "questions too, and says what holds for other pictures. The paper does not say whether its 40 responses are people "
    "or answers; both are shown."
)
_LEGEND = (
    "Of ten such studies in which everybody guesses, some four have a question whose interval misses guessing: look "
    "at a question that stands out, and do not conclude from it."
)


def result_table(result: Result) -> Table:
    """Accuracy with all intervals, beside guessing and the paper."""
    share = result.share
    wilson = None if share is None else share.interval
    paper = PAPER["accuracy"]
    lines = (
        ("this study: every answer by itself (Wilson)", _right(share), _percent(share), _interval(wilson)),
        ("over people (bootstrap)", "", "", _interval(result.over_people)),
        ("over people and questions (bootstrap)", "", "", _interval(result.over_questions)),
        ("exact binomial test against guessing, two-sided", "", "", "–" if result.p is None else f"p = {result.p:.3g}"),
        ("guessing", "", percent(result.chance), ""),
        *((f"Li et al. 2019, were it {name}", f"{paper * total:.0f} of {total}", percent(paper),
           _interval(Share(round(paper * total), total).interval))
          for name, total in (("40 people with ten answers each", 400), ("40 answers", 40))),
    )  # fmt: skip
    return Table("Right answers of those who count.", ("", "right", "accuracy", "95 % interval"), lines)


def people_table(result: Result) -> Table:
    """How many took part, by whether they count."""
    names = {
        "counted": ("answered everything, attention questions rightly: these count", result.share),
        "failed": ("failed an attention question", result.failed),
        "incomplete": ("stopped on the way, so far without a wrong attention answer", result.incomplete),
        "nothing": ("started and answered nothing", None),
    }
    lines = tuple(
        (text, str(result.people[name]), _right(share), _percent(share)) for name, (text, share) in names.items()
    )
    return Table(f"{result.attention} attention questions were asked; right answers are to the others.",
                 ("", "people", "right", "accuracy"), lines)  # fmt: skip


def question_table(result: Result) -> Table:
    """Every question with its accuracy; counts of those who count."""
    lines = tuple(
        (f"{number}: {question.subject}", _right(question.share), _percent(question.share),
         _interval(None if question.share is None else question.share.interval),
         "–" if question.seconds is None else f"{question.seconds:.1f}")
        for number, question in enumerate(result.questions, 1)
    )  # fmt: skip
    return Table("", ("question", "right", "accuracy", "95 % interval (Wilson)", "seconds, median"), lines)


def _bars(result: Result) -> tuple[Picture, ...]:
    heights = {
        str(n): 100 * question.share.accuracy
        for n, question in enumerate(result.questions, 1)
        if question.share is not None
    }
    if not heights:
        return ()
    return (Picture(
        "accuracy", "Right answers to each question, in percent, beside guessing.",
        lambda: figures.bars({"right": heights}, "right answers, %", xlabel="question",
                             reference={"guessing": 100 * result.chance}),
    ),)  # fmt: skip


def _picture(number: int, question: Question, got: Asked, images: Mapping[str, bytes]) -> Picture:
    chosen = ", ".join(str(times) for times in got.choices)
    caption = (
        f"Question {number}: what was shown, then the options; the right one has a frame. Chosen by, from left to "
        f"right: {chosen}."
    )
    shown, *options = (_pixels(images[name]) for name in (question.shown, *question.options))
    return Picture(f"question-{number}", caption, lambda: figures.image_grid(
        {f"question {number}": strip(shown, options, question.right)}, columns=1))  # fmt: skip


def strip(shown: NDArray[np.uint8], options: Sequence[NDArray[np.uint8]], right: int) -> NDArray[np.uint8]:
    """Pictures side by side, all uint8 (H, W, 3): the shown picture at the options' height, then the options."""
    height = options[0].shape[0]
    width = max(1, round(shown.shape[1] * height / shown.shape[0]))
    first = np.array(Image.fromarray(shown).resize((width, height), Image.Resampling.NEAREST))
    parts = [_framed(first, (255, 255, 255)), np.full((height + 2 * _EDGE, 2 * _GAP, 3), 255, np.uint8)]
    parts += [_framed(option, _FRAME if place == right else (255, 255, 255)) for place, option in enumerate(options)]
    return np.concatenate(parts, 1)


def _framed(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    height, width, _ = image.shape
    framed = np.full((height + 2 * _EDGE, width + 2 * _EDGE, 3), colour, np.uint8)
    framed[_EDGE : _EDGE + height, _EDGE : _EDGE + width] = image
    return framed


def _pixels(data: bytes) -> NDArray[np.uint8]:
    return rgb(data)


def _right(share: Share | None) -> str:
    return "–" if share is None else f"{share.right} of {share.total}"


def _percent(share: Share | None) -> str:
    return "–" if share is None else percent(share.accuracy)


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"
