"""What commands share of their options: those derived from settings (one source for names, types, defaults and help),
and the reader of ``--labels``."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from veil import images
from veil.images.forms import FORMS
from veil.images.limits import SECONDS, SECONDS_PER_MEGAPIXEL, Limits
from veil.models.options import MOST_CLASSES
from veil.protections import PROTECTIONS, find
from veil.protections.image_protection import KEYS, ImageProtection
from veil.runtime import csv_files, devices, foreign
from veil.runtime.scales import TITLES
from veil.runtime.tables import Row, Table, UnknownName

R = TypeVar("R", bound=Row)

ALL = "all"
SCALE_HELP = "; ".join(f"{scale}: {title}" for scale, title in TITLES.items()) + "."
LOSSLESS = tuple(name for name, stored in images.FORMATS.items() if stored.lossless)
"""Formats that keep every pixel as it is."""
LosslessFormat = Annotated[
    str,
    typer.Option(
        help=f"Of the files that are written: {', '.join(LOSSLESS)}; none with loss.",
        autocompletion=lambda incomplete: [name for name in LOSSLESS if name.startswith(incomplete)],
    ),
]
AUTO_DEVICE = devices.AUTO
Device = Annotated[
    str,
    typer.Option(
        help=f"{', '.join(devices.NAMES[:-1])} or {devices.NAMES[-1]}.",
        autocompletion=lambda incomplete: [name for name in devices.NAMES if name.startswith(incomplete)],
    ),
]
MaxMegapixels = Annotated[float, typer.Option(min=0.000001, help="Refuse larger photos.")]
DECODE_SECONDS = SECONDS
DecodeTimeout = Annotated[
    float,
    typer.Option(
        min=0.001,
        max=86400,
        help=f"Seconds to decode a photo, and {SECONDS_PER_MEGAPIXEL:g} more for every megapixel; then it fails.",
    ),
]
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
        options = {}
        for name, (field, kind, defaults) in _fields(tables).items():
            only = "" if len(defaults) == len(tables) else f" Only with --{choose} {', '.join(defaults)}."
            option = typer.Option(
                "--" + name.replace("_", "-"), help=field.metadata["help"] + only, show_default=_default(defaults)
            )
            options[name] = Annotated[kind | None, option]
        return with_options(command, options)

    return decorate


def with_options(command: Callable[..., Any], options: Mapping[str, Any]) -> Callable[..., Any]:
    """A command with further options, which are None unless they are given.

    The command gets those that were given as a dict ``given``.

    Args:
        options: their annotated types, by the name of the parameter.
    """
    signature = inspect.signature(command, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [parameter.replace(kind=keyword) for parameter in signature.parameters.values() if parameter.name != "given"]
    further = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in options.items()]

    def wrapped(**values: Any) -> Any:
        given = {name: values.pop(name) for name in options}
        return command(**values, given={name: value for name, value in given.items() if value is not None})

    wrapped.__signature__ = inspect.Signature([*own, *further])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *further]}
    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    return wrapped


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


def completion_of_names(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What a shell offers for names with commas between: those that begin as the last one does, after the others."""

    def offered(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in names() if name.startswith(last)]

    return offered


def one_of(names: Iterable[str], help: str) -> Any:
    """An option whose value is one of ``names``, the keys of a table or of a mapping; a shell completes them.

    Another value is wrong usage: one line with the names.
    """
    known = list(names)

    def checked_name(value: str) -> str:
        if value not in known:
            raise typer.BadParameter(f"there is no {value!r}; there are {', '.join(known)}")
        return value

    return typer.Option(
        help=help, callback=checked_name, autocompletion=starting(known), metavar=f"<{'|'.join(known)}>"
    )


def names_in(typed: str) -> list[str]:
    """Names with commas between."""
    return [name.strip() for name in typed.split(",") if name.strip()]


def attacks_of(typed: str) -> list[str] | None:
    """The attacks that ``--attacks`` names; None for all."""
    return None if typed == ALL else [name.strip() for name in typed.split(",")]


def starting(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell offers of ``names``: those that begin as what is typed."""
    known = list(names)
    return lambda incomplete: [name for name in known if name.startswith(incomplete)]


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


def limits_of(max_megapixels: float, decode_timeout: float) -> Limits:
    """What ``--max-megapixels`` and ``--decode-timeout`` say together."""
    return Limits(max_pixels=max(1, int(max_megapixels * 1e6)), seconds=decode_timeout)


def read_labels(file: Path) -> dict[str, int]:
    """Reads rows ``file,class index``; a first row whose second field is no number is a heading.

    Raises:
        typer.BadParameter: for a file that cannot be read or has other rows.
    """
    try:
        rows = list(csv_files.rows_of(file))
    except OSError as error:
        raise typer.BadParameter(f"--labels {file}: {error.strerror}") from None
    except ValueError as error:
        raise typer.BadParameter(f"--labels: {error}") from None
    if rows and not rows[0][1][-1].strip().isdigit():
        rows = rows[1:]
    labels: dict[str, int] = {}
    for line, row in rows:
        try:
            name, index = row
            labels[name] = foreign.whole_number(index, 0, MOST_CLASSES - 1)
        except ValueError as error:
            reason = "every row must be a file and a class index" if len(row) != 2 else error
            raise typer.BadParameter(f"--labels {file}, line {line}: {reason}") from None
    return labels


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


def packaged_transformations() -> list[str]:
    """The transformations that have a name."""
    return [name for name, row in PROTECTIONS.items() if row.key == "none" and row.hides]


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
