"""Constraints that pin every dependency to the lowest version that `pyproject.toml` allows: `make test-oldest`.

Run as a program, it prints them, one a line.
"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?\s*>=\s*(?P<version>[0-9][0-9.]*)")


def constraints(project: Path = PROJECT) -> list[str]:
    """``name==version`` for every dependency, of all extras, sorted.

    Raises:
        ValueError: for a dependency that states no lowest version, or more than that.
    """
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = [line for lines in table["optional-dependencies"].values() for line in lines]
    pinned = set()
    for line in [*table["dependencies"], *extras]:
        if line.startswith(f"{table['name']}["):
            continue
        if (match := _REQUIREMENT.fullmatch(line)) is None:
            raise ValueError(f"{project.name}: {line!r} is not of the form name>=version")
        pinned.add(f"{match['name']}=={match['version']}")
    return sorted(pinned)


if __name__ == "__main__":
    print("\n".join(constraints()))
