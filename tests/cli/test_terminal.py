"""What commands show while they work."""

import pytest
from rich.progress import MofNCompleteColumn

from veil.cli import terminal
from veil.cli.terminal import FolderProgress, Pace


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(terminal, "Pace", lambda: Pace(moved))
    return moved


def shown(progress: FolderProgress) -> list[str]:
    """The columns of the bar that are text: how many, rate, time left."""
    task = progress.bar.tasks[0]
    columns = [column for column in progress.bar.columns if not isinstance(column, str)][2:5]
    assert isinstance(columns[0], MofNCompleteColumn)
    return [str(column.render(task)).strip() for column in columns]


def test_rate_and_time_left_are_those_of_this_run(clock: Clock) -> None:
    """REVIEW U7. In 7c1583f the rate was that of the last 30 seconds: of slow photos none, of a batch thousands."""
    with FolderProgress({"protected": "green"}) as progress:
        progress.started(1000, 900, 0)
        assert shown(progress) == ["900/1000", "–/s", "-:--:--"]
        clock.now += 50
        for _ in range(4):  # a batch, all at once
            progress.finished({"file": "a.png", "error": None})
        assert shown(progress) == ["904/1000", "0.08/s", "0:20:00"]
        clock.now += 2
        for _ in range(48):
            progress.finished({"file": "a.png", "error": None})
        assert shown(progress) == ["952/1000", "1.0/s", "0:00:48"]
