"""Answers: one to a question, kept whatever becomes of the process."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from veil.study.answers import Answers
from veil.study.questions import StudyError

STUDY = "0123456789abcdef"


def test_the_first_answer_to_a_shown_question_counts(tmp_path: Path) -> None:
    with Answers(tmp_path / "answers.sqlite", STUDY) as answers:
        one = answers.join()
        assert answers.knows(one)
        assert not answers.knows("nobody")
        assert not answers.give(one, "q", 1), "not shown yet"
        answers.show(one, "q")
        assert answers.shown_to(one) == {"q": None}
        assert answers.given() == []
        assert answers.give(one, "q", 2)
        assert not answers.give(one, "q", 3)
        answers.show(one, "q")
        assert answers.shown_to(one) == {"q": 2}
    with Answers(tmp_path / "answers.sqlite", STUDY) as answers:
        (kept,) = answers.given()
        assert (kept.participant, kept.question, kept.choice) == (one, "q", 2)
        assert 0 <= kept.seconds < 60
        assert answers.participants() == [one]


def test_one_of_many_at_once_wins(tmp_path: Path) -> None:
    with Answers(tmp_path / "answers.sqlite", STUDY) as answers, ThreadPoolExecutor(8) as pool:
        one = answers.join()
        answers.show(one, "q")
        won = list(pool.map(lambda choice: answers.give(one, "q", choice), range(20)))
        assert sum(won) == 1
        assert answers.shown_to(one) == {"q": won.index(True)}


def test_withdrawal_leaves_no_byte(tmp_path: Path) -> None:
    with Answers(tmp_path / "answers.sqlite", STUDY) as answers:
        gone, stays = answers.join(), answers.join()
        for each in (gone, stays):
            answers.show(each, "q")
            answers.give(each, "q", 1)
        answers.withdraw(gone)
        assert [each.participant for each in answers.given()] == [stays]
        left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert gone.encode() not in left
        assert stays.encode() in left


def test_a_kill_takes_nothing(tmp_path: Path) -> None:
    """What lies on the disk while the file is open and nothing was closed is all that a kill leaves."""
    with Answers(tmp_path / "answers.sqlite", STUDY) as answers:
        one = answers.join()
        for number in range(5):
            answers.show(one, str(number))
            answers.give(one, str(number), number % 4)
        answers.show(one, "5")
        shutil.copytree(tmp_path, tmp_path / "left")
    with Answers(tmp_path / "left" / "answers.sqlite", STUDY) as answers:
        assert [each.choice for each in answers.given()] == [0, 1, 2, 3, 0]
        assert answers.shown_to(one)["5"] is None


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    Answers(file, STUDY).close()
    with pytest.raises(StudyError, match="another study"):
        Answers(file, STUDY[::-1])
    file.write_bytes(b"no database at all, and long enough to be read as one" * 20)
    with pytest.raises(StudyError, match="cannot be used"):
        Answers(file, STUDY)
    with pytest.raises(StudyError, match="cannot be used"):
        Answers(tmp_path / "none" / "answers.sqlite", STUDY)


def test_nothing_but_answers_and_times_is_kept(tmp_path: Path) -> None:
    with Answers(tmp_path / "answers.sqlite", STUDY) as answers:
        answers.join()
    with sqlite3.connect(tmp_path / "answers.sqlite") as base:
        tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: [row[1] for row in base.execute(f"PRAGMA table_info({name})")] for name in tables}
    base.close()
    assert columns == {
        "study": ["name"], "participants": ["name", "started"],
        "answers": ["participant", "question", "shown", "choice", "answered"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "change", ["shown = 'yesterday'", "shown = 5", "answered = x'ff'", "choice = 'two'", "question = x'00'"]
)
def test_answers_that_somebody_changed_are_refused(tmp_path: Path, change: str) -> None:
    file = tmp_path / "answers.sqlite"
    with Answers(file, STUDY) as answers:
        one = answers.join()
        answers.show(one, "q")
        answers.give(one, "q", 1)
    base = sqlite3.connect(file)
    base.execute(f"UPDATE answers SET {change}")
    base.commit()
    base.close()
    with (
        Answers(file, STUDY) as answers,
        pytest.raises(StudyError, match="is damaged: an answer is not as it was written"),
    ):
        answers.given()
