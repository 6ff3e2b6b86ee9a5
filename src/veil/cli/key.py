"""`veil key`: make secret keys, and say what a key file holds without showing it."""

import getpass
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from veil.cli.examples import examples
from veil.cli.terminal import output
from veil.runtime.files import printable

if TYPE_CHECKING:
    from veil.protections.ciphers.keys import Key

PASSPHRASE = "VEIL_PASSPHRASE"
commands = typer.Typer(
    no_args_is_help=True,
    help="Make secret keys, and say what a key file holds.",
    epilog=examples("veil key new my.key"),
)
KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The key file.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command(epilog=examples("veil key new my.key", "veil key new my.key --passphrase"))
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the key.", show_default=False)],
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Protect the file: ask for a passphrase, or take VEIL_PASSPHRASE.")
    ] = False,
) -> None:
    """Make a secret key.

    The file is readable by you alone, and never overwritten. Keep a copy: without the key nobody can bring back what
    it hides.
    """
    from veil.protections.ciphers import keys
    from veil.protections.ciphers.keys import Key

    keys.check_free(file)
    key = Key.new()
    key.save(file, ask(new=True) if passphrase else None)
    protection = "protected by the passphrase" if passphrase else "not protected by a passphrase"
    output.print(f"{escape(printable(file))}: key {key.fingerprint}, {protection}", soft_wrap=True)


@commands.command(epilog=examples("veil key show my.key"))
def show(file: KeyFile, as_json: AsJson = False) -> None:
    """Say what a key file says of its key: fingerprint, date, protection. Never the secret; asks for no passphrase."""
    from veil.protections.ciphers import keys

    header = keys.header(file)
    about = {
        "fingerprint": header.fingerprint,
        "created": header.created.isoformat(sep=" "),
        "passphrase": header.protected,
        "version": header.version,
    }
    if as_json:
        output.print_json(json.dumps(about))
        return
    for name, value in about.items():
        output.print(f"{name:12} {'yes' if value is True else 'no' if value is False else value}")


@commands.command(epilog=examples("veil key check my.key"))
def check(file: KeyFile) -> None:
    """Read a key file to the end, as a cipher would; asks for the passphrase where there is one.

    Exit status: 0 the key is good, 2 it is not.
    """
    output.print(f"{escape(printable(file))}: key {load(file).fingerprint} is good", soft_wrap=True)


def load(file: Path) -> "Key":
    """A key, its passphrase asked for where the file needs one.

    Raises:
        KeyFileError: where the key or the passphrase cannot be had.
    """
    from veil.protections.ciphers import keys
    from veil.protections.ciphers.keys import Key

    return Key.load(file, ask() if keys.header(file).protected else None)


def ask(*, new: bool = False) -> str:
    """The passphrase: what VEIL_PASSPHRASE holds, or what is typed on the terminal, unseen; twice for a ``new`` one.

    Raises:
        KeyFileError: where there is no terminal, nothing is typed, or not the same twice.
    """
    from veil.protections.ciphers.keys import KeyFileError

    if os.environ.get(PASSPHRASE):
        return os.environ[PASSPHRASE]
    typed = _typed_twice() if new else _typed("Passphrase: ")
    if typed is None:
        raise KeyFileError("the passphrases were not the same; nothing is done")
    return typed


def _typed_twice() -> str | None:
    typed = _typed("New passphrase: ")
    return typed if _typed("The same again: ") == typed else None


def _typed(prompt: str) -> str:
    from veil.protections.ciphers.keys import KeyFileError

    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            typed = getpass.getpass(prompt)
        except getpass.GetPassWarning:
            raise KeyFileError(f"no terminal to ask for the passphrase; set {PASSPHRASE}") from None
        except EOFError:
            typed = ""
    if not typed:
        raise KeyFileError("no passphrase was given")
    return typed
