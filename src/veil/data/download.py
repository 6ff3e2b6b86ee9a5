"""Downloads from mirrors in turn, checked by SHA-256; a file appears as a whole or not at all."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from veil.runtime import foreign
from veil.runtime.errors import UserError
from veil.runtime.files import write_atomically
from veil.runtime.foreign import MOST_PACKED_BYTES

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TIMEOUT = 30.0  # seconds without a byte
_HEADERS = {"User-Agent": "veil", "Accept-Encoding": "identity"}


class DownloadError(UserError, RuntimeError):
    """A file could not be downloaded; the message is one line for a person."""


def identity(data: bytes) -> bytes:
    """The bytes themselves."""
    return data


def fetch(
    urls: Sequence[str],
    to: Path,
    sha256: str,
    *,
    content: Callable[[bytes], bytes] = identity,
    timeout: float = TIMEOUT,
) -> Path:
    """Downloads a file to ``to`` from the first of ``urls`` that serves it whole; does nothing if it exists already.

    Args:
        urls: of http or https.
        to: its folder is created if it is missing. Another file with this name is left unchanged and refused.
        sha256: hexadecimal, of ``content(file)``.
        content: returns the bytes to hash, for files that mirrors compress differently; raises ValueError for bytes
            that it cannot read.
        timeout: seconds that a mirror may be silent.

    Returns:
        ``to``.

    Raises:
        DownloadError: if no mirror serves the file, or it cannot be written.
    """
    if to.exists():
        if _fault(_read(to), sha256, content) is None:
            return to
        raise DownloadError(
            f"{to} is there and is not the file that belongs there: move it away, or give a copy with --data PATH"
        )
    faults = []
    for url in urls:
        data = _downloaded(url, timeout)
        fault = data if isinstance(data, str) else _fault(data, sha256, content)
        if fault is None and isinstance(data, bytes):
            _write(data, to)
            return to
        faults.append(f"{urlsplit(url).hostname or url}: {fault}")
    raise DownloadError(f"{to.name} could not be had ({'; '.join(faults)}): give a copy with --data PATH")


def _downloaded(url: str, timeout: float) -> bytes | str:
    """The bytes of a mirror, or in words why they could not be downloaded."""
    import pooch
    import requests

    data = _Limited()
    try:
        pooch.HTTPDownloader(timeout=timeout, headers=_HEADERS)(url, data, None)
    except (requests.RequestException, OSError, ValueError) as error:
        return _reason(error)
    return data.getvalue()


class _Limited(BytesIO):
    """Takes at most `MOST_PACKED_BYTES`."""

    def write(self, data: "ReadableBuffer", /) -> int:
        if self.tell() + len(memoryview(data)) > MOST_PACKED_BYTES:
            raise ValueError(f"more than {MOST_PACKED_BYTES:,} bytes")
        return super().write(data)


def _reason(error: Exception) -> str:
    """Why a mirror could not be reached, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut"
    system = [cause.strerror for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    text = system[-1] if system else str(error) or type(error).__name__
    return " ".join(text.split())[:120]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, the original cause last."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def _fault(data: bytes, sha256: str, content: Callable[[bytes], bytes]) -> str | None:
    """What is wrong with a file; None if it is the right one."""
    try:
        digest = hashlib.sha256(content(data)).hexdigest()
    except ValueError as error:
        return " ".join(str(error).split())[:120]
    return None if digest == sha256 else "another file than expected (its SHA-256 differs)"


def _read(file: Path) -> bytes:
    try:
        return foreign.bytes_of(file, MOST_PACKED_BYTES)
    except ValueError as error:
        raise DownloadError(str(error)) from error


def _write(data: bytes, to: Path) -> None:
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(to, data)
    except OSError as error:
        raise DownloadError(f"{to} cannot be written ({error.strerror})") from error
