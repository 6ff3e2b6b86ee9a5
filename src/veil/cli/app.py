"""All commands as one program."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

import veil
from veil.cli import key, obfuscate, study, transform
from veil.cli.audit import audit
from veil.cli.check import check
from veil.cli.demo import demo
from veil.cli.encrypt import decrypt, encrypt
from veil.cli.evaluate import evaluate
from veil.cli.examples import examples
from veil.cli.fit_noise import fit_noise
from veil.cli.models import inspect, models
from veil.cli.protect import protect
from veil.cli.reproduce import report, reproduce
from veil.cli.terminal import errors
from veil.cli.train import train
from veil.runtime.errors import UserError
from veil.runtime.files import printable
from veil.runtime.memory import keep_memory

PHOTOS, IMAGES, FEATURES = "Photos", "Images for networks", "Features"
MEASURE, PAPERS = "Attack and measure", "Models and papers"
GROUPS = (PHOTOS, IMAGES, FEATURES, MEASURE, PAPERS)
"""Of commands, as the help shows them."""


class _Grouped(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, by group."""
        panels = {name: getattr(command, "rich_help_panel", GROUPS[-1]) for name, command in self.commands.items()}
        return sorted(panels, key=lambda name: GROUPS.index(panels[name]))


app = typer.Typer(
    cls=_Grouped,
    name="veil", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False,
    help="Keep private images private from deep networks.",
    epilog=examples("veil protect holiday/ -o protected", "veil protect --help"),
)  # fmt: skip


def _add(group: str, command: Callable[..., Any], *shown: str, name: str | None = None) -> None:
    """Adds a command to a group of the help, with examples."""
    app.command(name, rich_help_panel=group, epilog=examples(*shown))(command)


_add(
    PHOTOS, protect,
    "veil protect holiday/ -o protected",
    "veil protect cat.jpg -o protected --scheme entropy --budget 8 --survival",
)  # fmt: skip
_add(
    PHOTOS, fit_noise,
    "veil fit-noise holiday/ -o noise.safetensors",
    "veil protect holiday/ -o protected --scheme entropy --universal noise.safetensors",
    name="fit-noise",
)  # fmt: skip
_add(
    PHOTOS, check,
    "veil check downloads/ --against protected/",
    "veil check cat.jpg --against protected/ --originals holiday/ -o checked",
)  # fmt: skip
_add(PHOTOS, demo, "veil demo -o demo")
_add(
    IMAGES, encrypt,
    "veil encrypt cifar10/ -o encrypted --cipher tanaka --key my.key",
    "veil encrypt cifar10/ -o encrypted --cipher pixel --per-image",
)  # fmt: skip
_add(IMAGES, decrypt, "veil decrypt encrypted/ -o decrypted --key my.key")
app.add_typer(key.commands, name="key", rich_help_panel=IMAGES)
app.add_typer(transform.commands, name="transform", rich_help_panel=IMAGES)
_add(
    IMAGES, train,
    "veil train --data cifar10/ -o plain",
    "veil train --data cifar10/ -o encrypted --cipher tanaka --key my.key",
)  # fmt: skip
app.add_typer(obfuscate.commands, name="obfuscate", rich_help_panel=FEATURES)
_add(
    MEASURE, audit,
    "veil audit tanaka -o audit --data cifar10/",
    "veil audit plain -o audit --scale smoke",
    "veil audit pair/client.safetensors -o audit --data celeba/",
)  # fmt: skip
app.add_typer(study.commands, name="study", rich_help_panel=MEASURE)
_add(PAPERS, models, "veil models", "veil models --search resnet50")
_add(PAPERS, inspect, "veil inspect cat.jpg", "veil inspect cat.jpg -m mnist-cnn --top 3")
_add(PAPERS, evaluate, "veil evaluate plain/model.toml cifar10/", "veil evaluate things100 photos-by-class/")
_add(PAPERS, reproduce, "veil reproduce --list", "veil reproduce liu2019 --scale smoke")
_add(PAPERS, report, "veil report liu2019")


_LONGEST = 2000  # characters of a message


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
    except (UserError, ValueError, OSError) as error:
        errors.print(f"[red]veil:[/] {escape(_line(error))}")
        sys.exit(2)


def _line(error: Exception) -> str:
    """What an error says, in a line of a length that a person reads. A file may have made it as long as it is."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:  # of the system: a full disk, a folder without rights
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
