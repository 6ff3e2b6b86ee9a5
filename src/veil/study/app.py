"""The pages of one study as a Starlette application: a first page, questions, thanks (extra ``study``).

Everything except the answers is in memory. Pictures are looked up by name, and no path is built from an address, so
only the study's pictures can be requested. No page contains the right answers.
"""

import asyncio
import sys
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from veil.study import views
from veil.study.answers import Answers, StudyFull
from veil.study.guards import refusal
from veil.study.limits import Limits
from veil.study.questions import Question, Study, StudyError

Form = dict[str, str]
_DAYS = 30  # that a cookie is kept
_FORM = "application/x-www-form-urlencoded"


class StudyApp:
    """Serves participants, whom a cookie with their random name identifies.

    Args:
        study: questions with their solutions.
        images: its PNG files by name.
        answers: where answers are kept.
        secure: participants use HTTPS, so the cookie is restricted to HTTPS.
        limits: how long to wait for the rest of a form, and how many participants there may be.
    """

    def __init__(
        self, study: Study, images: dict[str, bytes], answers: Answers, *, secure: bool, limits: Limits
    ) -> None:
        self.study, self.images, self.answers = study, images, answers
        self.secure, self.limits = secure, limits
        self.sizes = views.sizes(images)
        self.questions = {question.name: question for question in study.questions}
        self.cookie = f"veil-study-{study.name}"

    def starlette(self) -> Starlette:
        """The application with its addresses."""
        forms = {"/start": self._start, "/answer": self._answer, "/withdraw": self._withdraw}
        routes = [Route(path, self._current) for path in ("/", "/question", "/thanks")]
        routes += [Route(path, self._taking_form(answer), methods=["POST"]) for path, answer in forms.items()]
        routes += [Route(path, _home) for path in forms]
        routes += [
            Route("/images/{name}.png", self._image),
            Route("/style.css", _file(views.style(), "text/css")),
            Route("/keys.js", _file(views.script(), "text/javascript")),
        ]
        app = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _refused, StudyError: _failed, Exception: _failed},
        )
        app.router.redirect_slashes = False
        return app

    async def _image(self, request: Request) -> Response:
        image = self.images.get(request.path_params["name"])
        if image is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(image, media_type="image/png")

    def _current(self, request: Request) -> Response:
        """The participant's current page; any other address redirects to it."""
        path, participant = request["path"], self._participant(request)
        if participant is None:
            return HTMLResponse(views.intro(self.study)) if path == "/" else _see_other("/")
        asked, number = self._next(participant)
        if asked is None:
            return HTMLResponse(views.thanks(self.study)) if path == "/thanks" else _see_other("/thanks")
        if path != "/question":
            return _see_other("/question")
        self.answers.show(participant, asked.name)
        return HTMLResponse(views.question(self.study, asked, number, self.sizes))

    def _start(self, request: Request, form: Form) -> Response:
        response = _see_other("/question")
        if self._participant(request) is None:
            try:
                name = self.answers.join(self.limits.participants)
            except StudyFull:
                text = "As many people as are needed take part already. Thank you for your interest."
                return HTMLResponse(views.message("The study is full", text), HTTPStatus.SERVICE_UNAVAILABLE)
            self._set_cookie(response, name, _DAYS * 24 * 3600)
        return response

    def _answer(self, request: Request, form: Form) -> Response:
        """Stores an answer; a second answer to the same question changes nothing."""
        participant = self._participant(request)
        if participant is None:
            return _see_other("/")
        asked, shown = self.questions.get(form.get("question", "")), self.answers.shown_to(participant)
        if asked is None or asked.name not in shown:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        if shown[asked.name] is None:
            if "choice" not in form:
                _, number = self._next(participant)
                page = views.question(self.study, asked, number, self.sizes, missing=True)
                return HTMLResponse(page, HTTPStatus.UNPROCESSABLE_ENTITY)
            places = {str(place): place for place in range(len(asked.options))}
            if form["choice"] not in places:
                raise HTTPException(HTTPStatus.BAD_REQUEST)
            self.answers.give(participant, asked.name, places[form["choice"]])
        return _see_other("/question")

    def _withdraw(self, request: Request, form: Form) -> Response:
        participant = self._participant(request)
        if participant is None:
            return _see_other("/")
        self.answers.withdraw(participant)
        text = "Nothing of what you answered is kept. You can close this page."
        response = HTMLResponse(views.message("Your answers are deleted", text))
        self._set_cookie(response, "", 0)
        return response

    def _next(self, participant: str) -> tuple[Question | None, int]:
        """The first question without an answer, and its number from 1; None if all have answers."""
        shown = self.answers.shown_to(participant)
        for number, question in enumerate(views.order(self.study, participant), 1):
            if shown.get(question.name) is None:
                return question, number
        return None, len(self.questions)

    def _participant(self, request: Request) -> str | None:
        name = request.cookies.get(self.cookie)
        return name if name is not None and self.answers.knows(name) else None

    def _set_cookie(self, response: Response, value: str, seconds: int) -> None:
        response.set_cookie(self.cookie, value, max_age=seconds, secure=self.secure, httponly=True, samesite="strict")

    def _taking_form(self, answer: Callable[[Request, Form], Response]) -> Callable[..., object]:
        """An endpoint that reads a form and answers in a thread, because storing an answer waits for the disk."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(answer, request, await self._read_form(request))

        return endpoint

    async def _read_form(self, request: Request) -> Form:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _FORM:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        try:
            async with asyncio.timeout(self.limits.patience):
                text = (await request.body()).decode("ascii")
            fields = parse_qs(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=8)
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from None
        except (ValueError, ClientDisconnect):
            raise HTTPException(HTTPStatus.BAD_REQUEST) from None
        return {name: values[-1] for name, values in fields.items()}


async def _home(request: Request) -> Response:
    return _see_other("/")


def _see_other(path: str) -> Response:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def _file(text: str, kind: str) -> Callable[..., object]:
    async def endpoint(request: Request) -> Response:
        return Response(text, media_type=kind)

    return endpoint


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(HTTPStatus(error.status_code), error.headers)


def _failed(request: Request, error: Exception) -> Response:
    """Prints on the terminal what failed, but never for which participant."""
    kind = "" if isinstance(error, StudyError) else f"{type(error).__name__}: "
    print(f"veil study: {kind}{error}", file=sys.stderr)
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
