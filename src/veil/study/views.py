"""The participants' pages, rendered from ``templates/``; they reveal nothing about right answers."""

from functools import cache

import jinja2

from veil.images.containers import InMemory
from veil.images.structure import examine
from veil.runtime.seeds import seed_of
from veil.study.questions import Question, Study

Size = tuple[int, int]
_SECONDS = 15  # for a question, as the first page announces


def order(study: Study, participant: str) -> list[Question]:
    """The questions in a participant's random order, which is the same when the participant comes back."""
    return sorted(study.questions, key=lambda asked: seed_of("study order", study.name, participant, asked.name))


def sizes(images: dict[str, bytes]) -> dict[str, Size]:
    """Width and height of PNG files by name, as their headers say."""
    structures = {name: examine(InMemory(data)) for name, data in images.items()}
    return {name: (structure.width, structure.height) for name, structure in structures.items()}


def intro(study: Study) -> str:
    """The first page: purpose, stored data, and consent."""
    questions = len(study.questions)
    return _render("intro.html", study=study, count=questions, minutes=max(1, round(questions * _SECONDS / 60)))


def question(study: Study, asked: Question, number: int, sizes: dict[str, Size], *, missing: bool = False) -> str:
    """A question's page.

    Args:
        number: its place in the participant's order, from 1.
        sizes: of pictures by name, in pixels.
        missing: show that a photo must be chosen first.
    """
    return _render(
        "question.html", name=asked.name, shown=asked.shown, options=asked.options, number=number,
        count=len(study.questions), sizes=sizes, missing=missing, another_photo=study.settings.another_photo,
    )  # fmt: skip


def thanks(study: Study) -> str:
    """The last page."""
    return _render("thanks.html", contact=study.contact)


def message(title: str, text: str) -> str:
    """A page with one message and a link back."""
    return _render("message.html", title=title, text=text)


def style() -> str:
    """The style sheet."""
    return _render("style.css")


def script() -> str:
    """The script for choosing photos by keys; everything works without it."""
    return _render("keys.js")


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("veil.study"), jinja2.PackageLoader("veil.report")]),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
