"""Limits of the study server, over a real socket: rates, slow clients, connections, participants."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from participants import IMAGES, MADE, Person, serving, text

from veil.study.answers import Answers, StudyFull
from veil.study.limits import Buckets, Limits, Rate, network
from veil.study.server import StudyServer

STYLE = b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
NEVER = 1e-6  # a second: a rate at which nothing comes back during a test


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    with Answers(tmp_path / "answers.sqlite", MADE.study.name) as opened:
        yield opened


def opened(server: StudyServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def said(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    answer = b""
    try:
        while data := connection.recv(1 << 16):
            answer += data
    except ConnectionError:
        pass
    return answer


def test_a_bucket_refills_with_time() -> None:
    now = [0.0]
    buckets = Buckets(Rate(rate=2, burst=3), clock=lambda: now[0])
    assert [buckets.wait("one") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("another") == 0, "others are not held up"
    now[0] = 0.25
    assert buckets.wait("one") == pytest.approx(0.25), "asking too early costs nothing"
    now[0] = 0.5
    assert buckets.wait("one") == 0
    assert buckets.wait("one") == 0.5
    now[0] = 1e9
    assert [buckets.wait("one") for _ in range(4)] == [0, 0, 0, 0.5], "never more than the burst"


def test_clients_that_are_remembered_are_bounded() -> None:
    buckets = Buckets(Rate(rate=NEVER, burst=1), most=10, clock=lambda: 0.0)
    for client in range(1000):
        buckets.wait(str(client))
    assert len(buckets._left) == 10
    assert buckets.wait("999") > 0, "the latest are remembered"


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("unknown", "unknown"),
    ],
)
def test_one_address(address: str, counts_as: str) -> None:
    assert network(address) == counts_as


def test_too_many_requests_of_an_address_are_refused_for_a_while(answers: Answers) -> None:
    limits = Limits(of_address=Rate(rate=NEVER, burst=5))
    with serving(answers, limits=limits) as server:
        one = Person(server)
        assert [one.ask("GET", "/").status for _ in range(7)] == [200] * 5 + [429] * 2
        refused = one.ask("GET", "/style.css")
        assert int(refused.headers["Retry-After"]) > 1000
        assert refused.headers["X-Content-Type-Options"] == "nosniff"
        assert "try again" in text(refused)


def test_too_many_requests_of_a_participant_are_refused(answers: Answers) -> None:
    with serving(answers, limits=Limits(of_participant=Rate(rate=NEVER, burst=3))) as server:
        one, other = Person(server).start(), Person(server).start()
        assert [one.ask("GET", "/question").status for _ in range(4)] == [200] * 3 + [429]
        assert other.ask("GET", "/question").status == 200, "others are not held up"


def test_pipelined_requests_count_one_by_one(answers: Answers) -> None:
    with (
        serving(answers, limits=Limits(of_address=Rate(rate=NEVER, burst=5))) as server,
        opened(server) as connection,
    ):
        connection.sendall(STYLE * 50)
        answer = said(connection)
    assert answer.count(b" 200 OK\r\n") == 5
    assert answer.count(b" 429 Too Many Requests\r\n") == 1, "and the connection is closed"


def test_participants_are_limited(answers: Answers) -> None:
    with serving(answers, limits=Limits(participants=2)) as server:
        one, other = Person(server).start(), Person(server).start()
        late = Person(server)
        refused = late.ask("POST", "/start")
        assert refused.status == 503
        assert "The study is full" in text(refused)
        assert late.cookie == ""
        assert other.answer(other.question(), 1) == 303, "who takes part goes on"
        one.ask("POST", "/withdraw")
        late.start()
    assert len(answers.participants()) == 2
    with pytest.raises(StudyFull):
        answers.join(most=2)


def test_new_participants_of_an_address_are_limited(answers: Answers) -> None:
    with serving(answers, limits=Limits(starts=Rate(rate=NEVER, burst=2))) as server:
        cookies = [None, f"{server.app.cookie}=nobody", f"{server.app.cookie}=somebody"]
        assert [Person(server).ask("POST", "/start", Cookie=cookie).status for cookie in cookies] == [303, 303, 429]
        assert Person(server).ask("GET", "/").status == 200
    assert len(answers.participants()) == 2


def test_behind_a_proxy_the_address_that_it_names_counts(answers: Answers) -> None:
    limits = Limits(of_address=Rate(rate=NEVER, burst=2))
    with serving(answers, limits=limits, address="https://study.example.org") as server:
        one = Person(server)
        forged = ["192.0.2.9, 192.0.2.1", "192.0.2.8, 192.0.2.1", "192.0.2.7,192.0.2.1"]
        assert [one.ask("GET", "/", X_Forwarded_For=text).status for text in forged] == [200, 200, 429]
        assert one.ask("GET", "/", X_Forwarded_For="192.0.2.2").status == 200
        assert [one.ask("GET", "/").status for _ in range(4)] == [200] * 4, "a proxy that names nobody"


def test_without_a_proxy_nobody_can_name_an_address(answers: Answers) -> None:
    with serving(answers, limits=Limits(of_address=Rate(rate=NEVER, burst=2))) as server:
        one = Person(server)
        statuses = [one.ask("GET", "/", X_Forwarded_For=f"192.0.2.{n}").status for n in range(3)]
        assert statuses == [200, 200, 429]


@pytest.mark.parametrize("limits", [Limits(connections=4), Limits(connections_of_one=4)], ids=["all", "of one address"])
def test_connections_are_limited(answers: Answers, limits: Limits) -> None:
    with serving(answers, limits=limits) as server, ExitStack() as stack:
        for _ in range(4):
            held = stack.enter_context(opened(server))
            held.sendall(STYLE)
            assert b" 200 OK" in held.recv(1 << 16)
        with opened(server) as late:
            assert said(late).startswith(b"HTTP/1.1 503 ")
        held.close()
        for _ in range(100):  # the server may not have seen yet that it was closed
            with opened(server) as later:
                later.sendall(STYLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                if said(later).startswith(b"HTTP/1.1 200 "):
                    return
        pytest.fail("a place that was left is not given to others")


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nX-Slow: ", b"\r\n", STYLE + b"GET / HTTP"],
    ids=["a header", "empty lines", "a second request"],
)
def test_headers_that_come_byte_by_byte_have_a_deadline(answers: Answers, sent: bytes) -> None:
    with serving(answers, limits=Limits(patience=0.3)) as server, opened(server) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 20:  # every byte comes long before the deadline
                connection.sendall(b"a")
                time.sleep(0.02)
            pytest.fail("the connection stays open")


def test_who_does_not_read_the_response_is_cut_off(answers: Answers) -> None:
    picture = next(iter(IMAGES))
    with serving(answers, limits=Limits(patience=0.3)) as server:
        server.app.images = {picture: bytes(1 << 24)}  # more than the system's buffers take
        with opened(server) as connection:
            connection.sendall(f"GET /images/{picture}.png HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            began = time.monotonic()
            while server.uvicorn.server_state.connections or time.monotonic() - began < 0.2:
                assert time.monotonic() - began < 20, "it holds the connection"
                time.sleep(0.02)
        assert Person(server).ask("GET", "/").status == 200


def test_a_slow_form_has_a_deadline_and_is_not_an_answer(answers: Answers) -> None:
    with serving(answers, limits=Limits(patience=0.3)) as server:
        one = Person(server).start()
        form = f"question={one.question()}&choice=1".encode()
        head = (
            f"POST /answer HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: {one.cookie}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
        )
        with opened(server) as connection:
            connection.sendall(head.encode())
            for byte in form[:-1]:
                try:
                    connection.sendall(bytes([byte]))
                except ConnectionError:
                    break
                time.sleep(0.02)
            assert b" 408 " in said(connection)
    assert answers.given() == []


def test_no_answer_is_lost_while_others_flood_the_server(answers: Answers) -> None:
    """Thirty connections that say nothing, and pipelined requests without end, beside eight people who answer."""
    with serving(answers, limits=Limits(of_participant=Rate(rate=1000, burst=1000))) as server, ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(opened(server))
        flood = stack.enter_context(opened(server))
        flood.setblocking(False)
        with suppress(BlockingIOError):
            flood.sendall(STYLE * 20_000)

        def takes_part(_: int) -> None:
            one = Person(server).start()
            for choice in range(4):
                assert one.answer(one.question(), choice) == 303

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(takes_part, range(8)))
    assert len(answers.given()) == 32
