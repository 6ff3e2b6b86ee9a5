"""Key files: JSON that only its owner can read, the secret in plain or sealed by a passphrase.

Version 1: an object of ``kind``, ``version``, ``created``, ``fingerprint``, ``protection`` and ``secret``; all but the
last are the header. Without a passphrase ``protection`` is null and ``secret`` is in base64. With one, in Unicode's
form NFC as UTF-8, ``secret`` is sealed by ChaCha20-Poly1305 with a nonce of zeros, under the 32 bytes that scrypt (RFC
7914) makes of passphrase and salt, the salt being new in every file; authenticated with it is the header as JSON with
sorted keys and without spaces.
"""

import base64
import contextlib
import hmac
import json
import os
import re
import secrets
import shlex
import stat
import tempfile
import unicodedata
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from veil.protections.ciphers.keys.secret import Hidden
from veil.protections.ciphers.keys.streams import SIZE, fingerprint
from veil.runtime import foreign

KIND, VERSION = "veil-secret-key", 1
_FIELDS = {"kind", "version", "created", "fingerprint", "protection", "secret"}
_DATE = "%Y-%m-%dT%H:%M:%SZ"
_LARGEST_FILE = 4096
_SALT, _TAG = 16, 16
_SCRYPT_N = 2**17


class KeyFileError(ValueError):
    """A key file cannot be written or read; the message is one line for a person and holds no secret."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a key file says of its key.

    Attributes:
        version: of the file's form.
        created: when the key was made, in UTC.
        fingerprint: of the key; `Key.load` holds it against the secret.
        protected: whether the file needs a passphrase.
    """

    version: int
    created: datetime
    fingerprint: str
    protected: bool


def header(path: str | os.PathLike[str]) -> Header:
    """What a key file says of its key, without a passphrase; only `Key.load` shows that it is true.

    Raises:
        KeyFileError: as for `Key.load`, save for the passphrase.
    """
    return _parse(_path(path)).header


def read(path: str | os.PathLike[str], passphrase: Hidden | None) -> tuple[Hidden, datetime]:
    """A key file's secret, and when it was made.

    Raises:
        KeyFileError: see `veil.protections.ciphers.keys.Key.load`.
    """
    file = _parse(_path(path))
    secret: Hidden | None = file.secret
    if file.protection is not None:
        if passphrase is None:
            raise KeyFileError(f"{_shown(path)} is protected by a passphrase, and none was given")
        secret = _unseal(file.secret, file.protection.sealer(passphrase), file.authenticated)
    if secret is None:
        raise KeyFileError(f"{_shown(path)}: the passphrase is wrong, or the file was altered")
    if not hmac.compare_digest(fingerprint(secret), file.header.fingerprint):
        raise KeyFileError(f"{_shown(path)} is damaged: its secret and its fingerprint do not match")
    return secret, file.header.created


def write(path: str | os.PathLike[str], secret: Hidden, created: datetime, passphrase: Hidden | None) -> None:
    """Writes a new key file.

    Raises:
        KeyFileError: see `veil.protections.ciphers.keys.Key.save`.
    """
    check_free(path)
    _create(_path(path), _content(secret, created, passphrase))


def hide_passphrase(passphrase: str | None) -> Hidden | None:
    """A passphrase's bytes.

    Raises:
        KeyFileError: where it is empty.
    """
    if passphrase is None:
        return None
    if not passphrase:
        raise KeyFileError("the passphrase is empty")
    return Hidden(unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass"))


def check_free(path: str | os.PathLike[str]) -> None:
    """Says early that `Key.save` will refuse a path.

    Raises:
        KeyFileError: where it exists, or its folder does not.
    """
    try:
        if os.path.lexists(path):
            raise KeyFileError(f"{_shown(path)} exists, and a key is never overwritten; choose another name")
        if not _path(path).parent.is_dir():
            raise KeyFileError(f"there is no folder {_shown(Path(path).parent)}")
    except OSError as error:
        raise KeyFileError(f"cannot write {_shown(path)}: {error.strerror}") from None


@dataclass(frozen=True, kw_only=True)
class _Protection:
    """How a passphrase becomes the key that seals the secret; scrypt takes 128·n·r bytes and time in n·r·p."""

    kdf: str
    n: int
    r: int
    p: int
    salt: str
    cipher: str

    @classmethod
    def new(cls) -> Self:
        """Of a new file: 128 MiB, and about half a second."""
        salt = _base64(secrets.token_bytes(_SALT))
        return cls(kdf="scrypt", n=_SCRYPT_N, r=8, p=1, salt=salt, cipher="chacha20-poly1305")

    @property
    def valid(self) -> bool:
        known = (self.kdf, self.cipher) == ("scrypt", "chacha20-poly1305") and len(_from_base64(self.salt)) == _SALT
        whole = all(type(number) is int and number >= 1 for number in (self.n, self.r, self.p))
        return known and whole and self.n.bit_count() == 1 and 1 < self.n < 2 ** min(16 * self.r, 64)

    @property
    def bearable(self) -> bool:
        """At most 512 MiB, and 16 times as long as in a new file."""
        return self.n * self.r <= 2**22 and self.r <= 32 and self.p <= 4

    def sealer(self, passphrase: Hidden) -> ChaCha20Poly1305:
        scrypt = Scrypt(_from_base64(self.salt), 32, self.n, self.r, self.p)
        with contextlib.suppress(MemoryError):
            return ChaCha20Poly1305(scrypt.derive(passphrase.reveal()))
        raise KeyFileError(f"not enough memory for the passphrase: {self.n * self.r >> 13} MiB are needed")


@dataclass(frozen=True, kw_only=True)
class _File:
    header: Header
    protection: _Protection | None
    authenticated: bytes
    secret: Hidden


def _authenticated(fields: dict[str, Any]) -> bytes:
    plain = {name: value for name, value in fields.items() if name != "secret"}
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def _content(secret: Hidden, created: datetime, passphrase: Hidden | None) -> Hidden:
    """A key file's bytes."""
    protection = None if passphrase is None else _Protection.new()
    fields: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "created": created.strftime(_DATE),
        "fingerprint": fingerprint(secret),
        "protection": None if protection is None else asdict(protection),
    }
    if passphrase is not None and protection is not None:
        sealer = protection.sealer(passphrase)
        secret = Hidden(sealer.encrypt(bytes(12), secret.reveal(), _authenticated(fields)))
    return Hidden((json.dumps(fields | {"secret": _base64(secret.reveal())}, indent=2) + "\n").encode())


