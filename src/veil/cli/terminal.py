"""What commands show while they work: progress on standard error, results on standard output."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
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

from veil.folders import Row, printable

INTERRUPTED = 130
errors = Console(stderr=True, highlight=False, soft_wrap=True)
output = Console(highlight=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "–/s", style="progress.data.speed")


class FolderProgress(AbstractContextManager["FolderProgress"]):
    """Live counts of protected, not protected and failed photos, with rate and time left."""

    def __init__(self) -> None:
        self.bar = Progress(
            SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(),
            TextColumn("[green]{task.fields[protected]} protected[/] · [yellow]{task.fields[missed]} not · "
                       "[red]{task.fields[failed]} failed"),
            console=errors,
        )  # fmt: skip
        self.task = self.bar.add_task("", total=None, start=False, protected=0, missed=0, failed=0)
        self.counts: dict[str, Any] = {"protected": 0, "missed": 0, "failed": 0}

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.bar.stop()
        if kind is KeyboardInterrupt:
            errors.print("stopped; the same command goes on from here")
            raise typer.Exit(INTERRUPTED)

    def started(self, total: int, done: Sequence[Row], passed_over: int) -> None:
        """Shows how much there is to do and what an earlier run has done."""
        if done:
            errors.print(f"{len(done)} of {total} photos are done already; going on")
        if passed_over:
            errors.print(f"{passed_over} other files passed over")
        for row in done:
            self._count(row)
        self._show(total=total, completed=len(done))
        self.bar.start()
        self.bar.start_task(self.task)

    def finished(self, row: Row) -> None:
        """Counts a row, and says in one line what failed."""
        self._count(row)
        if row["error"]:
            errors.print(f"[red]failed[/] {escape(printable(row['file']))}: {escape(row['error'])}")
        self._show(advance=1)

    def _show(self, **change: Any) -> None:
        self.bar.update(self.task, **change, **self.counts)

    def _count(self, row: Row) -> None:
        self.counts["failed" if row["error"] else "protected" if row["protected"] else "missed"] += 1
