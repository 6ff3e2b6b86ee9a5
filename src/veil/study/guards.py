"""Requests that the study server refuses before any page, and the headers of all its responses (extra ``study``)."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veil.study import views

LARGEST_FORM = 1024  # bytes
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
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here. Your answers so far are kept; try again.",
}


class Guards:
    """Passes a request to an application or refuses it; adds `HEADERS` to every response.

    Args:
        app: answers the requests that are not refused.
        local: only this machine reaches the server. Then Host must name this machine, which stops DNS rebinding.
        outside: scheme and host of a proxy in front of the server.
    """

    def __init__(self, app: ASGIApp, *, local: bool, outside: str | None) -> None:
        self.app, self.local, self.outside = app, local, outside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI has it."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        status = self._reason_to_refuse(Request(scope))
        app = self.app if status is None else refusal(status)
        await app(scope, receive, send_with_headers)

    def _reason_to_refuse(self, request: Request) -> HTTPStatus | None:
        if request["http_version"] not in ("1.0", "1.1"):
            return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        if not self._accepts_host(request.headers.get("host", "")):
            return HTTPStatus.FORBIDDEN
        if not _end_is_clear(request):
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


def _end_is_clear(request: Request) -> bool:
    """Whether a request has a body only where a form is expected, and one of a length that all readers agree on.

    A proxy may send requests of several people on one connection. Where it and the server disagree about the end of
    a request, the rest is read as the request of the next person.
    """
    if "transfer-encoding" in request.headers:
        return False
    lengths = request.headers.getlist("content-length")
    if request.method != "POST":
        return lengths in ([], ["0"])
    return len(lengths) == 1 and bool(re.fullmatch(r"[0-9]{1,4}", lengths[0])) and int(lengths[0]) <= LARGEST_FORM
