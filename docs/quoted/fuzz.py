"""What the last `make fuzz --rows` fed to every reader: results/fuzz/readers."""

from quoted.sources import Conclusions, Numbers, rows, table
from veil.jobs.rows import Row

READERS = "fuzz/readers"


def last() -> list[Row]:
    """The rows of the last run, which has one of every reader."""
    latest = max(row["run"] for row in rows(READERS))
    return [row for row in rows(READERS) if row["run"] == latest]


def readers() -> str:
    """Every reader, its limits, and what it did."""
    return table(
        ("reader", "what it reads", "inputs", "read", "refused", "failed", "most seconds (limit)", "most MiB (limit)"),
        [(f"`{row['reader']}`", row["title"], f"{row['inputs']:,}", f"{row['read']:,}", f"{row['refused']:,}",
          f"{row['failed']:,}", f"{row['slowest_seconds']:.1f} ({row['limit_seconds']:.0f})",
          f"{row['peak_mib']:.0f} ({row['limit_mib']:.0f})") for row in last()],
    )  # fmt: skip


TABLES: Numbers = {"fuzz.readers": readers}
NUMBERS: Numbers = {
    "fuzz.inputs": lambda: f"{sum(row['inputs'] for row in last()):,}",
    "fuzz.minutes": lambda: f"{sum(row['fed_seconds'] for row in last()) / 60:.0f}",
    "fuzz.failed": lambda: f"{sum(row['failed'] for row in last()):,}",
}
CONCLUSIONS: Conclusions = {}
