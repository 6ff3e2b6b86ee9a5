"""Requests that the study server refuses before any page, and the headers of all its responses (extra ``study``)."""

import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veil.study import views
from veil.study.limits import Buckets, Limits, network

HEADERS = {
    "Server": "Veil",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send forms with the Origin null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_TEXTS = {
    HTTPStatus.BAD_REQUEST: "Your browser sent something that makes no sense here.",
    HTTPStatus.FORBIDDEN: "This request came from another web page, or under another name of this machine.",
    HTTPStatus.NOT_FOUND: "There is no such page.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "Your browser sent more than makes sense here.",
    HTTPStatus.TOO_MANY_REQUESTS: "That was too much at once. Wait a moment, then go back and try again.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Too many people take part at the moment. Try again later.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here. Your answers so far are kept; try again.",
}


class Guards:
    """Passes a request to an application or refuses it; adds `HEADERS` to every response.

    Args:
        app: answers the requests that are not refused.
        local: only this machine reaches the server. Then Host must name this machine, which stops DNS rebinding.
        outside: scheme and host of a proxy in front of the server.
        cookie: name of the participants' cookie.
        limits: sizes and rates.
    """

    def __init__(self, app: ASGIApp, *, local: bool, outside: str | None, cookie: str, limits: Limits) -> None:
        self.app, self.local, self.outside, self.cookie, self.limits = app, local, outside, cookie, limits
        self._by_address, self._by_participant = Buckets(limits.of_address), Buckets(limits.of_participant)
        self._starts = Buckets(limits.starts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI has it."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        status, headers = self._reason_to_refuse(request), {}
        if status is None and (seconds := self._seconds_to_wait(request)):
            status, headers = HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(math.ceil(seconds))}
        app = self.app if status is None else refusal(status, headers)
        await app(scope, receive, send_with_headers)

    def _seconds_to_wait(self, request: Request) -> float:
        """Counts a request for its address and its participant; 0 where all of them may ask now.

        Whether a participant exists is not known here: anybody can send any cookie.
        """
        address, participant = self._address(request), request.cookies.get(self.cookie)
        is_start = request.method == "POST" and request["path"] == "/start"
        counted = (
            (self._by_address, address),
            (self._by_participant, participant),
            (self._starts, address if is_start else None),
        )
        return next((seconds for buckets, name in counted if name and (seconds := buckets.wait(name))), 0.0)

    def _address(self, request: Request) -> str | None:
        """Whose request it is: behind a proxy, the address that it appended last; None where it names nobody."""
        if self.outside is None:
            return None if request.client is None else network(request.client.host)
        forwarded = request.headers.getlist("x-forwarded-for")
        last = forwarded[-1].rpartition(",")[2].strip() if forwarded else ""
        return network(last) if last else None

    def _reason_to_refuse(self, request: Request) -> HTTPStatus | None:
        if request["http_version"] not in ("1.0", "1.1"):
            return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        if not self._accepts_host(request.headers.get("host", "")):
            return HTTPStatus.FORBIDDEN
        if not _end_is_clear(request, self.limits.form_bytes):
            return HTTPStatus.BAD_REQUEST
        if request.method == "POST" and not self._accepts_origin(request):
            return HTTPStatus.FORBIDDEN
        return None

    def _accepts_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        outside = self.outside is not None and host.lower() == urlsplit(self.outside).netloc
        return bool(name) and (name in _LOCAL or outside or not self.local)

    def _accepts_origin(self, request: Request) -> bool:
        """Whether our own page sent a form, according to the browser's headers."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin is None:  # some older browsers, which say it otherwise, or not at all
            return request.headers.get("sec-fetch-site") == "same-origin"
        return origin.lower() == f"http://{host.lower()}" or (self.outside is not None and origin == self.outside)


def refusal(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """A page that says what is wrong and closes the connection; the rest of the request is not read."""
    text = _TEXTS.get(status, "The server cannot answer this.")
    page = views.message(status.phrase, text)
    return HTMLResponse(page, status, {**(headers or {}), **HEADERS, "Connection": "close"})


def _end_is_clear(request: Request, most: int) -> bool:
    """Whether a request has a body only where a form is expected, and one of a length that all readers agree on.

    A proxy may send requests of several people on one connection. Where it and the server disagree about the end of
    a request, the rest is read as the request of the next person.

    Args:
        most: bytes of a form.
    """
    if "transfer-encoding" in request.headers:
        return False
    lengths = request.headers.getlist("content-length")
    if request.method != "POST":
        return lengths in ([], ["0"])
    return len(lengths) == 1 and bool(re.fullmatch(r"[0-9]{1,9}", lengths[0])) and int(lengths[0]) <= most
