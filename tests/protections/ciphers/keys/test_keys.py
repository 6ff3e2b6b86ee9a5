"""The secret stays secret: in texts, copies, pickles, tracebacks, logs."""

import base64
import copy
import dataclasses
import gc
import hmac
import io
import json
import logging
import pickle
import pprint
import re
import secrets
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
import rich
import torch
from rich.console import Console
from rich.traceback import Traceback

from veil.protections.ciphers import keys
from veil.protections.ciphers.keys import Key, KeyFileError
from veil.protections.ciphers.keys import file as key_file
from veil.protections.ciphers.keys.secret import Hidden
from veil.protections.ciphers.keys.streams import subkey

PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_file, "_SCRYPT_N", 16)


def secret_of(key: Key) -> bytes:
    return key._secret.reveal()


def shows(text: str, secret: bytes) -> bool:
    """Whether a text holds eight bytes in a row, from either end, in any usual form."""
    text = re.sub(r"[\s,│❱]+", "", text)
    parts = [secret[:8], secret[-8:]]
    forms = [form for part in parts for form in (part.hex(), part.hex(":"), repr(part)[2:-1], repr(part)[3:-2])]
    forms += ["".join(map(str, part)) for part in parts]
    forms += [base64.b64encode(secret[start : start + 9]).decode() for start in (0, 1, 2, 21, 22, 23)]
    forms += [str(int.from_bytes(secret, order)) for order in ("big", "little")]
    return any(re.sub(r"[\s,]+", "", form).lower() in text.lower() for form in forms)


def rendered(error: BaseException) -> str:
    """An error as the most talkative tools print it: with every frame's local variables."""
    console = Console(file=io.StringIO(), width=2000, force_terminal=False)
    console.print(
        Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_length=None, locals_max_string=None,
            locals_hide_dunder=False, locals_hide_sunder=False,
        )
    )  # fmt: skip
    plain = traceback.TracebackException.from_exception(error, capture_locals=True)
    return console.file.getvalue() + "".join(plain.format())  # type: ignore[attr-defined]


def caught(act: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as info:
        act()
    return info.value


def test_new_keys_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Key.new() != Key.new()
    asked = []
    monkeypatch.setattr(secrets, "token_bytes", lambda n: asked.append(n) or bytes(range(n)))
    assert secret_of(Key.new()) == bytes(range(32))
    assert asked == [32]


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33), "0" * 32, bytearray(32), 32, None])
def test_a_key_is_32_bytes(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="a key is 32 bytes"):
        Key(wrong)


def test_the_date_is_in_utc() -> None:
    made = datetime(2026, 3, 1, 1, 30, 15, 99, tzinfo=timezone(timedelta(hours=2)))
    assert Key(bytes(32), made).created == datetime(2026, 2, 28, 23, 30, 15, tzinfo=UTC)
    assert abs(Key.new().created - datetime.now(UTC)) < timedelta(minutes=1)


