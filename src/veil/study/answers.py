"""Answers of a study in an SQLite file: a row is added when a question is shown and completed when it is answered.

An answer is on the disk before the next page is sent (write-ahead log, full synchronisation): neither a kill nor a
power cut loses it. Only a random name is stored of a participant, the answers, and when questions were shown and
answered. Only the first answer to a question counts.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Self

from veil.runtime.files import printable
from veil.study.questions import StudyError

FILE = "answers.sqlite"
_WAIT = 10.0  # seconds for another process that writes
_TABLES = """
CREATE TABLE IF NOT EXISTS study (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS participants (name TEXT PRIMARY KEY, started TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
  participant TEXT NOT NULL REFERENCES participants (name) ON DELETE CASCADE,
  question TEXT NOT NULL,
  shown TEXT NOT NULL,
  choice INTEGER,
  answered TEXT,
  PRIMARY KEY (participant, question)
);
"""


class StudyFull(StudyError):
    """No more participants are accepted."""


@dataclass(frozen=True)
class Answer:
    """One answer: ``choice`` is the place of the option from 0, ``seconds`` the time from the page to the answer."""

    participant: str
    question: str
    choice: int
    seconds: float


class Answers:
    """The answers of one study; may be used from several threads, and from several processes at once.

    Args:
        file: the SQLite file; created if it is missing.
        study: name of the study. The answers of another one are refused.

    Raises:
        StudyError: where the file cannot be used or belongs to another study.
    """

    def __init__(self, file: Path, study: str) -> None:
        self.file, self.lock = file, Lock()
        with self._readable():
            # Every statement is a transaction of its own.
            self.base = sqlite3.connect(file, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        try:
            with self._readable():
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
                    self.base.execute(f"PRAGMA {pragma}")
                self.base.executescript(_TABLES)
                if not self.base.execute("SELECT 1 FROM study").fetchone():
                    self.base.execute("INSERT OR IGNORE INTO study VALUES (?)", (study,))
                names = [name for (name,) in self.base.execute("SELECT name FROM study")]
            if names != [study]:
                raise StudyError(f"{printable(file)} holds the answers of another study")
        except BaseException:
            self.base.close()
            raise

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:
            raise StudyError(f"{printable(self.file)} cannot be used: {printable(str(error))}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits for running writes, then closes the file."""
        with self.lock:
            self.base.close()

    def join(self, most: int | None = None) -> str:
        """A new participant's random name: 128 bits, which nobody else can guess.

        Args:
            most: participants that there may be; None where there is no limit.

        Raises:
            StudyFull: where there are so many already.
        """
        name = secrets.token_urlsafe(16)
        statement = "INSERT INTO participants SELECT ?, ? WHERE ? OR (SELECT COUNT(*) FROM participants) < ?"
        with self.lock, self._readable():
            joined = self.base.execute(statement, (name, _now(), most is None, most)).rowcount == 1
        if not joined:
            raise StudyFull(f"{most} people take part already")
        return name

    def knows(self, participant: str) -> bool:
        """Whether this participant exists."""
        return bool(self._do("SELECT 1 FROM participants WHERE name = ?", participant))

    def show(self, participant: str, question: str) -> None:
        """Records that a question is shown; the first time counts."""
        self._do("INSERT OR IGNORE INTO answers (participant, question, shown) VALUES (?, ?, ?)",
                 participant, question, _now())  # fmt: skip

    def give(self, participant: str, question: str, choice: int) -> bool:
        """Stores an answer to a question that was shown; False if it was not shown or has an answer already."""
        statement = (
            "UPDATE answers SET choice = ?, answered = ? WHERE participant = ? AND question = ? AND choice IS NULL"
        )
        with self.lock, self._readable():
            return self.base.execute(statement, (choice, _now(), participant, question)).rowcount == 1

    def shown_to(self, participant: str) -> dict[str, int | None]:
        """The questions that a participant saw, with their choices; None without an answer yet."""
        return dict(self._do("SELECT question, choice FROM answers WHERE participant = ?", participant))

    def withdraw(self, participant: str) -> None:
        """Deletes a participant with all answers, from the file and its log."""
        self._do("DELETE FROM participants WHERE name = ?", participant)
        self._do("PRAGMA wal_checkpoint(TRUNCATE)")

    def participants(self) -> list[str]:
        """Everybody who started, in that order."""
        return [name for (name,) in self._do("SELECT name FROM participants ORDER BY started, name")]

    def given(self) -> list[Answer]:
        """All answers, by participant and time.

        Raises:
            StudyError: where the file is damaged.
        """
        rows = self._do(
            "SELECT participant, question, choice, shown, answered FROM answers WHERE choice IS NOT NULL "
            "ORDER BY participant, answered, question"
        )
        try:
            return [_answer(*row) for row in rows]
        except (TypeError, ValueError):
            raise StudyError(f"{printable(self.file)} is damaged: an answer is not as it was written") from None

    def _do(self, statement: str, *values: str) -> list[Any]:
        with self.lock, self._readable():
            return self.base.execute(statement, values).fetchall()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _answer(participant: str, question: str, choice: int, shown: str, answered: str) -> Answer:
    if not (isinstance(participant, str) and isinstance(question, str) and isinstance(choice, int)):
        raise TypeError("names are text, and a choice is a number")
    return Answer(participant, question, choice, (_time(answered) - _time(shown)).total_seconds())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
