"""A web server for one study, on Starlette and uvicorn (extra ``study``). It logs nothing about participants.

Threat model. Participants may send anything, in any order, as often as they like; they cannot read other people's
answers, change an answer, or learn which answers are right. A proxy may send requests of several people on one
connection: a request with an ambiguous end is refused, and the connection is closed. Another web page in a
participant's browser can neither answer (SameSite cookie, and the Origin of every POST is checked) nor read anything (a
server for this machine only checks Host, which stops DNS rebinding). Anyone who can read the network can read the
traffic: for participants elsewhere, put an HTTPS proxy in front (``address``). A participant who clears the cookies
counts as a new one, as in every study without accounts. One client cannot fill memory, disk or all connections
(`veil.study.limits`); a flood from many addresses can, and is for the proxy to stop. With ``address``, the last
address in X-Forwarded-For is believed: only the proxy may reach the server then.
"""

import logging
import math
import socket
from functools import partial
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from veil.study.answers import Answers
from veil.study.limits import Limits
from veil.study.questions import Study, StudyError

GRACE = 2  # seconds until requests that are still being answered when the server ends are given up
_BACKLOG = 64  # connections that wait to be accepted


class StudyServer:
    """Serves a study. It listens from the start, and answers in ``serve_forever`` until ``shutdown``.

    Args:
        study: questions with their solutions.
        images: its PNG files by name.
        answers: where answers are kept; closed by the caller.
        host, port: where to listen; port 0 takes a free one.
        address: how participants reach this server through a proxy, such as ``https://study.example.org``.
        limits: sizes, rates, times and numbers; None takes the defaults.

    Raises:
        StudyError: if the server cannot listen there, ``address`` is not an address, or the extra ``study`` is missing.
    """

    def __init__(
        self, study: Study, images: dict[str, bytes], answers: Answers, *, host: str = "127.0.0.1", port: int = 0,
        address: str | None = None, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        try:
            import uvicorn

            from veil.study.app import StudyApp
            from veil.study.connection import Connection
            from veil.study.guards import Guards
        except ModuleNotFoundError as error:
            library = (error.name or "").partition(".")[0]
            raise StudyError(f'{library} is not installed: pip install "veil[study]"') from error
        outside = None if address is None else _origin(address)
        secure = outside is not None and outside.startswith("https:")
        limits = limits or Limits()
        self.app = StudyApp(study, images, answers, secure=secure, limits=limits)
        self.listener = _listener(host, port)
        self.host, self.port = self.listener.getsockname()[:2]
        guarded = Guards(self.app.starlette(), local=self.local, outside=outside, cookie=self.app.cookie, limits=limits)
        connection = partial(Connection, limits=limits, proxied=outside is not None)
        self.uvicorn = uvicorn.Server(uvicorn.Config(
            guarded, loop="asyncio", http=connection, ws="none",  # type: ignore[arg-type]
            interface="asgi3", lifespan="off", workers=1,
            log_config=None, log_level=logging.CRITICAL, access_log=False, proxy_headers=False, server_header=False,
            backlog=_BACKLOG, timeout_keep_alive=math.ceil(limits.patience), timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=limits.header_bytes,
        ))  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def serve_forever(self) -> None:
        """Answers until ``shutdown``, or Ctrl-C, which raises KeyboardInterrupt after open requests are answered."""
        self.uvicorn.run(sockets=[self.listener])

    def shutdown(self) -> None:
        """Stops ``serve_forever``, which runs in another thread."""
        self.uvicorn.should_exit = True

    @property
    def url(self) -> str:
        """The address for a browser."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_local(self.host)


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise StudyError(f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}") from None
    return listener


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
