"""What the last `make fuzz --rows` fed to every reader, and what benchmarks/kills.py interrupted."""

from quoted.sources import Conclusions, Numbers, rows, table
from veil.jobs.rows import Row

READERS, KILLS = "fuzz/readers", "benchmarks/kills"


def last() -> list[Row]:
    """The last row of every reader: a reader that came later may have been fed alone."""
    return list({row["reader"]: row for row in rows(READERS)}.values())


def readers() -> str:
    """Every reader, its limits, and what it did."""
    return table(
        ("reader", "what it reads", "inputs", "read", "refused", "failed", "most seconds (limit)", "most MiB (limit)"),
        [(f"`{row['reader']}`", row["title"], f"{row['inputs']:,}", f"{row['read']:,}", f"{row['refused']:,}",
          f"{row['failed']:,}", f"{row['slowest_seconds']:.1f} ({row['limit_seconds']:.0f})",
          f"{row['peak_mib']:.0f} ({row['limit_mib']:.0f})") for row in last()],
    )  # fmt: skip


def interrupted() -> list[Row]:
    """The last row of every command and kind of interruption."""
    latest = {(row["words"], row["kind"]): row for row in rows(KILLS) if row["kind"] != "whole"}
    return list(latest.values())


def kills() -> str:
    """Every command by kind of interruption: how often, and whether it left the same."""
    kinds = list(dict.fromkeys(row["kind"] for row in interrupted()))
    cells = {(_command(row), row["kind"]): f"{row['interruptions']}, {'same' if row['same'] else 'differs'}"
             for row in interrupted()}  # fmt: skip
    commands = dict.fromkeys(command for command, _ in cells)
    return table(
        ("", *kinds),
        [(f"`veil {command}`", *(cells.get((command, kind), "–") for kind in kinds)) for command in commands],
    )


def _command(row: Row) -> str:
    """The words of a command before its options."""
    return str(row["words"]).partition(" -")[0]


TABLES: Numbers = {"fuzz.readers": readers, "kills.all": kills}
NUMBERS: Numbers = {
    "fuzz.inputs": lambda: f"{sum(row['inputs'] for row in last()):,}",
    "fuzz.minutes": lambda: f"{sum(row['fed_seconds'] for row in last()) / 60:.0f}",
    "fuzz.failed": lambda: f"{sum(row['failed'] for row in last()):,}",
}
CONCLUSIONS: Conclusions = {}
