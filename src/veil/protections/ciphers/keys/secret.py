"""Bytes that nothing shows."""

from typing import NoReturn


class Hidden:
    """Bytes that nothing shows: no repr, no traceback with local variables, no pickle, no copy.

    What is secret lies in one of these wherever an exception may pass, since its traceback holds the local variables.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes; not to be bound to a name."""
        return self._value

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")
