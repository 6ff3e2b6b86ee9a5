"""Examples below the help of a command: whole commands, as a person types them. A test parses every one of them."""

_HEAD = "Examples:"


def examples(*commands: str) -> str:
    """The text below a command's help."""
    return "\n".join([_HEAD, *(f"  {command}" for command in commands)])


def examples_in(epilog: str | None) -> list[str]:
    """The commands of such a text."""
    return [line.strip() for line in (epilog or "").splitlines() if line.strip() != _HEAD]
