"""A running server of a study, and the answers that it gathers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from participants import MADE, serving

from veil.study.answers import Answers
from veil.study.server import StudyServer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyServer]:
    file = tmp_path_factory.mktemp("study") / "answers.sqlite"
    with Answers(file, MADE.study.name) as unused, serving(unused) as server:
        yield server


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    with Answers(tmp_path / "answers.sqlite", MADE.study.name) as opened:
        yield opened


@pytest.fixture
def server(running: StudyServer, answers: Answers) -> StudyServer:
    """The one server of this file, because a server takes a moment to end; the answers are the test's own."""
    running.app.answers = answers
    return running
