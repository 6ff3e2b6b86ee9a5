"""Requests on one kept connection, as a proxy sends those of several people: a body never becomes a request."""

import re
import socket

import pytest
from participants import FORM, Person, serving

from veil.study.answers import Answers
from veil.study.limits import Limits
from veil.study.server import StudyServer

HOST = "localhost"
# Last headers and body of `GET /style.css`. `{stolen}` is a whole request in somebody's name, `{n}` its length.
# A proxy and a server may disagree about where these requests end.
SMUGGLED = {
    "a body of GET": "Content-Length: {n}\r\n\r\n{stolen}",
    "a chunked body of GET": "Transfer-Encoding: chunked\r\n\r\n{n:x}\r\n{stolen}\r\n0\r\n\r\n",
    "after the last chunk": "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{stolen}",
    "a length and chunks": "Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{stolen}",
    "chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: {n}\r\n\r\n0\r\n\r\n{stolen}",
    "an unknown encoding": "Transfer-Encoding: xchunked\r\nContent-Length: {n}\r\n\r\n{stolen}",
    "two lengths": "Content-Length: 0\r\nContent-Length: {n}\r\n\r\n{stolen}",
    "two lengths, the other way": "Content-Length: {n}\r\nContent-Length: 0\r\n\r\n{stolen}",
    "two lengths in one": "Content-Length: 0, {n}\r\n\r\n{stolen}",
    "a negative length": "Content-Length: -{n}\r\n\r\n{stolen}",
    "a length with a sign": "Content-Length: +{n}\r\n\r\n{stolen}",
    "a length in words": "Content-Length: many\r\n\r\n{stolen}",
    "a length of another base": "Content-Length: 0x{n:x}\r\n\r\n{stolen}",
    "a folded length": "Content-Length:\r\n {n}\r\n\r\n{stolen}",
    "a folded encoding": "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{stolen}",
    "a length folded into another header": "X-Ignore: a\r\n Content-Length: {n}\r\n\r\n{stolen}",
    "a length after a tab": "X-Ignore: a\r\n\tContent-Length: {n}\r\n\r\n{stolen}",
    "a space before the colon": "Content-Length : {n}\r\n\r\n{stolen}",
    "a length after a line that is no header": "nonsense\r\nContent-Length: {n}\r\n\r\n{stolen}",
    "a length after lone carriage returns": "X-Ignore: a\r\r\nContent-Length: {n}\r\n\r\n{stolen}",
    "lines that end without carriage returns": "Content-Length: {n}\n\n{stolen}",
}


def request(method: str, path: str, cookie: str = "", rest: str = "") -> str:
    """A request but for the empty line after its headers, or ``rest`` in its place."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookie}\r\n"
    if method == "POST":
        head += f"Origin: http://{HOST}\r\nContent-Type: {FORM}\r\n"
    return head + rest


LAST = request("GET", "/keys.js", rest="Connection: close\r\n\r\n")


def exchange(server: StudyServer, *sent: str, ends: bool = False) -> bytes:
    """What a server says on one connection until it closes it; fails where it does not.

    Args:
        sent: bytes in several parts.
        ends: say that nothing more is sent.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        try:
            for part in sent:
                connection.sendall(part.encode())
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 16):
                answer += data
        except ConnectionError:  # it was closed before all that was sent had been read
            pass
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED)
def test_a_body_is_never_a_request(server: StudyServer, answers: Answers, rest: str) -> None:
    one = Person(server).start()
    stolen = request("POST", "/withdraw", one.cookie, "Content-Length: 0\r\n\r\n")
    attack = request("GET", "/style.css", rest=rest.format(stolen=stolen, n=len(stolen)))
    answer = exchange(server, attack + LAST)
    assert len(answers.participants()) == 1, "who is named in what was smuggled still takes part"
    assert statuses(answer) == [400], "nothing else is answered"


def test_the_same_request_outside_a_body_is_one(server: StudyServer, answers: Answers) -> None:
    one = Person(server).start()
    withdrawal = request("POST", "/withdraw", one.cookie, "Content-Length: 0\r\n\r\n")
    answer = exchange(server, request("GET", "/style.css", rest="\r\n") + withdrawal + LAST)
    assert statuses(answer) == [200, 200, 200]
    assert answers.participants() == []


