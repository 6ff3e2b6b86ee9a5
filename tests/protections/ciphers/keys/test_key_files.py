"""Key files: private, whole or not there, and whatever lies in their place is met with one line."""

import base64
import hashlib
import json
import os
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veil.protections.ciphers import keys
from veil.protections.ciphers.keys import Key, KeyFileError
from veil.protections.ciphers.keys import file as key_file

SECRET = bytes(range(32))
MADE = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_file, "_SCRYPT_N", 16)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def changed(path: Path, **fields: Any) -> Path:
    """A key file with other fields."""
    return write(path.with_name("changed.key"), json.dumps(json.loads(path.read_text()) | fields))


def refused(path: Path, passphrase: str | None = None) -> str:
    with pytest.raises(KeyFileError) as caught:
        Key.load(path, passphrase)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.fixture(params=[None, PASSPHRASE], ids=["plain", "passphrase"])
def passphrase(request: pytest.FixtureRequest) -> str | None:
    return request.param


@pytest.fixture
def saved(tmp_path: Path, passphrase: str | None) -> Path:
    path = tmp_path / "a.key"
    Key(SECRET, MADE).save(path, passphrase)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    Key(SECRET, MADE).save(tmp_path / "plain.key")
    return tmp_path / "plain.key"


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    Key(SECRET, MADE).save(tmp_path / "locked.key", PASSPHRASE)
    return tmp_path / "locked.key"


def test_a_key_comes_back(saved: Path, passphrase: str | None) -> None:
    key = Key.load(saved, passphrase)
    assert key == Key(SECRET)
    assert key.created == MADE
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert [each.name for each in saved.parent.iterdir()] == ["a.key"]
    header = keys.header(str(saved))
    assert header == keys.Header(version=1, created=MADE, fingerprint=key.fingerprint, protected=passphrase is not None)


def test_a_plain_file_is_as_documented(plain: Path) -> None:
    assert json.loads(plain.read_text()) == {
        "kind": "veil-secret-key",
        "version": 1,
        "created": "2026-05-04T03:02:01Z",
        "fingerprint": Key(SECRET).fingerprint,
        "protection": None,
        "secret": base64.b64encode(SECRET).decode(),
    }
    assert Key.load(plain, "a passphrase that is not needed") == Key(SECRET)


def test_a_protected_file_is_as_documented(tmp_path: Path) -> None:
    """Opened by the words of the module's head, with the standard library's scrypt."""
    Key(SECRET, MADE).save(tmp_path / "a.key", "cafe\u0301 🔑")
    fields = json.loads((tmp_path / "a.key").read_text())
    sealed = base64.b64decode(fields.pop("secret"))
    how = fields["protection"]
    assert (how["kdf"], how["cipher"]) == ("scrypt", "chacha20-poly1305")
    passphrase, salt = "café 🔑".encode(), base64.b64decode(how["salt"])
    key = hashlib.scrypt(passphrase, salt=salt, n=how["n"], r=how["r"], p=how["p"], dklen=32)
    header = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    assert ChaCha20Poly1305(key).decrypt(bytes(12), sealed, header) == SECRET
    Key(SECRET, MADE).save(tmp_path / "b.key", "café 🔑")
    again = json.loads((tmp_path / "b.key").read_text())
    assert again["protection"]["salt"] != how["salt"]
    assert again["secret"] != base64.b64encode(sealed).decode()


def test_the_passphrase_is_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    how = key_file._Protection.new()
    assert (how.n, how.r, how.p) == (2**17, 8, 1)
    assert how.valid
    assert how.bearable
    assert len(base64.b64decode(how.salt)) == 16


@pytest.mark.parametrize("passphrase", ["x", " ", "пароль", "a\0b", "\udcff\ud800", "long " * 2000])
def test_any_passphrase(tmp_path: Path, passphrase: str) -> None:
    Key(SECRET).save(tmp_path / "a.key", passphrase)
    assert Key.load(tmp_path / "a.key", unicodedata.normalize("NFD", passphrase)) == Key(SECRET)
    assert "is wrong" in refused(tmp_path / "a.key", passphrase + "x")


