"""Files from the net: mirrors in turn, checked by SHA-256, and there as a whole or not at all."""

import hashlib
import http.client
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from veil.runtime.errors import UserError

TIMEOUT = 30.0  # seconds without a byte


class DownloadError(UserError, RuntimeError):
    """A file could not be had; the message is one line for a person."""


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
    """Brings a file to ``to`` from the first of ``urls`` that has it whole; does nothing where it is there already.

    Args:
        to: its folder is made where it is missing. Another file of this name is left as it is, and refused.
        sha256: hexadecimal, of ``content(file)``.
        content: what the hash is taken of, for files that mirrors pack in their own way; raises ValueError for bytes
            that it cannot read.
        timeout: seconds that a mirror may be silent.

    Returns:
        ``to``.

    Raises:
        DownloadError: where no mirror has it, or it cannot be written.
    """
    if to.exists():
        if _fault(_read(to), sha256, content) is None:
            return to
        raise DownloadError(
            f"{to} is there and is not the file that belongs there: move it away, or give a copy with --data PATH"
        )
    faults = []
    for url in urls:
        mirror = urlsplit(url).hostname or url
        try:
            data = _download(url, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            faults.append(f"{mirror}: {_reason(error)}")
            continue
        fault = _fault(data, sha256, content)
        if fault is None:
            _write(data, to)
            return to
        faults.append(f"{mirror}: {fault}")
    raise DownloadError(f"{to.name} could not be had ({'; '.join(faults)}): give a copy with --data PATH")


def _download(url: str, timeout: float) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "veil"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        data: bytes = answer.read()
    return data


def _reason(error: Exception) -> str:
    """What went wrong between here and a mirror, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        with error:  # it holds the connection
            return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was cut"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())[:120]


def _fault(data: bytes, sha256: str, content: Callable[[bytes], bytes]) -> str | None:
    """What is wrong with a file; None where it is the right one."""
    try:
        found = hashlib.sha256(content(data)).hexdigest()
    except ValueError as error:
        return " ".join(str(error).split())[:120]
    return None if found == sha256 else "another file than expected (its SHA-256 differs)"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DownloadError(f"{file} cannot be read ({error.strerror})") from error


def _write(data: bytes, to: Path) -> None:
    part = to.parent / f".{secrets.token_hex(8)}.part"
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(to)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise DownloadError(f"{to} cannot be written ({error.strerror})") from error
        raise