def test_the_next_person_on_a_connection_is_safe(server: StudyServer, answers: Answers) -> None:
    """The start of a request that is left in a connection would be completed by who comes next, cookie and all."""
    one = Person(server).start()
    left = request("POST", "/withdraw", rest="Content-Length: 0\r\nX-Ignore: ").replace("Cookie: \r\n", "")
    attack = request("GET", "/style.css", rest=f"Content-Length: {len(left)}\r\n\r\n{left}")
    answer = exchange(server, attack, request("GET", "/", one.cookie, "Connection: close\r\n\r\n"))
    assert len(answers.participants()) == 1
    assert b"deleted" not in answer


def test_a_connection_is_kept_for_proper_requests(server: StudyServer, answers: Answers) -> None:
    one = Person(server).start()
    asked = one.question()
    form = f"question={asked}&choice=2"
    answer = exchange(
        server,
        request("GET", "/style.css", rest="Content-Length: 0\r\n\r\n"),
        request("POST", "/answer", one.cookie, f"Content-Length: {len(form)}\r\n\r\n{form}"),
        request("HEAD", "/keys.js", rest="\r\n"),
        request("GET", "/question", one.cookie, "Connection: close\r\n\r\n"),
    )
    assert statuses(answer) == [200, 303, 200, 200]
    assert [each.choice for each in answers.given()] == [2]


def test_a_later_request_is_checked_like_the_first(server: StudyServer, answers: Answers) -> None:
    one = Person(server).start()
    stolen = request("POST", "/withdraw", one.cookie, "Content-Length: 0\r\n\r\n")
    attack = request("GET", "/style.css", rest=f"X-Ignore: a\r\n Content-Length: {len(stolen)}\r\n\r\n{stolen}")
    answer = exchange(server, request("GET", "/style.css", rest="\r\n") + attack + LAST)
    assert statuses(answer) == [200, 400]
    assert len(answers.participants()) == 1


def test_half_a_form_changes_nothing(server: StudyServer, answers: Answers) -> None:
    one = Person(server).start()
    form = f"question={one.question()}&choice=1"
    whole = f"Content-Length: {len(form) + 1}\r\n\r\n"
    exchange(server, request("POST", "/answer", one.cookie, whole + form), ends=True)
    assert answers.given() == []


@pytest.mark.parametrize("rest", ["Content-Length: 1\r\nContent-Length: 0\r\n\r\n", "\r\n"])
def test_a_form_says_once_how_long_it_is(server: StudyServer, answers: Answers, rest: str) -> None:
    one = Person(server).start()
    answer = exchange(server, request("POST", "/withdraw", one.cookie, rest) + LAST)
    assert statuses(answer) == [400]
    assert len(answers.participants()) == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("", []),
        (f"GET / HTTP/1.1\r\nHost: {HOST}\r\n", []),
        (request("POST", "/start", rest="Content-Length: 9\r\n\r\nchoice"), [408]),
        (request("GET", "/style.css", rest="\r\n"), [200]),
    ],
    ids=["nothing", "half the headers", "half a form", "no second request"],
)
def test_a_connection_without_a_word_is_closed(answers: Answers, sent: str, status: list[int]) -> None:
    with serving(answers, limits=Limits(patience=0.1)) as server:
        assert statuses(exchange(server, sent)) == status
    assert answers.participants() == []


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("X-Ignore: " + "a" * (1 << 16), 431),
        ("X-Ignore: " + "a" * (1 << 15) + "\r\nContent-Length: 0\r\n\r\n", 431),
        ("X-Ignore: a\r\n" * (1 << 13), 431),
        ("X-Ignore: a\r\n" * 120 + "Content-Length: 0\r\n\r\n", 431),
        ("Content-Length: 1025\r\n\r\n" + "a" * 1025, 400),
        ("Content-Length: 99999999999999999999\r\n\r\n" + "a" * (1 << 17), 400),
    ],
    ids=["a long header", "a long header at once", "many headers", "many short ones", "a long form", "an endless form"],
)
def test_too_much_is_refused(
    server: StudyServer, answers: Answers, rest: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = exchange(server, request("POST", "/start", rest=rest))
    assert statuses(answer) == [status]
    assert answers.participants() == []
    assert b"sense here" in answer
    assert b"content-security-policy: default-src 'none'" in answer.lower()
    assert capfd.readouterr().err == "", "nothing is logged"
