"""A web server for one study, from the standard library: a first page, one question after the other, thanks.

Everything is in memory but the answers. An address is looked up in a table, never turned into a path, so nothing but
the study's pictures can be had; right answers are in no page. Nothing is logged: not who asked, not for what.

Threat model. Participants may send anything, in any order, as often as they like; they cannot read another's answers,
change an answer, or learn what is right. A proxy may send requests of several people on one connection: a request
whose end is ambiguous is refused, and the connection closed. Another web page that is open in a participant's browser
can neither answer (SameSite cookie, and the Origin of every POST is checked) nor read anything (Host is checked where
the server is for this machine only, against names that are pointed here). Who can read the network reads what is sent:
for participants elsewhere, put a proxy with HTTPS before it (``address``). A participant who clears the cookies is a
new one, as in every study without accounts.
"""

import re
import socketserver
import sys
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from typing import Any
from urllib.parse import parse_qs, urlsplit

from veil.study import views
from veil.study.answers import Answers
from veil.study.questions import Question, Study, StudyError

_HTML, _DAYS = "text/html; charset=utf-8", 30
_LARGEST_FORM = 1024  # bytes
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_IMAGE = re.compile(r"/images/([0-9a-f]{16})\.png")
_FORMS = ("/start", "/answer", "/withdraw")
_SAID = {
    HTTPStatus.BAD_REQUEST: "Your browser sent something that makes no sense here.",
    HTTPStatus.FORBIDDEN: "This request came from another web page, or under another name of this machine.",
    HTTPStatus.NOT_FOUND: "There is no such page.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here. Your answers so far are kept; try again.",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send forms with the Origin null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


class StudyServer(ThreadingHTTPServer):
    """Serves a study; ``serve_forever`` until ``shutdown``.

    Args:
        study: questions with their solutions.
        images: its PNG files by name.
        answers: where answers are kept; closed by the caller.
        host, port: where to listen; port 0 takes a free one.
        address: how participants reach this server through a proxy, such as ``https://study.example.org``.

    Raises:
        StudyError: where nothing can listen there, or ``address`` is none.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, study: Study, images: dict[str, bytes], answers: Answers, *, host: str = "127.0.0.1", port: int = 0,
        address: str | None = None,
    ) -> None:  # fmt: skip
        self.study, self.images, self.answers = study, images, answers
        self.sizes = views.sizes(images)
        self.questions = {each.name: each for each in study.questions}
        self.style, self.script = views.style().encode(), views.script().encode()
        self.outside = None if address is None else _origin(address)
        self.cookie = f"veil-study-{study.name}"
        self.address_family = AF_INET6 if ":" in host else AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise StudyError(f"cannot listen on {host}, port {port}: {reason}") from None

    def server_bind(self) -> None:
        """Binds, and asks no name service how this machine is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        host = str(self.server_address[0])
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://[{host}]:{self.server_port}/" if ":" in host else f"http://{host}:{self.server_port}/"

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_local(str(self.server_address[0]))

    def accepts_host(self, host: str) -> bool:
        """Whether a Host header names this server: where it is for this machine only, no other name does."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        outside = self.outside is not None and host.lower() == urlsplit(self.outside).netloc
        return bool(name) and (name in _LOCAL or outside or not self.local)

    def accepts_origin(self, origin: str | None, site: str | None, host: str) -> bool:
        """Whether a form was sent by our own page, as browsers say it."""
        if origin is None:  # some older browsers, which say it otherwise, or not at all
            return site == "same-origin"
        return origin.lower() == f"http://{host.lower()}" or (self.outside is not None and origin == self.outside)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says what failed, and never for whom; a browser that hung up is no failure."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"veil study: {type(error).__name__}: {error}", file=sys.stderr)


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(address: str) -> str:
    try:
        parts = urlsplit(address.lower())
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.path.strip("/")
        whole = whole and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        whole = False
    if not whole:
        raise StudyError(f"{address} is no address such as https://study.example.org")
    return f"{parts.scheme}://{parts.netloc}"


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    server_version, sys_version = "Veil", ""
    protocol_version = "HTTP/1.1"
    timeout = 20  # seconds without a word
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Pages and pictures."""
        self._answered(self._get)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Consent, answers, withdrawal."""
        self._answered(self._post)

    def _answered(self, do: Any) -> None:
        if not self.server.accepts_host(self.headers.get("Host", "")):
            return self.send_error(HTTPStatus.FORBIDDEN)
        if not self._end_is_clear():
            return self.send_error(HTTPStatus.BAD_REQUEST)
        try:
            return do(urlsplit(self.path).path)  # type: ignore[no-any-return]
        except (ConnectionError, TimeoutError):
            raise
        except ValueError as error:
            if isinstance(error, StudyError):
                print(f"veil study: {error}", file=sys.stderr)
                return self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return self.send_error(HTTPStatus.BAD_REQUEST)

    def _end_is_clear(self) -> bool:
        """Whether this server and a proxy before it agree on the last byte of the request.

        Where they do not, the rest would be read as a request of the next person on the connection. The standard
        library reads headers as those of an e-mail: it notes a line that is no header as a defect, and may end the
        headers early, so that there is a payload.
        """
        headers = self.headers
        folded = any("\r" in value or "\n" in value for value in headers.values())
        if headers.defects or headers.get_payload() or folded or "Transfer-Encoding" in headers:
            return False
        lengths = headers.get_all("Content-Length", [])
        return len(lengths) == 1 if self.command == "POST" else lengths in ([], ["0"])

    def _get(self, path: str) -> None:
        if found := _IMAGE.fullmatch(path):
            image = self.server.images.get(found[1])
            return self.send_error(HTTPStatus.NOT_FOUND) if image is None else self._send(image, "image/png")
        if path == "/style.css":
            return self._send(self.server.style, "text/css; charset=utf-8")
        if path == "/keys.js":
            return self._send(self.server.script, "text/javascript; charset=utf-8")
        if path in _FORMS:
            return self._see_other("/")
        if path not in ("/", "/question", "/thanks"):
            return self.send_error(HTTPStatus.NOT_FOUND)
        return self._page(path)

    def _page(self, path: str) -> None:
        """The page where the participant is; any other address leads there."""
        participant = self._participant()
        if participant is None:
            return self._html(views.intro(self.server.study)) if path == "/" else self._see_other("/")
        asked, number = self._next(participant)
        if asked is None:
            return self._html(views.thanks(self.server.study)) if path == "/thanks" else self._see_other("/thanks")
        if path != "/question":
            return self._see_other("/question")
        self.server.answers.show(participant, asked.name)
        return self._html(views.question(self.server.study, asked, number, self.server.sizes))

    def _post(self, path: str) -> None:
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        if not self.server.accepts_origin(origin, site, self.headers.get("Host", "")):
            return self.send_error(HTTPStatus.FORBIDDEN)
        if path not in _FORMS:
            return self.send_error(HTTPStatus.NOT_FOUND)
        form = self._form()
        participant = self._participant()
        if path == "/start":
            if participant is not None:
                return self._see_other("/question")
            return self._see_other("/question", self._cookie(self.server.answers.join(), _DAYS * 24 * 3600))
        if participant is None:
            return self._see_other("/")
        if path == "/withdraw":
            self.server.answers.withdraw(participant)
            gone = views.message(
                "Your answers are deleted", "Nothing of what you answered is kept. You can close this page."
            )
            return self._html(gone, cookie=self._cookie("", 0))
        return self._give(participant, form)

    def _give(self, participant: str, form: dict[str, str]) -> None:
        """Keeps an answer; a second one to the same question changes nothing."""
        asked = self.server.questions.get(form.get("question", ""))
        shown = self.server.answers.shown_to(participant)
        if asked is None or asked.name not in shown:
            return self.send_error(HTTPStatus.BAD_REQUEST)
        if shown[asked.name] is None:
            if "choice" not in form:
                _, number = self._next(participant)
                page = views.question(self.server.study, asked, number, self.server.sizes, missing=True)
                return self._html(page, HTTPStatus.UNPROCESSABLE_ENTITY)
            places = {str(place): place for place in range(len(asked.options))}
            if form["choice"] not in places:
                return self.send_error(HTTPStatus.BAD_REQUEST)
            self.server.answers.give(participant, asked.name, places[form["choice"]])
        return self._see_other("/question")

    def _next(self, participant: str) -> tuple[Question | None, int]:
        """The first question without an answer, and its number from 1; None where all have one."""
        shown = self.server.answers.shown_to(participant)
        for number, each in enumerate(views.order(self.server.study, participant), 1):
            if shown.get(each.name) is None:
                return each, number
        return None, len(self.server.questions)

    def _participant(self) -> str | None:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
        except CookieError:
            return None
        return found.value if found is not None and self.server.answers.knows(found.value) else None

    def _cookie(self, value: str, seconds: int) -> str:
        secure = "; Secure" if self.server.outside is not None and self.server.outside.startswith("https:") else ""
        return f"{self.server.cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"

    def _form(self) -> dict[str, str]:
        """The fields of a form that was sent.

        Raises:
            ValueError: where it is none, too long, or cut off.
        """
        length = self.headers["Content-Length"]
        kind = self.headers.get_content_type()
        if not re.fullmatch(r"[0-9]{1,4}", length):
            raise ValueError("no length")
        if int(length) > _LARGEST_FORM or kind != "application/x-www-form-urlencoded":
            raise ValueError("no form of ours")
        text = self.rfile.read(int(length)).decode("ascii")
        if len(text) < int(length):
            raise ValueError("half a form")
        fields = parse_qs(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=8)
        return {name: values[-1] for name, values in fields.items()}

    def _see_other(self, path: str, cookie: str | None = None) -> None:
        self._send(b"", _HTML, HTTPStatus.SEE_OTHER, cookie=cookie, location=path)

    def _html(self, page: str, status: HTTPStatus = HTTPStatus.OK, *, cookie: str | None = None) -> None:
        self._send(page.encode(), _HTML, status, cookie=cookie)

    def _send(
        self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, *, cookie: str | None = None,
        location: str | None = None,
    ) -> None:  # fmt: skip
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if cookie is not None:
            self.send_header("Set-Cookie", cookie)
        if location is not None:
            self.send_header("Location", location)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A page that says what is wrong; the rest of what was sent is not read."""
        status = HTTPStatus(code)
        self.close_connection = True
        text = _SAID.get(status, "The server cannot answer this.")
        self._html(views.message(status.phrase, text), status)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a log would say who took part."""
