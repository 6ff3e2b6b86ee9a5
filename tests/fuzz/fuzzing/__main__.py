"""Feeds damaged and hostile files and requests to every reader: ``make fuzz``, or

    PYTHONPATH=tests/fuzz python -m fuzzing --seconds 60 --readers photo,card

Exit status: 0 nothing failed · 1 something did, and lies in the folder of failures with the command that replays it
"""

import argparse
import sys
from pathlib import Path

from fuzzing import campaign
from fuzzing.campaign import Amount
from fuzzing.reader import REPOSITORY
from fuzzing.readers import READERS
from veil.jobs.rows import RowFile

FAILURES = REPOSITORY / "tests/fuzz/failures"
ABOUT = {"benchmark": "fuzz"}


def main(arguments: list[str] | None = None) -> int:
    """Runs a campaign, or replays one failure."""
    given = _parser().parse_args(arguments)
    if given.replay is not None:
        outcome = campaign.replay(given.replay, READERS)
        print(outcome)
        return int(outcome.failed)
    names = given.readers.split(",") if given.readers else list(READERS)
    if unknown := [name for name in names if name not in READERS]:
        print(f"there is no reader {unknown[0]}; there are {', '.join(READERS)}", file=sys.stderr)
        return 2
    amount = Amount(seconds=given.seconds, inputs=given.inputs)
    records = campaign.run([READERS[name] for name in names], amount, given.seed, given.failures, _say)
    if given.rows is not None:
        with RowFile(given.rows, ABOUT) as rows:
            for record in records:
                rows.add(record.row())
    failed = {signature: place for record in records for signature, place in record.failures.items()}
    for signature, place in failed.items():
        print(f"failed: {signature}\n  {place}")
    print(f"{sum(record.kinds.total() for record in records):,} inputs, {len(failed)} failures")
    return int(bool(failed))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600.0, help="for all readers together; default: an hour")
    parser.add_argument("--inputs", type=int, help="that many for every reader, whatever time they take")
    parser.add_argument("--readers", help="names, separated by commas; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    parser.add_argument("--failures", type=Path, default=FAILURES, help="where failures are kept")
    parser.add_argument("--rows", type=Path, help="file that a row per reader is appended to")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="read one kept failure again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
