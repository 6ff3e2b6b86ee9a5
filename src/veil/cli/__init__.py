"""The command line: ``veil``."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from veil.runtime.tables import PluginWarning


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; see `veil.cli.app`. Its import reads the rows of plug-ins, of which broken ones are said so."""
    before = warnings.showwarning
    warnings.showwarning = _say_plugins_in_one_line(before)
    try:
        from veil.cli import app

        app.main(arguments)
    finally:
        warnings.showwarning = before


def _say_plugins_in_one_line(otherwise: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if not issubclass(category, PluginWarning):
            otherwise(message, category, *rest, **named)
            return
        from rich.markup import escape

        from veil.cli.terminal import errors
        from veil.runtime.files import printable

        errors.print(f"[yellow]veil:[/] {escape(printable(str(message)))}")

    return show
