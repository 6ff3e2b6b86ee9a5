"""A stricter HTTP/1.1 connection of uvicorn: bounded in size and time, and without folded headers.

uvicorn alone waits for ever for the first request, for headers that come byte by byte, and for a client that does not
read its response. Here all three have a deadline. h11 joins a folded header to one line, which is allowed, but a proxy
may read its second line as a separate header, such as a length: such a request is refused.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from veil.study.guards import refusal
from veil.study.limits import Limits, network

_END_OF_HEADERS = re.compile(rb"\n\r?\n")
_FOLDED = re.compile(rb"\n[ \t]")
_OPENING = (h11.IDLE, h11.SEND_RESPONSE)  # states in which a response can begin


class Connection(H11Protocol):
    """One client's connection.

    Args:
        config, server_state, app_state, _loop: uvicorn's own.
        limits: sizes, times and numbers of connections.
        proxied: a proxy stands in front, so that many clients share an address.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None, *, limits: Limits, proxied: bool,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self.limits, self.proxied = limits, proxied
        self._request = _Deadline(self.loop, limits.patience, self._close)
        self._reader = _Deadline(self.loop, limits.patience, lambda: self.transport.abort())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to wait for a request; one connection too many is refused and closed."""
        super().connection_made(transport)
        if self._too_many():
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        return self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets all deadlines."""
        self._request.stop()
        self._reader.stop()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Reads data, and waits for the rest if the headers are incomplete."""
        super().data_received(data)
        self._wait_for_request()

    def handle_events(self) -> None:
        """Reads requests; refuses one with headers that are too long or continue in a second line."""
        if self.conn.their_state is h11.IDLE:
            headers = _END_OF_HEADERS.split(self.conn.trailing_data[0], maxsplit=1)[0]
            if len(headers) > self.limits.header_bytes or headers.count(b"\n") > self.limits.headers:
                return self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            if _FOLDED.search(headers):
                return self._refuse(HTTPStatus.BAD_REQUEST)
        return super().handle_events()

    def on_response_complete(self) -> None:
        """Waits for the next request, or for the client to read the last response."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._reader.start()
        else:
            self._wait_for_request()

    def pause_writing(self) -> None:
        """A client takes its response slower than it is sent, or not at all."""
        super().pause_writing()
        self._reader.start()

    def resume_writing(self) -> None:
        """The client took most of it."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._reader.stop()

    def send_400_response(self, msg: str) -> None:
        """Answers a request that h11 cannot read."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _too_many(self) -> bool:
        if len(self.connections) > self.limits.connections:
            return True
        if self.proxied or self.client is None:
            return False
        address = network(self.client[0])
        clients = (other.client for other in self.connections if isinstance(other, Connection))
        return sum(client is not None and network(client[0]) == address for client in clients) > (
            self.limits.connections_of_one
        )

    def _refuse(self, status: HTTPStatus) -> None:
        """Answers with a page of the study, and closes the connection; the rest of what was sent is not read."""
        if self.conn.our_state in _OPENING:
            page = refusal(status)
            head = h11.Response(status_code=page.status_code, headers=page.raw_headers, reason=status.phrase.encode())
            for event in (head, h11.Data(data=bytes(page.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._reader.start()

    def _wait_for_request(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or self.transport.is_closing():
            self._request.stop()
        else:
            self._request.start()


class _Deadline:
    """Calls ``end`` some seconds after `start`, unless it is stopped; a deadline that runs is not put off."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, end: Callable[[], object]) -> None:
        self.loop, self.seconds, self.end = loop, seconds, end
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self.end)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
