"""The study server, over a real socket on this machine."""

import socket
from pathlib import Path
from threading import Thread

from fuzzing.reader import CORPUS, OLD, REPOSITORY, Prepared, Reader

_PATIENCE = 0.5  # seconds that the server waits for the rest of a request
_GOOD = b"GET /style.css HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_EVERY = 50  # mutated requests, then a good one
_COOKIE = b"participant-0123456789"


def _server(folder: Path) -> Prepared:
    """A running server with one participant; whatever is sent, nothing is answered or withdrawn for somebody else."""
    from veil.study.answers import Answers
    from veil.study.folder import read as read_study
    from veil.study.folder import read_images
    from veil.study.limits import Limits, Rate
    from veil.study.server import StudyServer

    study = read_study(REPOSITORY / OLD / "study")
    answers = Answers(folder / "answers.sqlite", study.name)
    name = answers.join()
    asked = study.questions[0].name
    answers.show(name, asked)
    answers.give(name, asked, 1)
    unbounded = Rate(rate=1e9, burst=1_000_000_000)
    limits = Limits(
        patience=_PATIENCE, of_address=unbounded, of_participant=unbounded, starts=unbounded, participants=1000
    )
    server = StudyServer(study, read_images(REPOSITORY / OLD / "study", study), answers, limits=limits)
    Thread(target=server.serve_forever, daemon=True).start()
    sent = 0

    def read(file: Path) -> None:
        nonlocal sent
        said = _exchange(server.port, file.read_bytes())
        assert said == b"" or said.startswith(b"HTTP/1.1 "), f"no response: {said[:80]!r}"
        assert b"HTTP/1.1 500 " not in said, "the server failed"
        sent += 1
        if sent % _EVERY == 1:
            assert _exchange(server.port, _GOOD).startswith(b"HTTP/1.1 200 "), "the server does not go on"
            assert answers.shown_to(name) == {asked: 1}, "somebody else's answers were changed"

    return Prepared(read, ())


def _exchange(port: int, data: bytes) -> bytes:
    """All that the server says before it closes the connection; RuntimeError where it does not."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                said += part
        except TimeoutError:
            raise RuntimeError("the connection stays open") from None
        except OSError:  # closed before all was read
            pass
    return said


ROWS = (
    Reader(
        name="request", title="a request to the study server", file="request.http", seeds=(f"{CORPUS}/requests/*",),
        prepare=_server, longest=1 << 16,
    ),
)  # fmt: skip
