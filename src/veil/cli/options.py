"""What commands share of their options: those derived from settings (one source for names, types, defaults and help),
and the reader of ``--labels``."""

import csv
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from veil import images
from veil.images.forms import FORMS
from veil.protections import PROTECTIONS, find
from veil.protections.image_protection import KEYS, ImageProtection
from veil.runtime.scales import TITLES
from veil.runtime.tables import Row, Table, UnknownName

R = TypeVar("R", bound=Row)

SCALE_HELP = "; ".join(f"{scale}: {title}" for scale, title in TITLES.items()) + "."
LOSSLESS = tuple(name for name, stored in images.FORMATS.items() if stored.lossless)
"""Formats that keep every pixel as it is."""
MaxMegapixels = Annotated[float, typer.Option(min=0.000001, help="Refuse larger photos.")]
KeepDates = Annotated[
    bool, typer.Option("--keep-dates", help="Give outputs the time at which their originals were last modified.")
]


def with_settings(tables: Mapping[str, type[Any]], choose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command an option for every field of every settings class in ``tables``.

    The command gets those that were set as a dict ``given``. An option that only some of the schemes know says so in
    its help; with another one it is wrong usage (`checked`).

    Args:
        tables: settings class by scheme.
        choose: name of the option that chooses the scheme, for the help.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "given"]
        derived = []
        for name, (field, kind, defaults) in _fields(tables).items():
            only = "" if len(defaults) == len(tables) else f" Only with --{choose} {', '.join(defaults)}."
            default = f" [default: {_default(defaults)}]"
            option = typer.Option(
                "--" + name.replace("_", "-"),
                help=field.metadata["help"] + only + default,
                show_default=False,
            )
            derived.append(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None,
                    annotation=Annotated[kind | None, option],
                )
            )

        def wrapped(**values: Any) -> Any:
            given = {p.name: values.pop(p.name) for p in derived}
            return command(**values, given={k: v for k, v in given.items() if v is not None})

        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        wrapped.__signature__ = inspect.Signature([*keyword, *derived])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in [*keyword, *derived]}
        wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
        return wrapped

    return decorate


def _fields(tables: Mapping[str, type[Any]]) -> dict[str, tuple[dataclasses.Field[Any], Any, dict[str, Any]]]:
    """By name, a field, its type, and its default by scheme."""
    by_name: dict[str, tuple[dataclasses.Field[Any], Any, dict[str, Any]]] = {}
    for scheme, settings in tables.items():
        hints = get_type_hints(settings)
        for field in dataclasses.fields(settings):
            by_name.setdefault(field.name, (field, hints[field.name], {}))[2][scheme] = field.default
    return by_name


def _default(defaults: Mapping[str, Any]) -> str:
    """The first scheme's default, and those that differ: ``1; entropy: 0.5``."""
    shown = {scheme: f"{value:g}" if isinstance(value, float) else str(value) for scheme, value in defaults.items()}
    usual = next(iter(shown.values()))
    return "; ".join([usual, *(f"{scheme}: {value}" for scheme, value in shown.items() if value != usual)])


def table_help(rows: Mapping[str, Any]) -> str:
    """Names and titles of a table's rows, or of some of them, for the help of the option that chooses one."""
    return "; ".join(f"{name}: {row.title}" for name, row in rows.items()) + "."


def completion(table: Table[Any]) -> Callable[[str], list[tuple[str, str]]]:
    """What a shell offers for the name of a row: those that begin so, with their titles."""

    def offered(incomplete: str) -> list[tuple[str, str]]:
        return [(name, row.title) for name, row in table.items() if name.startswith(incomplete)]

    return offered


def chosen(table: Table[R], option: str, typed: str) -> R:
    """The row that a person means by ``typed``: a name, or ``module:object``.

    Raises:
        typer.BadParameter: where there is none.
    """
    try:
        return table.resolve(typed)
    except UnknownName as error:
        raise typer.BadParameter(f"--{option}: {error}") from None


def checked(settings: type[Any], scheme: str, given: Mapping[str, Any]) -> Any:
    """The scheme's settings from the options that were given.

    Raises:
        typer.BadParameter: for an option that the scheme does not have, or a value out of range.
    """
    known = {field.name for field in dataclasses.fields(settings)}
    for name in given:
        if name not in known:
            raise typer.BadParameter(f"--{name.replace('_', '-')} does not go with --scheme {scheme}")
    try:
        return settings(**given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def read_labels(file: Path) -> dict[str, int]:
    """Reads rows ``file,class index``; a first row whose second field is no number is a heading.

    Raises:
        typer.BadParameter: for a file that cannot be read or has other rows.
    """
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            rows = [row for row in csv.reader(handle) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise typer.BadParameter(f"--labels {file}: {error}") from None
    if rows and not rows[0][-1].strip().isdigit():
        rows = rows[1:]
    try:
        return {name: int(index) for name, index in rows}
    except ValueError:
        raise typer.BadParameter(f"--labels {file}: every row must be a file and a class index") from None


def ciphers() -> dict[str, list[ImageProtection]]:
    """What ``--cipher`` takes: ciphers that differ in the use of keys alone share a name, as ``pixel``."""
    by_name: dict[str, list[ImageProtection]] = {}
    for row in PROTECTIONS.values():
        if row.key != "none":
            by_name.setdefault(row.family or row.name, []).append(row)
    return by_name


def cipher_help() -> str:
    """The ciphers, and what they change, for the help of ``--cipher``."""
    named = (f"{name}: {FORMS[rows[0].form]}" for name, rows in ciphers().items())
    return f"{'; '.join(named)}; or package.module:object."


def cipher_named(cipher: str, key: Path | None, per_image: bool) -> ImageProtection:
    """The cipher that ``--cipher``, ``--key`` and ``--per-image`` name together.

    Raises:
        typer.BadParameter: where they do not go together, or there is none of that name.
    """
    if (key is not None) == per_image:
        raise typer.BadParameter("give --key FILE, or --per-image for a key for every image that nobody keeps")
    known = ciphers()
    if cipher not in known and cipher not in PROTECTIONS and ":" not in cipher:
        raise typer.BadParameter(f"there is no cipher {cipher!r}; there are {', '.join(known)}")
    rows = known.get(cipher) or [PROTECTIONS.resolve(cipher)]
    for row in rows:
        if row.key == ("per image" if per_image else "one"):
            return row
    option = "--per-image" if per_image else "--key"
    raise typer.BadParameter(f"{option} does not go with {cipher}, which has {KEYS[rows[0].key]}")


def transformation_named(typed: str) -> ImageProtection:
    """The transformation that a person names: packaged, in a file, or ``package.module:object``.

    Raises:
        typer.BadParameter: for a protection that uses keys.
        UnknownName, TransformationError: where there is none.
    """
    row = find(typed)
    if row.key != "none":
        raise typer.BadParameter(f"{typed} has {KEYS[row.key]}, and is no transformation: see `veil encrypt`")
    return row
