"""All commands as one program."""

import sys
from collections.abc import Sequence

import typer
from rich.markup import escape

import veil
from veil.cli import key, obfuscate, study, transform
from veil.cli.audit import audit
from veil.cli.demo import demo
from veil.cli.encrypt import decrypt, encrypt
from veil.cli.evaluate import evaluate
from veil.cli.fit_noise import fit_noise
from veil.cli.models import inspect, models
from veil.cli.protect import protect
from veil.cli.reproduce import report, reproduce
from veil.cli.terminal import errors
from veil.cli.train import train
from veil.runtime.errors import UserError
from veil.runtime.files import printable
from veil.runtime.memory import keep_memory

app = typer.Typer(
    name="veil", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False,
    help="Keep private images private from deep networks.",
)  # fmt: skip
app.command()(protect)
app.command("fit-noise")(fit_noise)
app.command()(models)
app.command()(inspect)
app.command()(evaluate)
app.command()(train)
app.command()(reproduce)
app.command()(report)
app.add_typer(key.commands, name="key")
app.command()(encrypt)
app.command()(decrypt)
app.add_typer(transform.commands, name="transform")
app.add_typer(obfuscate.commands, name="obfuscate")
app.command()(audit)
app.add_typer(study.commands, name="study")
app.command()(demo)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"veil {veil.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Keep private images private from deep networks."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command. What a person can mend is one line and exit status 2."""
    keep_memory()
    try:
        app(args=list(arguments) if arguments is not None else None)
    except (UserError, ValueError, FileNotFoundError) as error:
        errors.print(f"[red]veil:[/] {escape(printable(str(error)))}")
        sys.exit(2)
