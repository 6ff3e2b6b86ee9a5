"""Versions of dependencies: the lowest that are allowed, those that were tested, and the file of their hashes."""

import re
import tomllib
from pathlib import Path

import oldest
import pytest

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version.partition("+")[0]))


def pinned(lines: list[str]) -> dict[str, str]:
    """Versions by name."""
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


TESTED = pinned([line for line in (ROOT / "constraints.txt").read_text().split("\n") if "==" in line])
LOCKED = pinned(re.findall(r"^[A-Za-z0-9._-]+==[^ ;]+", LOCK, re.MULTILINE))
OLDEST = pinned(oldest.constraints())


def test_every_dependency_has_a_lowest_version_that_was_not_left_behind() -> None:
    assert OLDEST.keys() <= TESTED.keys()
    for name, version in OLDEST.items():
        assert numbers(version) <= numbers(TESTED[name]), name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(project["dependencies"]) <= len(OLDEST)


def test_a_dependency_without_a_lowest_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\ndependencies = ["torch>=2"]\n[project.optional-dependencies]\na = ["x[b]", "timm"]\n'
    )
    with pytest.raises(ValueError, match=r"pyproject\.toml: 'timm' is not of the form name>=version"):
        oldest.constraints(tmp_path / "pyproject.toml")


def test_the_lock_file_has_the_versions_that_were_tested() -> None:
    """Where this fails: `make lock`."""
    assert OLDEST.keys() <= LOCKED.keys()
    assert {name: version for name, version in LOCKED.items() if TESTED.get(name, version) != version} == {}


def test_the_lock_file_has_hashes_and_names_no_host() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCK)[1:]
    assert len(entries) == len(LOCKED)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries)
    assert "://" not in LOCK