def test_wrong_and_missing_passphrases(locked: Path) -> None:
    assert "none was given" in refused(locked)
    assert "is wrong" in refused(locked, PASSPHRASE.upper())
    assert refused(locked, "") == "the passphrase is empty"
    with pytest.raises(KeyFileError, match="the passphrase is empty"):
        Key(SECRET).save(locked.with_name("b.key"), "")
    assert not locked.with_name("b.key").exists()


def test_private_from_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen while the file is written, whatever the umask: nobody else may read, and the name is not there yet."""
    seen = []

    def look(handle: int) -> None:
        seen.append([(each.name, stat.S_IMODE(each.stat().st_mode)) for each in tmp_path.iterdir()])

    for umask in (0o000, 0o777):
        monkeypatch.setattr(os, "fsync", look)
        before = os.umask(umask)
        try:
            Key(SECRET).save(tmp_path / f"{umask}.key")
        finally:
            os.umask(before)
        mode = next(mode for name, mode in seen[0] if not name.endswith(".key"))
        assert mode == 0o600
        assert f"{umask}.key" not in [name for name, _ in seen[0]]
        assert stat.S_IMODE((tmp_path / f"{umask}.key").stat().st_mode) == 0o600
        seen.clear()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0.key", "511.key"]


def test_created_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the mode is set by name, too."""
    seen = []
    fchmod = os.fchmod

    def look(handle: int, mode: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        fchmod(handle, mode)

    monkeypatch.setattr(os, "fchmod", look)
    before = os.umask(0)
    try:
        Key(SECRET).save(tmp_path / "a.key")
    finally:
        os.umask(before)
    assert seen == [0o600]


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "file", "mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    for check in (True, False):
        if not check:  # another process was faster
            monkeypatch.setattr(key_file, "check_free", lambda path: None)
        for name in ("file", "folder", "nowhere"):
            with pytest.raises(KeyFileError, match=f"{name} exists, and a key is never overwritten"):
                Key(SECRET).save(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder", "nowhere"]
    assert not (tmp_path / "absent").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match=r"cannot write .*a\.key: No space left on device"):
        Key(SECRET).save(tmp_path / "a.key")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_modes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fchmod = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda handle, mode: fchmod(handle, 0o755))
    with pytest.raises(KeyFileError, match="does not keep files private"):
        Key(SECRET).save(tmp_path / "a.key")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"there is no folder .*absent"):
        Key(SECRET).save(tmp_path / "absent/a.key")
    write(tmp_path / "file", "in the way")
    with pytest.raises(KeyFileError):
        Key(SECRET).save(tmp_path / "file/a.key")
    with pytest.raises(KeyFileError, match="File name too long"):
        Key(SECRET).save(tmp_path / ("a" * 300))
    with pytest.raises(KeyFileError, match="is not a name of a file"):
        Key(SECRET).save(tmp_path / "a\0b")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@contextmanager
def without_privileges() -> Iterator[None]:
    """As another user, where the tests run as root, whom no mode stops."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65534)
    except OSError:
        pytest.skip("this container has one user")
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with without_privileges(), pytest.raises(KeyFileError, match=r"cannot write .*: Permission denied"):
            Key(SECRET).save(Path(folder) / "a.key")
        assert list(Path(folder).iterdir()) == []
        Path(folder).chmod(0o755)


def test_a_file_of_somebody_else() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes files that it cannot read")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Key(SECRET).save(Path(folder) / "a.key")
        with without_privileges():
            assert "cannot read" in refused(Path(folder) / "a.key")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601, 0o777])
def test_open_files_are_refused(plain: Path, mode: int) -> None:
    plain.chmod(mode)
    assert refused(plain).endswith(f"is open to others than its owner, so it is not used: chmod 600 {plain}")
    with pytest.raises(KeyFileError, match="chmod 600"):
        keys.header(plain)
    plain.chmod(0o400)
    assert Key.load(plain) == Key(SECRET)


def test_a_file_that_another_owner_gave_to_a_group(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As services get their secrets; what everybody can read is refused all the same."""
    monkeypatch.setattr(os, "geteuid", lambda: plain.stat().st_uid + 1)
    plain.chmod(0o640)
    assert Key.load(plain) == Key(SECRET)
    plain.chmod(0o644)
    assert "chmod 600" in refused(plain)


