"""What commands show while they work: progress on standard error, results on standard output."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from veil.jobs.folders import FolderResult, Row, Run, layout_of
from veil.runtime.files import printable

INTERRUPTED = 130
LEVEL_COLOURS = {
    "exact": "red", "broken": "red", "leaks": "yellow", "nothing": "green", "lower": "yellow", "unshown": "yellow",
    "untried": "dim", "smoke": "dim",
}  # fmt: skip
"""Of the levels of verdicts, `veil.audits.levels.LEVELS`."""
errors = Console(stderr=True, highlight=False, soft_wrap=True)
output = Console(highlight=False)


def places(result: FolderResult[Any]) -> str:
    """Where the outputs of a folder job lie, and where its rows do, in words."""
    layout = layout_of(result.out)
    rows = "" if layout.old else f"; rows, for yourself, in {escape(printable(layout.private))}"
    return f"{escape(printable(layout.out))}{rows}"


class Pace:
    """How fast a run works through its files. What an earlier run has done does not count.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began, self._done = clock, clock(), 0

    def start(self) -> None:
        """Begins to count."""
        self._began, self._done = self._clock(), 0

    def step(self) -> None:
        """Counts a file."""
        self._done += 1

    @property
    def rate(self) -> float | None:
        """Files a second; None before the first."""
        seconds = self._clock() - self._began
        return self._done / seconds if self._done and seconds > 0 else None

    def left(self, files: float) -> float | None:
        """Seconds that so many files will take; None where nobody knows."""
        return None if self.rate is None else files / self.rate


class _Rate(ProgressColumn):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:
        rate = self.pace.rate
        return Text("–/s" if rate is None else f"{rate:.{1 if rate >= 1 else 2}f}/s", style="progress.data.speed")


class _TimeLeft(ProgressColumn):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:
        left = self.pace.left(task.remaining or 0)
        text = "-:--:--" if left is None else str(timedelta(seconds=round(left)))
        return Text(text, style="progress.remaining")


class FolderProgress(AbstractContextManager["FolderProgress"]):
    """Live counts of what became of the files of a `veil.jobs.folders` job, with rate and time left.

    Args:
        colours: of the outcomes of files that did not fail, in the order in which they are shown.
        outcome: one of them for a row; the first unless given.
        files: what messages call the files.
    """

    def __init__(
        self, colours: Mapping[str, str], outcome: Callable[[Row], str] | None = None, *, files: str = "photos"
    ) -> None:
        self.outcome = outcome or (lambda row: next(iter(colours)))
        self.files = files
        self.colours = {**colours, "failed": "red"}
        self.counts: Counter[str] = Counter()
        self.pace = Pace()
        self.bar = Progress(
            SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), _Rate(self.pace), _TimeLeft(self.pace),
            TextColumn("{task.description}"), console=errors,
        )  # fmt: skip
        self.task = self.bar.add_task(self._counted(), total=None, start=False)

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.bar.stop()
        if kind is KeyboardInterrupt:
            errors.print("stopped; the same command goes on from here")
            raise typer.Exit(INTERRUPTED)

    @property
    def run(self) -> Run:
        """What tells of a job here."""
        return Run(resumed=self._count, started=self.started, finished=self.finished, noticed=self.noticed)

    def started(self, total: int, done: int, passed_over: int) -> None:
        """Shows how much there is to do and what an earlier run has done."""
        if done:
            errors.print(f"{done} of {total} {self.files} are done already; going on")
        if passed_over:
            errors.print(f"{passed_over} other files passed over")
        self._show(total=total, completed=done)
        self.pace.start()
        self.bar.start()
        self.bar.start_task(self.task)

    def noticed(self, line: str) -> None:
        """Says what an earlier run left."""
        errors.print(f"[yellow]{escape(line)}[/]")

    def finished(self, row: Row) -> None:
        """Counts a row, and says in one line what failed."""
        self._count(row)
        if row["error"]:
            errors.print(f"[red]failed[/] {escape(printable(row['file']))}: {escape(row['error'])}")
        self.pace.step()
        self._show(advance=1)

    def _show(self, **change: Any) -> None:
        self.bar.update(self.task, description=self._counted(), **change)

    def _count(self, row: Row) -> None:
        self.counts["failed" if row["error"] else self.outcome(row)] += 1

    def _counted(self) -> str:
        return " · ".join(f"[{colour}]{self.counts[name]} {name}[/]" for name, colour in self.colours.items())


class TrainingProgress:
    """A live count of steps, and a line for every epoch."""

    def __init__(self, *, shown: bool) -> None:
        self.bar = Progress(
            TextColumn("steps"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(),
            console=errors, disable=not shown,
        )  # fmt: skip
        self.task = self.bar.add_task("", total=None)

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.bar.stop()
        if kind is KeyboardInterrupt:
            errors.print("stopped; the same command goes on from the last finished epoch")
            raise typer.Exit(INTERRUPTED)

    def stepped(self, done: int, total: int) -> None:
        """Shows how far the run is."""
        self.bar.update(self.task, completed=done, total=total)

    def logged(self, row: dict[str, Any]) -> None:
        """Says how an epoch went, of which stage where there are several."""
        left_out = ("epoch", "seconds", "stage")
        values = ", ".join(f"{name} {value:.3f}" for name, value in row.items() if name not in left_out)
        stage = f"{row['stage']}, " if "stage" in row else ""
        errors.print(f"{stage}epoch {row['epoch'] + 1}: {values} ({row['seconds']:.0f} s)")

    def say(self, line: str) -> None:
        """A line about what is being done."""
        errors.print(escape(line))
