"""Writes docs/cli.md from the commands themselves: ``python -m veil.cli.reference > docs/cli.md``."""

import inspect
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import typer.main

from veil.cli.app import app

HEAD = """# Command-line reference

Made by `python -m veil.cli.reference`; a test holds it against the commands.
"""


def reference() -> str:
    """Every command with its arguments and options, as Markdown."""
    lines = [HEAD]
    for name, command in _commands(typer.main.get_command(app), "veil"):
        lines += [f"## {name}\n", f"{inspect.cleandoc(command.help)}\n", "| | |", "|---|---|"]
        for parameter in command.params:
            option = parameter.opts[0].startswith("-")
            called = ", ".join(parameter.opts) if option else parameter.name.upper()
            text = (parameter.help or "").replace("|", "\\|").replace("\n", " ")
            choices = get_args(parameter.type_descriptor.annotation)
            if get_origin(parameter.type_descriptor.annotation) is Literal:
                text += f" One of {', '.join(choices)}."
            if option and parameter.default not in (None, False, ()) and "[default" not in text:
                text += f" [default: {parameter.default}]"
            lines.append(f"| `{called}` | {text} |")
        lines.append("")
    return "\n".join(lines)


def _commands(group: Any, called: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{called} {name}")
        else:
            yield f"{called} {name}", command


if __name__ == "__main__":
    print(reference(), end="")
