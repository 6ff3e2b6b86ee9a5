"""`veil study` as a user meets it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import torch
from commands import said, veil

from veil.images import Photo, save
from veil.study import folder
from veil.study.answers import Answers
from veil.study.server import StudyServer

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def photos(tmp_path: Path) -> list[object]:
    """Options that name two folders of drawn photos."""
    values = torch.randint(256, (16, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for name, drawn in (("original", values), ("reconstructed", 255 - values[:6])):
        (tmp_path / name).mkdir()
        for number, each in enumerate(drawn):
            save(Photo(each), tmp_path / name / f"{number}.png")
    return ["--original", tmp_path / "original", "--reconstructed", tmp_path / "reconstructed"]


def made(photos: list[object], out: Path) -> Path:
    assert veil("study", "new", *photos, "-o", out, "--questions", 2, "--attention", 1) == 0
    return out


def answer_all(out: Path, people: int) -> None:
    study = folder.read(out)
    with Answers(out / "answers.sqlite", study.name) as answers:
        for _ in range(people):
            name = answers.join()
            for each in study.questions:
                answers.show(name, each.name)
                answers.give(name, each.name, each.right)


def test_a_study_from_photos_to_its_report(photos: list[object], tmp_path: Path, capsys: Captured) -> None:
    out = made(photos, tmp_path / "study")
    assert "2 questions of 4 options, 1 more for attention" in capsys.readouterr().out
    assert veil("study", "report", out) == 0
    assert "nothing can be said yet" in capsys.readouterr().out
    answer_all(out, 12)
    assert veil("study", "report", out) == 0
    printed = capsys.readouterr().out
    assert "100.0 % of 24 answers" in printed
    assert "above guessing" in printed
    assert "112 of 400, 28.0 %, 23.8 to 32.6 %" in printed
    assert "100.0 %" in (out / "report.html").read_text()
    assert veil("study", "report", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"]["level"] == "above"
    assert found["people"] == {"counted": 12, "failed": 0, "incomplete": 0, "nothing": 0}
    assert found["share"]["right"] == 24
    assert found["chance"] == 0.25


def test_the_same_command_makes_the_same_study(photos: list[object], tmp_path: Path) -> None:
    one, two = made(photos, tmp_path / "one"), made(photos, tmp_path / "two")
    for file in sorted(one.rglob("*")):
        assert file.is_dir() or file.read_bytes() == (two / file.relative_to(one)).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--questions", 9], "9 different people, and there are 6"),
        (["--another-photo"], "identities are given"),
        (["--identities", "none.csv"], "none.csv"),
        (["--options", 10], "--options"),
    ],
)
def test_bad_input_is_one_line(
    photos: list[object], arguments: list[object], message: str, tmp_path: Path, capsys: Captured
) -> None:
    assert veil("study", "new", *photos, "-o", tmp_path / "study", "--questions", 2, *arguments) == 2
    assert message in said(capsys)
    assert not (tmp_path / "study").exists()


def test_a_folder_that_is_none_or_in_use_is_refused(photos: list[object], tmp_path: Path, capsys: Captured) -> None:
    out = made(photos, tmp_path / "study")
    assert veil("study", "new", *photos, "-o", out, "--questions", 2) == 2
    assert "not empty" in said(capsys)
    for command in ("serve", "report"):
        assert veil("study", command, tmp_path) == 2
        assert "veil study new" in said(capsys)


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_ctrl_c_ends_it_and_others_are_warned_of(
    photos: list[object], host: str, warns: bool, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: StudyServer) -> None:
        raise KeyboardInterrupt

    out = made(photos, tmp_path / "study")
    answer_all(out, 1)
    monkeypatch.setattr(StudyServer, "serve_forever", stopped)
    assert veil("study", "serve", out, "--host", host, "--port", 0) == 0
    printed = capsys.readouterr()
    assert re.search(r"open http://127\.0\.0\.1:\d+/ in a browser", printed.out)
    assert "1 started, 3 answers are kept" in printed.out
    assert ("others on the network" in printed.err) == warns


def test_a_real_ctrl_c_ends_it(
    photos: list[object], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while one person is connected and sends nothing, and another has sent half a form."""
    interrupters = []
    serve_forever = StudyServer.serve_forever

    def interrupt(server: StudyServer) -> None:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address) as silent, socket.create_connection(address) as slow:
            slow.sendall(
                b"POST /start HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na"
            )
            with urlopen(server.url, timeout=30) as page:
                page.read()
            os.kill(os.getpid(), signal.SIGINT)
            assert silent.recv(1) == b"", "the server hangs up"

    def interrupted(server: StudyServer) -> None:
        interrupters.append(Thread(target=interrupt, args=(server,)))
        interrupters[0].start()
        serve_forever(server)

    out = made(photos, tmp_path / "study")
    monkeypatch.setattr(StudyServer, "serve_forever", interrupted)
    monkeypatch.setattr("veil.study.server.GRACE", 0.1)
    assert veil("study", "serve", out, "--port", 0) == 0
    interrupters[0].join()
    printed = capsys.readouterr()
    assert "0 started, 0 answers are kept" in printed.out
    assert printed.err.strip() == "stopped"


def test_a_missing_extra_is_one_line(
    photos: list[object], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = made(photos, tmp_path / "study")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert veil("study", "serve", out, "--port", 0) == 2
    assert said(capsys) == 'veil: uvicorn is not installed: pip install "veil[study]"'


def test_answers_survive_a_kill(photos: list[object], tmp_path: Path) -> None:
    out = made(photos, tmp_path / "study")
    command = [sys.executable, "-m", "veil", "study", "serve", str(out), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as served:
        assert served.stdout is not None
        port = int(re.findall(r":(\d+)/", served.stdout.readline())[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"}

        def ask(method: str, path: str, **form: object) -> tuple[str, http.client.HTTPMessage]:
            connection.request(method, path, urlencode(form) if method == "POST" else None, headers)
            response = connection.getresponse()
            return response.read().decode(), response.headers

        headers["Cookie"] = ask("POST", "/start")[1]["Set-Cookie"].partition(";")[0]
        asked = re.findall(r'name="question" value="(\w+)"', ask("GET", "/question")[0])[0]
        ask("POST", "/answer", question=asked, choice=3)
        served.send_signal(signal.SIGKILL)
        connection.close()
    with Answers(out / "answers.sqlite", folder.read(out).name) as answers:
        assert [(each.question, each.choice) for each in answers.given()] == [(asked, 3)]


@pytest.mark.parametrize(
    ("file", "content", "said_so"),
    [
        ("study.json", b"[" * 100_000, "study.json cannot be read"),
        ("answers.sqlite", b"SQLite format 3\0" + b"\xff" * 100, "answers.sqlite cannot be used"),
    ],
)
def test_a_damaged_study_is_one_line(
    photos: list[object], tmp_path: Path, capsys: Captured, file: str, content: bytes, said_so: str
) -> None:
    out = made(photos, tmp_path / "study")
    (out / file).write_bytes(content)
    assert veil("study", "report", out) == 2
    assert said_so in said(capsys)
