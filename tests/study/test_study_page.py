"""A small study in a real browser, from consent to thanks, by mouse and by keys."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from browser import Browser, program
from study_faces import small

from veil.images import Photo, encode
from veil.study.answers import Answers
from veil.study.server import StudyServer

WIDE, PHONE = (1280, 800), (360, 740)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = program()
    if found is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    with Browser(found, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def study(tmp_path: Path) -> Iterator[tuple[StudyServer, Answers]]:
    made = small(side=48)
    images = {name: encode(Photo(image)) for name, image in made.images.items()}
    with (
        Answers(tmp_path / "answers.sqlite", made.study.name) as answers,
        StudyServer(made.study, images, answers) as server,
    ):
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server, answers
        server.shutdown()
        thread.join()


def keep(browser: Browser, name: str) -> None:
    """Keeps the screen where VEIL_SCREENS names a folder, to be looked at."""
    if folder := os.environ.get("VEIL_SCREENS"):
        (Path(folder) / f"study-{name}.png").write_bytes(browser.picture())


def test_a_study_by_mouse_and_keys(browser: Browser, study: tuple[StudyServer, Answers]) -> None:
    server, answers = study
    browser.events.clear()
    browser.screen(*WIDE)
    browser.open(server.url)
    assert "What is stored" in browser.read("document.body.innerText")
    keep(browser, "test-intro")
    browser.click(".go")
    browser.wait("document.title === 'Question 1 of 4'")
    browser.click(".go")  # nothing is chosen: the browser asks for it, and stays
    assert browser.read("document.querySelector('form').checkValidity()") is False
    browser.click(".option:nth-child(3) .card")
    assert browser.read("document.querySelector('input:checked').value") == "2"
    keep(browser, "test-question")
    browser.click(".go")
    browser.wait("document.title === 'Question 2 of 4'")
    browser.press("4", "4")
    browser.press("Enter", "\r")
    browser.wait("document.title === 'Question 3 of 4'")
    browser.screen(*PHONE, dark=True, phone=True)
    browser.open(server.url)  # as who closed the browser and comes back
    assert browser.read("document.title") == "Question 3 of 4"
    assert browser.read("document.documentElement.scrollWidth <= innerWidth"), "nothing to scroll sideways"
    keep(browser, "test-phone")
    for title in ("Question 4 of 4", "Thank you"):
        browser.click(".option:nth-child(1) .card")
        browser.click(".go")
        browser.wait(f"document.title === '{title}'")
    keep(browser, "test-thanks")
    order = [each.question for each in sorted(answers.given(), key=lambda each: each.question)]
    assert order == sorted(server.app.questions)
    assert sorted(each.choice for each in answers.given()) == [0, 0, 2, 3]
    assert browser.read("document.cookie") == "", "scripts cannot read the cookie"
    assert browser.complaints() == []
    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert all(url.startswith(server.url) for url in asked), "nothing is asked of others"
    browser.click("summary")
    browser.click(".plain")
    browser.wait("document.body.innerText.includes('deleted')")
    assert answers.participants() == []


def test_a_screen_reader_finds_its_way(browser: Browser, study: tuple[StudyServer, Answers]) -> None:
    server, _ = study
    browser.screen(*WIDE)
    browser.open(server.url)
    browser.click(".go")
    browser.wait("document.title === 'Question 1 of 4'")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    assert ("radiogroup", "Who is in the picture?") in found
    assert [name for role, name in found if role == "radio"] == [f"Photo {number}" for number in range(1, 5)]
    assert ("progressbar", "Question 1 of 4") in found or ("progress", "Question 1 of 4") in found
    assert ("image", "The picture drawn by a computer") in found
    assert ("button", "Next") in found
    browser.read("document.querySelector('input[type=radio]').focus()")
    browser.press("2", "2")
    assert browser.read("document.activeElement.value") == "1", "focus goes where the choice is"
    assert browser.read("getComputedStyle(document.querySelector('input:checked + .card')).outlineStyle") == "solid"