def _unseal(secret: Hidden, sealer: ChaCha20Poly1305, authenticated: bytes) -> Hidden | None:
    try:
        return Hidden(sealer.decrypt(bytes(12), secret.reveal(), authenticated))
    except InvalidTag:
        return None


def _create(path: Path, content: Hidden) -> None:
    """Writes beside ``path`` and links there: unlike a rename, a link never replaces what it finds."""
    partial = None
    try:
        handle, name = tempfile.mkstemp(prefix=".veil-key-", dir=path.parent)
        partial = Path(name)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o600)
            if stat.S_IMODE(os.fstat(handle).st_mode) != 0o600:
                raise KeyFileError(f"cannot write {_shown(path)}: its file system does not keep files private")
            file.write(content.reveal())
            file.flush()
            os.fsync(handle)
        path.hardlink_to(partial)
        _sync_folder(path.parent)
    except FileExistsError:
        raise KeyFileError(f"{_shown(path)} exists, and a key is never overwritten; choose another name") from None
    except OSError as error:
        raise KeyFileError(f"cannot write {_shown(path)}: {error.strerror}") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Brings a folder's new names to the disk, where its file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(path: Path) -> Hidden:
    """A file's bytes; refused where others can read it, as ssh does."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check_file(path, os.fstat(handle))
            return Hidden(os.read(handle, _LARGEST_FILE + 1))
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise KeyFileError(f"there is no {_shown(path)}") from None
    except OSError as error:
        raise KeyFileError(f"cannot read {_shown(path)}: {error.strerror}") from None


def _check_file(path: Path, state: os.stat_result) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise KeyFileError(f"{_shown(path)} is a folder, not a key file")
    if not stat.S_ISREG(state.st_mode):
        raise KeyFileError(f"{_shown(path)} is not a key file")
    others = 0o077 if state.st_uid == os.geteuid() else 0o007
    if state.st_mode & others:
        command = f"chmod 600 {shlex.quote(_shown(path))}"
        raise KeyFileError(f"{_shown(path)} is open to others than its owner, so it is not used: {command}")


def _parse(path: Path) -> _File:
    content = _read(path)
    fields = _fields(content)
    if fields is None or fields.get("kind") != KIND:
        if KIND.encode() in content.reveal():
            raise KeyFileError(f"{_shown(path)} is damaged: restore it from a copy")
        raise KeyFileError(f"{_shown(path)} is not a key file")
    version = fields.get("version")
    if type(version) is int and version > VERSION:
        raise KeyFileError(f"{_shown(path)} has version {version}, and this Veil reads {VERSION}: update Veil")
    file = _file(fields)
    if file is None:
        raise KeyFileError(f"{_shown(path)} is damaged: restore it from a copy")
    if file.protection is not None and not file.protection.bearable:
        raise KeyFileError(f"{_shown(path)} asks for more memory or time than a passphrase may take")
    return file


def _fields(content: Hidden) -> dict[str, Any] | None:
    """A key file's fields, the secret decoded and hidden; None where it is no JSON object."""
    try:
        fields = foreign.parse_json(content.reveal()[:_LARGEST_FILE].decode("utf-8-sig"))
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    fields["secret"] = Hidden(_from_base64(fields.get("secret")))
    return fields


def _file(fields: dict[str, Any]) -> _File | None:
    """A key file, or None where a field is missing, unknown or has a value that it cannot have."""
    try:
        protection = None if fields["protection"] is None else _Protection(**fields["protection"])
        says = Header(
            version=VERSION,
            created=datetime.strptime(fields["created"], _DATE).replace(tzinfo=UTC),
            fingerprint=fields["fingerprint"],
            protected=protection is not None,
        )
        whole = set(fields) == _FIELDS and type(fields["version"]) is int and fields["version"] == VERSION
        named = re.fullmatch("[0-9a-f]{16}", says.fingerprint) is not None
    except (KeyError, TypeError, ValueError):
        return None
    size = SIZE if protection is None else SIZE + _TAG
    if not whole or not named or len(fields["secret"].reveal()) != size or not (protection is None or protection.valid):
        return None
    return _File(header=says, protection=protection, authenticated=_authenticated(fields), secret=fields["secret"])


def _path(path: str | os.PathLike[str]) -> Path:
    if "\0" in os.fspath(path):
        raise KeyFileError(f"{_shown(path)} is not a name of a file")
    return Path(path)


def _shown(path: str | os.PathLike[str]) -> str:
    """A path in one line; what is not printable is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fspath(path))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: object) -> bytes:
    """No bytes where it is not base64."""
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    return b""
