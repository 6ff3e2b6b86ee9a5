"""The command line of a benchmark: a scale, options of its own, rows with their origin, a table.

A benchmark is a module with a `Benchmark` and ``sys.exit(BENCHMARK.main())``. Rows are printed as a table, and appended
as they are measured to ``results/benchmarks/<name>.jsonl``, or to the file that ``--out`` names; at the scale *smoke*
to that file alone.
"""

import argparse
import resource
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from veil.jobs import rows
from veil.runtime.memory import keep_memory
from veil.runtime.provenance import provenance

RESULTS = Path(__file__).resolve().parent.parent / "results/benchmarks"
SMOKE = "smoke"

Row = dict[str, Any]
S = TypeVar("S")


class WrongUsage(ValueError):
    """Options do not go together; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Benchmark(Generic[S]):
    """A benchmark and its command line.

    Attributes:
        name: of the benchmark and of its file of results.
        doc: text of ``--help``.
        scales: how much is measured, by name.
        measure: yields rows as they are measured. A contender that fails has a row with an ``error``. `WrongUsage`
            ends the benchmark before the first row.
        show: prints the table of all rows.
        options: adds options of its own.
        session: fields that all rows of a run share, besides their provenance.
    """

    name: str
    doc: str | None
    scales: Mapping[str, S]
    measure: Callable[[S, Namespace], Iterable[Row]]
    show: Callable[[Sequence[Row]], None]
    options: Callable[[ArgumentParser], None] = lambda parser: None
    session: Callable[[S, Namespace], Row] = lambda scale, given: {}

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Measures; returns 1 where a row has an ``error``."""
        parser = self._parser()
        given = parser.parse_args(arguments)
        scale = self.scales[given.scale]
        out = given.out or (RESULTS / f"{self.name}.jsonl" if given.scale != SMOKE else None)
        keep_memory()  # as the command line of Veil does
        session = {"benchmark": self.name, "scale": given.scale, **self.session(scale, given), **provenance()}
        measured: list[Row] = []
        try:
            for row in self.measure(scale, given):
                measured.append(session | row)
                if out is not None:
                    out.parent.mkdir(parents=True, exist_ok=True)
                    with rows.open_to_append(out) as handle:
                        rows.append(handle, measured[-1])
        except WrongUsage as error:
            parser.error(str(error))
        finally:
            if measured:
                self.show(measured)
        return 1 if any(row.get("error") for row in measured) else 0

    def _parser(self) -> ArgumentParser:
        parser = ArgumentParser(description=self.doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--scale", choices=list(self.scales), required=True)
        parser.add_argument(
            "--out", type=Path, help=f"rows are appended to it; not smoke: {self.name}.jsonl if not given"
        )
        self.options(parser)
        return parser


def takes_device(parser: ArgumentParser) -> None:
    """The option of benchmarks that may run elsewhere than on the CPU."""
    parser.add_argument("--device", default="auto")


def print_table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Prints a table: names in the first column, numbers in the others."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    for line in lines:
        table.add_row(*line)
    Console(width=120).print(table)


def peak_mib(process: int | None = None) -> float:
    """The most memory that this process, or another one where Linux tells, held resident, in MiB.

    ``getrusage`` would count what the parent process held when it started this one, so Linux is asked itself.
    """
    status = Path(f"/proc/{process or 'self'}/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
