"""Secret keys of image ciphers: create, keep in a file (`file`), expand to bits, integers and permutations (`streams`).

A key is 256 bits from the operating system. Whoever holds it can read what it hides. It is never printed or copied,
tracebacks do not show it, and it is pickled for one purpose alone: when `multiprocessing` starts a worker process, such
as those of a ``DataLoader``, the worker gets the key through a pipe, in memory.
"""

import hmac
import os
import secrets
from datetime import UTC, datetime
from multiprocessing.context import get_spawning_popen
from typing import Any, Self

from veil.protections.ciphers.keys import file
from veil.protections.ciphers.keys.file import Header, KeyFileError, check_free, header
from veil.protections.ciphers.keys.secret import Hidden
from veil.protections.ciphers.keys.streams import SIZE, Stream, fingerprint, subkey, throwaway

__all__ = ["Header", "Key", "KeyFileError", "Stream", "check_free", "header", "throwaway"]


class Key:
    """A secret key of 256 bits.

    Args:
        secret: 32 bytes, where they come from a key store of your own; `Key.new` makes them.
        created: when the key was made, with its time zone; now, unless given.

    Raises:
        ValueError: where the secret is not 32 bytes.
    """

    __slots__ = ("_secret", "created")

    def __init__(self, secret: bytes, created: datetime | None = None) -> None:
        wrapped = Hidden(secret)
        del secret
        if not isinstance(wrapped.reveal(), bytes) or len(wrapped.reveal()) != SIZE:
            raise ValueError(f"a key is {SIZE} bytes")
        self._secret = wrapped
        self.created = (created or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)

    @classmethod
    def new(cls) -> Self:
        """A key from the operating system's generator."""
        return cls(secrets.token_bytes(SIZE))

    @classmethod
    def load(cls, path: str | os.PathLike[str], passphrase: str | None = None) -> Self:
        """Reads a key file. The passphrase is ignored where the file needs none.

        Raises:
            KeyFileError: where it is missing, not a key file, newer than this Veil, damaged, readable by others, or the
                passphrase is missing or wrong.
        """
        wrapped = file.hide_passphrase(passphrase)
        del passphrase
        secret, created = file.read(path, wrapped)
        return cls(secret.reveal(), created)

    def save(self, path: str | os.PathLike[str], passphrase: str | None = None) -> None:
        """Writes a new key file that only its owner can read (mode 0600); it is whole or not there.

        Raises:
            KeyFileError: where the file exists, its folder does not or cannot be written, or the passphrase is empty.
        """
        wrapped = file.hide_passphrase(passphrase)
        del passphrase
        file.write(path, self._secret, self.created, wrapped)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell keys apart, and do not help to find them."""
        return fingerprint(self._secret)

    def stream(self, cipher: str, use: str) -> Stream:
        """The stream of this key for one use in one cipher, from its start.

        Args:
            cipher, use: printable ASCII, not empty; another cipher or use makes another, independent stream.

        Raises:
            ValueError: where one of them is something else.
        """
        return Stream(subkey(self._secret, cipher, use), f"{cipher}, {use}")

    def __repr__(self) -> str:
        complete = hasattr(self, "_secret")  # not where its making failed, which a traceback may show
        return f"Key(fingerprint {self.fingerprint})" if complete else "Key()"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return hmac.compare_digest(self._secret.reveal(), other._secret.reveal())

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Only for a worker process that `multiprocessing` is starting: such a pickle goes through a pipe, no file.

        Raises:
            TypeError: for any other pickle.
        """
        if get_spawning_popen() is None:
            raise TypeError("a key is not pickled: give the other process the key file's path")
        return Key, (self._secret.reveal(), self.created)
