"""A stricter HTTP/1.1 connection of uvicorn: it closes silent connections and refuses folded headers."""

import asyncio
import re
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from veil.study.guards import refusal

_END_OF_HEADERS = re.compile(rb"\n\r?\n")
_FOLDED = re.compile(rb"\n[ \t]")


class Connection(H11Protocol):
    """One client's connection.

    uvicorn closes a connection that is silent for ``timeout_keep_alive`` seconds after a response; this one also
    closes it before the first request and amid headers. h11 joins a folded header to one line, which is allowed, but a
    proxy may read its second line as a separate header, such as a length.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to wait for a request."""
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        """Reads data, and waits for the rest if the headers are incomplete."""
        super().data_received(data)
        self._wait_for_request()

    def handle_events(self) -> None:
        """Reads requests; refuses one with a header that continues in a second line."""
        if self.conn.their_state is h11.IDLE:
            headers = _END_OF_HEADERS.split(self.conn.trailing_data[0], maxsplit=1)[0]
            if _FOLDED.search(headers):
                return self.send_400_response("")
        return super().handle_events()

    def send_400_response(self, msg: str) -> None:
        """Answers a request that h11 cannot read with a page of the study."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            page = refusal(HTTPStatus.BAD_REQUEST)
            head = h11.Response(status_code=page.status_code, headers=page.raw_headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(page.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_request(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