def test_the_command_in_the_message_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "my key's.key"
    Key(SECRET).save(path)
    path.chmod(0o644)
    command = refused(path).partition(": ")[2]
    assert os.system(command) == 0
    assert Key.load(path) == Key(SECRET)


@pytest.mark.parametrize(
    "name", ["ключ 🔑.key", "a\nb.key", "\x1b[31m.key", os.fsdecode(b"\xff.key"), "[red].key", "-a"]
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / name).startswith("there is no ")
    Key(SECRET).save(tmp_path / name, PASSPHRASE)
    assert Key.load(str(tmp_path / name), PASSPHRASE) == Key(SECRET)
    assert "none was given" in refused(tmp_path / name)


def test_a_name_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Key(SECRET).save("a.key")
    assert Key.load("a.key") == Key(SECRET)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert refused(tmp_path).endswith("is a folder, not a key file")
    assert refused(tmp_path / "pipe").endswith("is not a key file")
    assert refused(Path(os.devnull)).endswith("is not a key file")
    assert "cannot read" in refused(tmp_path / "loop")
    assert "cannot read" in refused(write(tmp_path / "file", "") / "a.key")
    assert refused(tmp_path / "absent") == f"there is no {tmp_path / 'absent'}"
    assert refused(tmp_path / "a\0b").endswith("is not a name of a file")
    assert refused(Path()).endswith("is a folder, not a key file")


