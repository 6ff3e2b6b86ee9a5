"""Writes into README and docs what they quote: ``PYTHONPATH=docs python -m quoted``.

Exit status: 0 all pages are as the rows say · 1 a mark is wrong or missing, or rows contradict a conclusion
"""

import sys

from quoted.marks import faults, filled
from quoted.naked import naked
from quoted.pages import pages, quoted
from quoted.sources import REPOSITORY
from veil.runtime.files import write_atomically


def main() -> int:
    """Writes the pages that changed and names them, and what is wrong."""
    everything, wrong = quoted(), 0
    for page in pages():
        text, name = page.read_text(encoding="utf-8"), page.relative_to(REPOSITORY)
        problems = [*faults(text, everything), *naked(text, name.as_posix())]
        for fault in problems:
            print(f"{name}: {fault}", file=sys.stderr)
        wrong += len(problems)
        new = text if problems else filled(text, everything)
        if new != text:
            write_atomically(page, new)
            print(f"written: {name}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
