"""The command line: ``veil``."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; see `veil.cli.app`."""
    from veil.cli import app

    app.main(arguments)