JUNK = [b"", b"\0", b"\n", bytes(range(256)), b"\xff\xfe", b"null", b"[]", b"{}", b"1" * 4000, b"1" * 5000, b'"kind"',
        b'{"kind": 1}', b'{"kind": "ssh"}', b"[" * 4000, b"[" * 100_000, b"\x89PNG\r\n\x1a\n" * 10_000,
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n"]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK, ids=[str(each[:20]) for each in JUNK])
def test_junk(tmp_path: Path, junk: bytes) -> None:
    assert refused(write(tmp_path / "junk", junk)).endswith("junk is not a key file")


def test_every_truncation_is_noticed(saved: Path, passphrase: str | None) -> None:
    whole = saved.read_bytes().rstrip()
    for length in range(len(whole)):
        message = refused(write(saved.with_name("cut"), whole[:length]), passphrase)
        assert "cut is damaged" in message or "cut is not a key file" in message
    assert "damaged" in message
    assert "damaged" in refused(write(saved, whole + whole), passphrase)
    assert Key.load(write(saved, b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n")), passphrase) == Key(SECRET)


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_changed_byte_is_noticed(saved: Path, passphrase: str | None, place: int, value: int) -> None:
    """Or it changes nothing that counts: white space, or the date of a file that no passphrase protects."""
    content = bytearray(saved.read_bytes())
    content[place % len(content)] = value
    path = write(saved.with_name("changed"), bytes(content))
    try:
        key = Key.load(path, passphrase)
    except KeyFileError:
        refused(path, passphrase)
    else:
        assert key == Key(SECRET)
        assert key.created == MADE or passphrase is None


WRONG: list[tuple[str, Any]] = [
    ("version", 0), ("version", True), ("version", "1"), ("version", None), ("version", 1.0), ("created", "yesterday"),
    ("created", 1), ("created", None), ("created", "2026-13-04T03:02:01Z"), ("fingerprint", "x" * 16),
    ("fingerprint", None), ("fingerprint", "0" * 15), ("fingerprint", "0" * 16), ("protection", {}), ("protection", []),
    ("protection", "no"), ("protection", False), ("secret", ""), ("secret", None), ("secret", 5), ("secret", "é"),
    ("secret", base64.b64encode(bytes(31)).decode()), ("secret", base64.b64encode(bytes(33)).decode()),
    ("secret", base64.b64encode(bytes(32)).decode()), ("secret", "!" * 44), ("secret", ["a"]), ("extra", 1),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG, ids=str)
def test_wrong_fields(plain: Path, field: str, value: Any) -> None:
    assert "is damaged" in refused(changed(plain, **{field: value}))


def test_missing_fields(plain: Path) -> None:
    fields = json.loads(plain.read_text())
    for name in fields:
        left = {each: value for each, value in fields.items() if each != name}
        message = refused(write(plain.with_name("changed.key"), json.dumps(left)))
        assert ("is damaged" if name != "kind" else "is not a key file") in message


def test_a_newer_version(plain: Path) -> None:
    assert "has version 2, and this Veil reads 1: update Veil" in refused(changed(plain, version=2, more="fields"))


def test_the_header_is_authenticated(locked: Path) -> None:
    how = json.loads(locked.read_text())["protection"]
    for change in (
        {"created": "2026-05-04T03:02:02Z"},
        {"fingerprint": "0" * 16},
        {"protection": how | {"n": 32}},
        {"protection": how | {"salt": base64.b64encode(bytes(16)).decode()}},
        {"secret": base64.b64encode(bytes(48)).decode()},
    ):
        assert "the file was altered" in refused(changed(locked, **change), PASSPHRASE)
    assert "damaged" in refused(changed(locked, protection=None), PASSPHRASE)


@pytest.mark.parametrize(
    "change",
    [{"n": 2**30}, {"n": 2**20}, {"n": 2, "r": 2**21}, {"r": 33}, {"r": 10**9}, {"p": 5}, {"p": 2**30},
     {"n": 2**62, "r": 2**62, "p": 2**62}],
)  # fmt: skip
def test_a_hostile_file_gets_no_memory(locked: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, int]) -> None:
    monkeypatch.setattr(key_file, "Scrypt", lambda *_: pytest.fail("scrypt was asked"))
    how = json.loads(locked.read_text())["protection"]
    assert "more memory or time" in refused(changed(locked, protection=how | change), PASSPHRASE)


@pytest.mark.parametrize(
    "change",
    [{"n": 0}, {"n": 1}, {"n": 17}, {"n": -16}, {"n": 16.0}, {"n": "16"}, {"n": None}, {"n": True}, {"r": 0}, {"p": 0},
     {"p": False}, {"n": 2**16, "r": 1}, {"n": 10**1000}, {"salt": ""}, {"salt": 5}, {"salt": "AAAA"},
     {"kdf": "argon2"}, {"kdf": ["scrypt"]}, {"cipher": "none"}, {"more": 1}],
)  # fmt: skip
def test_a_protection_that_cannot_be(locked: Path, change: dict[str, Any]) -> None:
    how = json.loads(locked.read_text())["protection"]
    assert "is damaged" in refused(changed(locked, protection=how | change), PASSPHRASE)
    assert "is damaged" in refused(changed(locked, protection={k: how[k] for k in how if k not in change} | {"": 0}))


def test_too_little_memory_is_said(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Poor:
        def __init__(self, *_: object) -> None: ...

        def derive(self, passphrase: bytes) -> bytes:
            raise MemoryError

    monkeypatch.setattr(key_file, "Scrypt", Poor)
    how = json.loads(locked.read_text())["protection"]
    assert "128 MiB are needed" in refused(changed(locked, protection=how | {"n": 2**17}), PASSPHRASE)
