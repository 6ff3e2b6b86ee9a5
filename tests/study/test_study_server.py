"""The server as browsers and others meet it."""

import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest
from participants import IMAGES, MADE, Person, serving, text

from veil.images import decode
from veil.study import views
from veil.study.answers import Answers
from veil.study.questions import Study, StudyError
from veil.study.server import StudyServer, is_local


def test_a_participant_goes_through_the_study(server: StudyServer, answers: Answers) -> None:
    one = Person(server)
    assert "What is stored" in text(one.ask("GET", "/"))
    assert one.cookie == "", "nothing is stored before consent"
    assert answers.participants() == []
    one.start()
    order = []
    for number in range(4):
        page = text(one.ask("GET", "/question"))
        assert f"Question {number + 1} of 4" in page
        order.append(one.question())
        assert one.answer(order[-1], number) == 303
    assert order == [each.name for each in views.order(MADE.study, answers.participants()[0])]
    assert one.ask("GET", "/question").headers["Location"] == "/thanks"
    assert "Thank you" in text(one.ask("GET", "/thanks"))
    assert sorted(each.choice for each in answers.given()) == [0, 1, 2, 3]


def test_who_comes_back_goes_on(server: StudyServer, answers: Answers) -> None:
    one = Person(server).start()
    first = one.question()
    one.answer(first, 1)
    second = one.question()
    assert second != first
    assert one.ask("GET", "/").headers["Location"] == "/question"
    assert one.ask("GET", "/thanks").headers["Location"] == "/question"
    assert one.ask("POST", "/start").headers["Set-Cookie"] is None
    assert one.question() == second
    assert len(answers.participants()) == 1


def test_participants_have_orders_of_their_own() -> None:
    orders = {tuple(each.name for each in views.order(MADE.study, str(number))) for number in range(40)}
    assert len(orders) > 10


def test_the_first_answer_counts(server: StudyServer, answers: Answers) -> None:
    one = Person(server).start()
    asked = one.question()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda choice: one.answer(asked, choice), [2, 1, 0, 3])) == {303}
    (kept,) = answers.given()
    assert one.answer(asked, (kept.choice + 1) % 4) == 303
    assert answers.given() == [kept]


def test_pages_do_not_tell_the_answer(server: StudyServer) -> None:
    """Pages of questions are the same whatever is right, and hold neither names of files nor solutions."""
    one = Person(server).start()
    for _ in range(4):
        asked = next(each for each in MADE.study.questions if each.name == one.question())
        page = text(one.ask("GET", "/question"))
        assert set(re.findall(r"/images/(\w+)\.png", page)) == {asked.shown, *asked.options}
        assert re.findall(r'type="radio"[^>]*>', page) == [
            f'type="radio" name="choice" value="{n}" required aria-label="Photo {n + 1}">' for n in range(4)
        ]
        assert not re.search("right|subject|attention", page)
        one.answer(asked.name, 0)
    assert one.ask("GET", "/study.json").status == 404
    assert one.ask("GET", "/answers.sqlite").status == 404


def test_pictures_come_as_they_are(server: StudyServer) -> None:
    name = MADE.study.questions[0].shown
    response = Person(server).ask("GET", f"/images/{name}.png")
    assert response.headers["Content-Type"] == "image/png"
    assert decode(response.data).pixels.equal(MADE.images[name])  # type: ignore[attr-defined]
    assert response.headers["Last-Modified"] is None
    head = Person(server).ask("HEAD", f"/images/{name}.png")
    assert head.headers["Content-Length"] == response.headers["Content-Length"]
    assert text(head) == ""


@pytest.mark.parametrize(
    "path",
    [
        "/../study.json", "/images/../study.json", "/images/%2e%2e/study.json", "/images/..%2fstudy.json",
        "//study.json",
        "/images/0000000000000000.png", "/images/", "/images/x.png", "/style.css/", "/images/" + "a" * 5000 + ".png",
        "http://elsewhere/study.json", "/question%00", "/images/0000000000000000.png%00.html", "/.",
        "/\u00e9",
    ],
)  # fmt: skip
def test_nothing_else_can_be_had(server: StudyServer, path: str) -> None:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"400"), answer
    assert b"veil-study" not in answer


def test_every_answer_has_the_guards(server: StudyServer) -> None:
    one = Person(server)
    asked = [("GET", path) for path in ("/", "/question", "/style.css", "/keys.js", "/none", "/start")]
    for method, path in [*asked, ("POST", "/"), ("PUT", "/"), ("OPTIONS", "*")]:
        headers = one.ask(method, path).headers
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; img-src 'self' data:; style-src 'self'"
        )
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"].strip() == "Veil"
    cookie = one.ask("POST", "/start").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Secure" not in cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": None, "Sec_Fetch_Site": "cross-site"}, 403),
        ({"Origin": None, "Sec_Fetch_Site": "same-origin"}, 303),
        ({"Host": "elsewhere.example"}, 403),
        ({"Host": None}, 400),
        ({"Host": "elsewhere.example", "Origin": "http://elsewhere.example"}, 403),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, 303),
        ({"Host": "[::1]:9000", "Origin": "http://[::1]:9000"}, 303),
        ({"Host": "[", "Origin": "http://["}, 403),
    ],
)
def test_forms_of_other_pages_are_refused(
    server: StudyServer, answers: Answers, headers: dict[str, str | None], status: int
) -> None:
    assert Person(server).ask("POST", "/start", **headers).status == status
    assert len(answers.participants()) == (status == 303)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("question={q}&choice=4", {}, 400),
        ("question={q}&choice=-1", {}, 400),
        ("question={q}&choice=", {}, 400),
        ("question={q}&choice=%F0%9F", {}, 400),
        ("question={q}", {}, 422),
        ("question=none&choice=1", {}, 400),
        ("choice=1", {}, 400),
        ("", {}, 400),
        ("nonsense", {}, 400),
        ("a=1&" * 20, {}, 400),
        ("x" * 2000, {}, 400),
        ("question={q}&choice=1", {"Content_Type": "text/plain"}, 400),
        ("question={q}&choice=1", {"Content_Length": "x"}, 400),
        ("question={q}&choice=1", {"Content_Length": "-5"}, 400),
        ("question={q}&choice=1", {"Content_Length": "99999999"}, 400),
        ("question={q}&choice=1", {"Transfer_Encoding": "chunked"}, 400),
        ("question={q}&choice=1", {"Cookie": None}, 303),
        ("question={q}&choice=1", {"Cookie": "veil-study-x=y; ;;=\x7f"}, 303),
    ],
)
def test_bad_answers_change_nothing(
    server: StudyServer, answers: Answers, body: str, headers: dict[str, str | None], status: int
) -> None:
    one = Person(server).start()
    asked = one.question()
    response = one.ask("POST", "/answer", body.format(q=asked), **headers)
    assert response.status == status
    assert answers.given() == []
    if status == 422:
        assert "Choose one of the photos first" in text(response)
    assert one.question() == asked, "the server goes on"


