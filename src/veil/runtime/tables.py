"""Tables of what a person can name: schemes, protections, attacks, architectures, data sets, papers.

A *row* is an instance of the table's row class. It lies in the file of what it describes and carries everything that
command line, reports, documentation and tests need to know of it. `Table` knows where rows lie and reads them when they
are asked for:

- Veil's own, ``{"crs": "veil.protections.noise.crs:SCHEME"}``, in the order in which they are shown;
- those of other packages, by *entry points* of the table's group. In their ``pyproject.toml``::

      [project.entry-points."veil.schemes"]
      checkerboard = "my_package.checkerboard:SCHEME"

- ``module:object``, where a person types a name (`Table.resolve`), with the current folder last on the path. A name
  that was read from a file is looked up by ``table[name]``, which never imports such a thing.

A plug-in that cannot be used is one `PluginWarning` that names it; the rest goes on.
"""

import difflib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar


class Row(Protocol):
    """What every row has.

    Attributes:
        name: by which it is chosen, and which files keep.
        title: what it is, in a few plain words.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...


R = TypeVar("R", bound=Row)


class UnknownName(ValueError):
    """No row has this name; the message lists the names that exist."""


class PluginWarning(UserWarning):
    """A plug-in cannot be used; the message names it and says why."""


class Table(Mapping[str, R], Generic[R]):
    """Rows by name.

    Iteration, `items` and `values` read every row and skip plug-ins that cannot be used.

    Args:
        group: of entry points, by which other packages add rows.
        row_type: class of the rows.
        noun: what a row is called in messages: ``scheme``.
        rows: where Veil's own rows lie, ``module:object`` by name.
        adapt: takes the typed name and the imported object of another kind, and returns a row for it; raises TypeError
            if it cannot.
    """

    def __init__(
        self,
        group: str,
        row_type: type[R],
        noun: str,
        rows: Mapping[str, str],
        *,
        adapt: Callable[[str, object], R] | None = None,
    ) -> None:
        self.group, self.row_type, self.noun = group, row_type, noun
        self._own, self._adapt = dict(rows), adapt
        self._read: dict[str, R] = {}
        self._broken: set[str] = set()

    def names(self) -> list[str]:
        """The names of all rows, Veil's own first. Does not read any row."""
        return [*self._own, *self._plugins()]

    def __getitem__(self, name: str) -> R:
        """The row of that name.

        Raises:
            UnknownName: where there is none, or it is a plug-in that cannot be used.
        """
        row = self._row(name)
        if row is None:
            raise UnknownName(self._unknown(name))
        return row

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.names() if self._row(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._row(name) is not None

    def resolve(self, typed: str) -> R:
        """The row for what a person typed: a name, or ``module:object``, which is imported.

        Raises:
            UnknownName: where there is no such row, or no such object.
        """
        module, colon, attribute = typed.partition(":")
        path = (*module.split("."), *attribute.split("."))
        if not colon or typed in self or not all(part.isidentifier() for part in path):
            return self[typed]
        with others_code(f"{typed} cannot be imported", UnknownName):
            target = import_typed(typed)
        if isinstance(target, self.row_type):
            if target.name in self and self[target.name] is not target:
                raise UnknownName(f"{typed} calls itself {target.name!r}, as another {self.noun} does; rename it")
            return target
        if self._adapt is not None:
            try:
                return self._adapt(typed, target)
            except TypeError as error:
                raise UnknownName(f"{typed} is no {self.noun}: {error}") from None
        raise UnknownName(
            f"{typed} is no {self.noun}: it is of the type {type(target).__name__}, not {self.row_type.__name__}"
        )

    def _row(self, name: str) -> R | None:
        if name in self._read:
            return self._read[name]
        if name in self._own:
            row: R | None = _object(self._own[name])
        elif name in (plugins := self._plugins()) and name not in self._broken:
            row = self._from(plugins[name])
        else:
            return None
        if row is not None:
            self._read[name] = row
        return row

    def _from(self, plugin: EntryPoint) -> R | None:
        try:
            with redirect_stdout(sys.stderr):
                row = plugin.load()
            if not isinstance(row, self.row_type):
                raise TypeError(f"{plugin.value} is a {type(row).__name__}, not a {self.row_type.__name__}")
            if row.name != plugin.name:
                raise ValueError(f"the row calls itself {row.name!r}")
        except (Exception, SystemExit) as error:  # a stranger's module raises anything
            self._broken.add(plugin.name)
            _warn(plugin, reason_of(error))
            return None
        return row

    def _plugins(self) -> dict[str, EntryPoint]:
        by_name: dict[str, EntryPoint] = {}
        for plugin in _plugins_of(self.group):
            if plugin.name in self._own or plugin.name in by_name:
                if plugin.name not in self._broken:
                    self._broken.add(plugin.name)
                    _warn(plugin, "there is a row of that name already")
            else:
                by_name[plugin.name] = plugin
        return by_name

    def _unknown(self, name: str) -> str:
        if name in self._broken:
            return f"the {self.noun} {name!r} is a plug-in that cannot be used"
        near = difflib.get_close_matches(name, list(self), 3, 0.5)
        hint = f" (near it: {', '.join(near)})" if near and len(self) > 8 else ""
        return f"there is no {self.noun} {name!r}{hint}; there are {', '.join(self)}"

    def __repr__(self) -> str:
        return f"Table({self.group!r}: {', '.join(self.names())})"


def import_typed(path: str) -> Any:
    """The object that a person means by ``module:object``.

    The current folder is the last entry of the path during this import only. Later imports, such as an extra that is
    not installed, must not come from whatever folder is the current one.
    """
    here = str(Path.cwd())
    if here in sys.path:
        return _object(path)
    sys.path.append(here)
    try:
        return _object(path)
    finally:
        sys.path.remove(here)


def _object(path: str) -> Any:
    module, _, attribute = path.partition(":")
    target: Any = importlib.import_module(module)
    for part in attribute.split("."):
        target = getattr(target, part)
    return target


@contextmanager
def others_code(
    failure: str, refused: type[ValueError] = ValueError, passed: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Runs what a person or another package wrote. What it prints goes to the standard error, not among results.

    Args:
        failure: in words, without the reason.
        passed: what it may raise.

    Raises:
        ValueError: as ``refused``, in one line, for whatever else it raises, an end of the whole program too.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except passed:
        raise
    except (Exception, SystemExit) as error:
        raise refused(f"{failure}: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """What an error says, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


@cache
def _plugins_of(group: str) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=group), key=lambda plugin: plugin.name))


def _warn(plugin: EntryPoint, reason: str) -> None:
    package = f" of the package {plugin.dist.name}" if plugin.dist is not None else ""
    warnings.warn(
        f"the plug-in {plugin.name!r} ({plugin.group}){package} cannot be used: {reason}", PluginWarning, stacklevel=2
    )
