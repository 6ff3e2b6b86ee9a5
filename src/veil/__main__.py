"""``python -m veil``."""

from veil.cli import main

main()
