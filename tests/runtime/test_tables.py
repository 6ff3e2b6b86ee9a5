"""Tables: own rows, rows of other packages, and what a person types."""

import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from veil.runtime import tables
from veil.runtime.tables import PluginWarning, Table, UnknownName


@dataclass(frozen=True)
class Animal:
    name: str
    title: str = "an animal"


CAT, DOG, OTHER_CAT, NOTHING = Animal("cat"), Animal("dog"), Animal("cat", "another"), "no animal"
FAILS = "test_tables_that_is_not_there:X"


def table(plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Table[Animal]:
    """A table with a cat of its own, and plug-ins that name objects of this file."""
    monkeypatch.setitem(sys.modules, "animals", sys.modules[__name__])
    found = tuple(EntryPoint(name, value, "veil.animals") for name, value in plugins.items())
    monkeypatch.setattr(tables, "_plugins_of", lambda group: found)
    return Table("veil.animals", Animal, "animal", {"cat": "animals:CAT"})


def test_rows_are_veils_own_and_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    animals = table({"dog": "animals:DOG"}, monkeypatch)
    assert animals.names() == list(animals) == ["cat", "dog"]
    assert dict(animals) == {"cat": CAT, "dog": DOG}
    assert "dog" in animals
    assert "cow" not in animals


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("cow", FAILS, "ModuleNotFoundError"),
        ("cow", "animals:NOTHING", "is a str, not a Animal"),
        ("cow", "animals:DOG", "calls itself 'dog'"),
        ("cat", "animals:DOG", "a row of that name already"),
    ],
)
def test_a_broken_plugin_is_one_warning_and_stops_nothing(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    animals = table({name: value, "dog": "animals:DOG"}, monkeypatch)
    with pytest.warns(PluginWarning, match=reason) as caught:
        assert list(animals) == ["cat", "dog"]
    assert f"'{name}' (veil.animals)" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert animals["cat"] is CAT  # it was said once
        with pytest.raises(UnknownName, match=r"there is no animal 'pig'; there are cat, dog$"):
            animals["pig"]
    assert repr(animals).startswith("Table('veil.animals': cat, ")


def test_an_unknown_name_lists_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="there is no animal 'cow'; there are cat, dog"):
        table({"dog": "animals:DOG"}, monkeypatch)["cow"]


def test_what_a_person_types_may_be_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    animals = table({}, monkeypatch)
    assert animals.resolve("cat") is CAT
    assert animals.resolve("animals:DOG") is DOG
    for typed, reason in (
        ("animals:NOTHING", "is no animal: it is of the type str"),
        ("animals:OTHER_CAT", "calls itself 'cat', as another animal does"),
        ("animals:cow", "AttributeError"),
        ("no_such_module:x", "ModuleNotFoundError"),
        ("C:/x y", "there is no animal"),
    ):
        with pytest.raises(UnknownName, match=reason):
            animals.resolve(typed)


def test_a_name_from_a_file_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="there is no animal"):
        table({}, monkeypatch)["animals:DOG"]


def test_the_current_folder_is_last_on_the_path_and_only_meanwhile(tmp_path: Path) -> None:
    """A module of the current folder is found, but hides none that is installed; later imports do not look there."""
    (tmp_path / "mine.py").write_text("from pathlib import Path as X\n")
    (tmp_path / "json.py").write_text("X = 1\n")
    (tmp_path / "late.py").write_text("")
    code = (
        "from pathlib import Path\nfrom veil.runtime.tables import import_typed\n"
        "assert import_typed('mine:X') is Path\n"
        "assert import_typed('json:dumps')([1]) == '[1]'\n"
        "try:\n    import late\nexcept ImportError:\n    print('well')\n"
    )
    command = [sys.executable, "-P", "-c", code]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "well\n"