def test_questions_that_were_not_shown_cannot_be_answered(server: StudyServer, answers: Answers) -> None:
    one = Person(server).start()
    asked = one.question()
    other = next(each.name for each in MADE.study.questions if each.name != asked)
    assert one.answer(other, 1) == 400
    assert answers.given() == []


def test_withdrawal(server: StudyServer, answers: Answers) -> None:
    one, other = Person(server).start(), Person(server).start()
    for each in (one, other):
        each.answer(each.question(), 1)
    response = one.ask("POST", "/withdraw")
    assert "deleted" in text(response)
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert len(answers.given()) == 1
    assert one.ask("GET", "/question").headers["Location"] == "/"


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_request_gets_an_error(server: StudyServer, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"Veil" in answer or b"<h1>" in answer
    assert Person(server).ask("GET", "/").status == 200
    assert capfd.readouterr().err == "", "nothing is logged"


def test_a_damaged_answer_file_is_said(
    server: StudyServer, answers: Answers, capfd: pytest.CaptureFixture[str]
) -> None:
    one = Person(server).start()
    answers.base.execute("DROP TABLE answers")
    assert one.ask("GET", "/question").status == 500
    assert "no such table" in capfd.readouterr().err


def test_what_fails_unexpectedly_is_said(
    server: StudyServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(study: Study) -> str:
        raise RuntimeError("no template")

    monkeypatch.setattr(views, "intro", broken)
    response = Person(server).ask("GET", "/")
    assert response.status == 500
    assert "Your answers so far are kept" in text(response)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert capfd.readouterr().err == "veil study: RuntimeError: no template\n", "and not for whom"


def test_through_a_proxy(answers: Answers) -> None:
    with serving(answers, address="https://Study.example.org/") as server:
        one = Person(server)
        one.host = "study.example.org"
        assert one.ask("GET", "/").status == 200
        assert one.ask("POST", "/start").status == 303, "http, as a proxy that goes on in plain says it"
        response = one.ask("POST", "/start", Origin="https://study.example.org", Cookie=None)
        assert response.status == 303
        assert response.headers["Set-Cookie"].endswith("Secure")
        assert one.ask("POST", "/start", Origin="https://other.example.org").status == 403
        assert one.ask("GET", "/", Host="other.example.org").status == 403


def test_where_it_listens(answers: Answers) -> None:
    assert is_local("127.0.0.1")
    assert is_local("::1")
    assert is_local("localhost")
    assert not is_local("0.0.0.0")
    assert not is_local("192.168.1.2")
    with serving(answers, host="0.0.0.0") as server:
        assert not server.local
        assert server.url.startswith("http://127.0.0.1:")
        assert Person(server).ask("GET", "/", Host="my-machine.local:80").status == 200
        with pytest.raises(StudyError, match="cannot listen"):
            StudyServer(MADE.study, IMAGES, answers, host="0.0.0.0", port=server.port)
    with pytest.raises(StudyError, match="cannot listen"):
        StudyServer(MADE.study, IMAGES, answers, host="256.1.1.1")
    with pytest.raises(StudyError, match="port must be 0-65535"):
        StudyServer(MADE.study, IMAGES, answers, port=65536)
    for address in ("study.example.org", "ftp://x", "https://", "https://x/y", "https://[", "https://x?y"):
        with pytest.raises(StudyError, match="no address"):
            StudyServer(MADE.study, IMAGES, answers, address=address)


@pytest.mark.parametrize(("host", "local"), [("::1", True), ("::", False)])
def test_ipv6(answers: Answers, host: str, local: bool) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6")
    with serving(answers, host=host) as server:
        assert server.local == local
        assert server.url == f"http://[::1]:{server.port}/"
        with urlopen(server.url, timeout=10) as response:
            assert b"What is stored" in response.read()
        if not local:
            assert Person(server).ask("GET", "/").status == 200, "those with an IPv4 address take part, too"


@pytest.mark.parametrize("missing", ["starlette.applications", "uvicorn"])
def test_a_missing_extra_is_named(answers: Answers, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "veil.study.app", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        StudyError, match=rf'^{missing.partition(".")[0]} is not installed: pip install "veil\[study\]"'
    ):
        StudyServer(MADE.study, IMAGES, answers)
