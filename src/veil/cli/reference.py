"""Writes docs/cli.md from the commands themselves: ``python -m veil.cli.reference > docs/cli.md``."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

import typer.main

from veil.cli.app import app
from veil.cli.examples import examples_in

HEAD = """# Command-line reference

Made by `python -m veil.cli.reference`; a test holds it against the commands.
"""


def reference() -> str:
    """Every command with its arguments and options, as Markdown."""
    lines = [HEAD]
    for name, command in commands(typer.main.get_command(app), "veil"):
        lines += [f"## {name}\n", f"{inspect.cleandoc(command.help)}\n", "| | |", "|---|---|"]
        for parameter in command.params:
            option = parameter.opts[0].startswith("-")
            called = ", ".join(parameter.opts) if option else parameter.name.upper()
            text = (parameter.help or "").replace("|", "\\|").replace("\n", " ")
            if choices := _choices(parameter):
                text += f" One of {', '.join(choices)}."
            if default := shown_default(parameter):
                text += f" [default: {default}]"
            lines.append(f"| `{called}` | {text} |")
        lines += ["", "```sh", *examples_in(command.epilog), "```", ""]
    return "\n".join(lines)


def _choices(parameter: Any) -> Sequence[str]:
    """What a parameter takes, where that is a closed set."""
    if hasattr(parameter, "type_descriptor"):  # since typer 0.29
        kind = parameter.type_descriptor.annotation
        choices = get_args(kind) if get_origin(kind) is Literal else ()
    else:
        choices = tuple(getattr(parameter.type, "choices", ()))
    if choices:
        return choices
    return (parameter.metavar or "").strip("<>").split("|") if (parameter.metavar or "").startswith("<") else ()


def shown_default(parameter: Any) -> str | None:
    """What the help says of a parameter that is not given; None for flags, and where there is nothing to say."""
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if (
        not parameter.show_default
        or parameter.default is None
        or parameter.default is False
        or parameter.default in ((), "")
    ):
        return None
    return str(parameter.default)


def commands(group: Any, called: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{called} {name}")
        else:
            yield f"{called} {name}", command


if __name__ == "__main__":
    print(reference(), end="")