def test_equal_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared in constant time."""
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(1) or a == b)
    one, same, other = Key(bytes(32)), Key(bytes(32)), Key(bytes(31) + b"\1")
    assert one == same
    assert one != other
    assert len(compared) == 2
    assert one != bytes(32)
    assert {one, same, other} == {one, other}


def test_the_fingerprint_is_neither_the_secret_nor_a_stream() -> None:
    key = Key.new()
    assert re.fullmatch("[0-9a-f]{16}", key.fingerprint)
    assert not shows(key.fingerprint, secret_of(key))
    assert key.fingerprint == Key(secret_of(key)).fingerprint
    assert len({Key.new().fingerprint for _ in range(50)}) == 50


def test_no_text_of_a_key_is_its_secret(caplog: pytest.LogCaptureFixture) -> None:
    key = Key.new()
    stream = key.stream("pixel", "flips")
    console = Console(file=io.StringIO(), width=500)
    for each in (key, stream, key._secret):
        console.print(each, {"key": each}, [each])
        rich.inspect(each, console=console, private=True, dunder=True, methods=True)
        logging.getLogger("test").warning("%s %r %s", each, each, {"key": each})
        texts = [repr(each), str(each), f"{each}", f"{each!r}", pprint.pformat([each]), json.dumps(each, default=str)]
        console.print(*texts, markup=False)
    text = console.file.getvalue() + caplog.text  # type: ignore[attr-defined]
    assert "<hidden>" in text
    held = console.file.getvalue().replace(str(key._secret._value), "")  # type: ignore[attr-defined]
    assert not shows(caplog.text + held, secret_of(key))
    assert repr(key) == f"Key(fingerprint {key.fingerprint})"
    with pytest.raises(TypeError):
        format(key, "x")
    with pytest.raises(TypeError):
        bytes(key)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        vars(key)


def test_a_key_is_not_pickled(tmp_path: Path) -> None:
    key = Key.new()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for each in (key, key._secret, {"settings": [key]}):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(each, protocol)
    with pytest.raises(TypeError, match="not pickled"):
        torch.save({"key": key}, tmp_path / "checkpoint.pt")
    assert not shows((tmp_path / "checkpoint.pt").read_bytes().hex(), secret_of(key))
    assert not shows(rendered(caught(lambda: pickle.dumps(key))), secret_of(key))


def test_a_key_in_a_dataclass_is_not_copied_out() -> None:
    @dataclasses.dataclass
    class Settings:
        key: Key
        level: int = 3

    settings = Settings(Key.new())
    assert dataclasses.asdict(settings)["key"] is settings.key
    assert copy.copy(settings.key) is copy.deepcopy(settings.key) is settings.key
    assert not dataclasses.is_dataclass(settings.key)
    assert not shows(repr(settings) + str(dataclasses.asdict(settings)), secret_of(settings.key))
    with pytest.raises(TypeError):
        json.dumps(dataclasses.asdict(settings))
    with pytest.raises(TypeError):
        copy.deepcopy(settings.key._secret)


def test_the_tests_would_see_a_secret() -> None:
    """What `shows` and `rendered` are worth: a careless function is caught."""
    key = Key.new()

    def careless(kept: object) -> None:
        raise RuntimeError("crash")

    secret = secret_of(key)
    for leak in (secret, secret.hex(), list(secret), base64.b64encode(secret).decode(), {"key": secret}):
        assert shows(rendered(caught(lambda leak=leak: careless(leak))), secret)  # type: ignore[misc]
    del secret, leak
    gc.collect()


def test_a_crash_while_encrypting_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    def encrypt(key: Key, image: torch.Tensor) -> torch.Tensor:
        settings = SimpleNamespace(key=key, stream=key.stream("pixel", "flips"))
        settings.stream.bits(8)
        image.view(-1)[settings.stream.permutation(99)] = 0
        return image

    key = Key.new()
    error = caught(lambda: encrypt(key, torch.zeros(3, 4, 4)))
    logging.getLogger("test").error("crash", exc_info=error)
    for text in (rendered(error), caplog.text):
        assert "encrypt" in text
        assert not shows(text, secret_of(key))
        assert not shows(text, subkey(key._secret, "pixel", "flips").reveal())


BREAKAGES = [
    ("streams.HKDF", lambda key, path: key.stream("pixel", "flips")),
    ("streams.HKDF", lambda key, path: repr(key)),
    ("streams.Cipher", lambda key, path: key.stream("pixel", "flips")),
    ("streams.np.unpackbits", lambda key, path: key.stream("pixel", "flips").bits(9)),
    ("file.os.fsync", lambda key, path: key.save(path.with_name("new.key"))),
    ("file.os.fsync", lambda key, path: key.save(path.with_name("new.key"), PASSPHRASE)),
    ("file.json.dumps", lambda key, path: key.save(path.with_name("new.key"), PASSPHRASE)),
    ("file.Scrypt", lambda key, path: key.save(path.with_name("new.key"), PASSPHRASE)),
    ("file.Scrypt", lambda key, path: Key.load(path, PASSPHRASE)),
    ("file.ChaCha20Poly1305", lambda key, path: key.save(path.with_name("new.key"), PASSPHRASE)),
    ("file.ChaCha20Poly1305", lambda key, path: Key.load(path, PASSPHRASE)),
    ("file.fingerprint", lambda key, path: Key.load(path, PASSPHRASE)),
    ("file.fingerprint", lambda key, path: Key.load(path.with_name("plain.key"))),
    ("file.datetime", lambda key, path: Key.load(path.with_name("plain.key"))),
    ("file.hmac.compare_digest", lambda key, path: Key.load(path.with_name("plain.key"))),
    ("len", lambda key, path: Key(secret_of(key))),
]


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("place", "act"), BREAKAGES, ids=[f"{i}-{place}" for i, (place, _) in enumerate(BREAKAGES)])
def test_wherever_it_breaks_nothing_secret_is_shown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    act: Callable[[Key, Path], object],
    late: bool,
    error: type[BaseException],
) -> None:
    """At the call itself, or at a method of what it returns."""
    key = Key.new()
    key.save(tmp_path / "a.key", PASSPHRASE)
    key.save(tmp_path / "plain.key")

    def fail(*given: object, **named: object) -> None:
        del given, named  # as compiled code, which has no frame
        raise error

    class Late:
        derive = encryptor = update = encrypt = decrypt = strptime = reveal = staticmethod(fail)

        def __init__(self, *_: object, **__: object) -> None: ...

    monkeypatch.setattr(f"veil.protections.ciphers.keys.{place}", Late if late else fail, raising=place != "len")
    broken = None
    try:
        act(key, tmp_path / "a.key")
    except BaseException as caught:
        broken = caught
    monkeypatch.undo()
    if broken is None:
        assert late, "what was broken is not used"
        return
    text = rendered(broken)
    assert "act(key" in text
    assert not shows(text, secret_of(key))
    assert not shows(text, subkey(key._secret, "pixel", "flips").reveal())
    assert PASSPHRASE not in text


def test_errors_about_files_hold_no_secret(tmp_path: Path) -> None:
    """Neither in their message, nor in the locals of their frames, nor in what came before them."""
    key = Key.new()
    key.save(tmp_path / "plain.key")
    key.save(tmp_path / "locked.key", PASSPHRASE)
    whole = (tmp_path / "plain.key").read_text()
    broken = [whole[:-3], whole[:-3] + ",", whole.replace('"kind"', '"kine"'), whole.replace('"created"', '"made"')]
    broken += [whole.replace(key.fingerprint, "0" * 16), whole.replace("=", ""), whole + "{}", whole + "\udc80"]
    acts = [
        lambda: Key.load(tmp_path / "locked.key"),
        lambda: Key.load(tmp_path / "locked.key", "wrong"),
    ]
    for number, text in enumerate(broken):
        path = tmp_path / f"{number}.key"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        path.chmod(0o600)
        acts.append(lambda path=path: Key.load(path))  # type: ignore[misc]
    del whole, broken, text
    for act in acts:
        error = caught(act)
        assert isinstance(error, KeyFileError)
        assert not shows(rendered(error), secret_of(key))
        assert "wrong" not in str(error).replace("passphrase is wrong", "")
        if not isinstance(error.__context__, FileNotFoundError | None):
            assert not shows(repr(vars(error.__context__)), secret_of(key))
            assert not isinstance(error.__context__, ValueError), "it may hold the text"


def test_hidden_bytes() -> None:
    hidden = Hidden(b"secret")
    assert hidden.reveal() == b"secret"
    assert f"{hidden} {hidden!r} {[hidden]}" == "<hidden> <hidden> [<hidden>]"


def test_public_names() -> None:
    assert all(hasattr(keys, name) for name in keys.__all__)
