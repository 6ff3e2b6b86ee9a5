"""Fetching files, and MNIST by it: mirrors in turn, nothing broken left behind, one line for a person."""

import gzip
import hashlib
import http.server
import math
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from veil.data.download import DownloadError, fetch
from veil.data.layouts import mnist

BODY = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``/good…``; ``/cut`` breaks off, ``/wrong`` is another file; ``/files/`` is a folder; counts requests."""

    asked: list[str]
    files: Path | None = None

    def do_GET(self) -> None:
        self.asked.append(self.path)
        file = self.files / self.path.removeprefix("/files/") if self.files and "/files/" in self.path else None
        if self.path.startswith("/absent") or (file is not None and not file.is_file()):
            return self.send_error(404)
        body = b"<html>please log in</html>" if self.path == "/wrong" else BODY if file is None else file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.asked, Handler.files = [], None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once(server: str, tmp_path: Path) -> None:
    to = tmp_path / "new" / "file.bin"
    assert fetch([f"{server}/good"], to, SHA256) == to
    assert to.read_bytes() == BODY
    assert fetch([f"{server}/good"], to, SHA256) == to
    assert Handler.asked == ["/good"]
    assert [each.name for each in to.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("broken", ["absent", "wrong", "cut"])
def test_the_next_mirror_is_asked(server: str, tmp_path: Path, broken: str) -> None:
    fetch([f"{server}/{broken}", f"{server}/good"], tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert Handler.asked == [f"/{broken}", "/good"]


@pytest.mark.parametrize(
    ("broken", "reason"), [("absent", "HTTP 404"), ("wrong", "SHA-256 differs"), ("cut", "connection was cut")]
)
def test_nothing_is_left_of_a_broken_file(server: str, tmp_path: Path, broken: str, reason: str) -> None:
    with pytest.raises(
        DownloadError, match=rf"file\.bin could not be had \(127\.0\.0\.1: .*{reason}.*--data PATH"
    ) as told:
        fetch([f"{server}/{broken}"], tmp_path / "file.bin", SHA256)
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    with pytest.raises(DownloadError, match=r"a\.invalid: Name or service not known; b\.invalid: Name"):
        fetch(["http://a.invalid/x", "http://b.invalid/x"], tmp_path / "x", SHA256)


def test_a_silent_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DownloadError, match="no answer in time"):
        fetch([f"http://127.0.0.1:{silent.getsockname()[1]}/x"], tmp_path / "x", SHA256, timeout=0.1)


def test_another_file_in_the_way_stays(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="move it away"):
        fetch([f"{server}/good"], tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == b"mine"
    (tmp_path / "folder").mkdir()
    with pytest.raises(DownloadError, match="cannot be read"):
        fetch([f"{server}/good"], tmp_path / "folder", SHA256)
    assert Handler.asked == []


def test_a_place_that_cannot_be_written(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch([f"{server}/good"], tmp_path / "file" / "file.bin", SHA256)


def test_the_hash_is_of_the_content(server: str, tmp_path: Path) -> None:
    source = tmp_path / "source.gz"
    source.write_bytes(gzip.compress(BODY, 1))
    Handler.files = tmp_path
    fetch([f"{server}/files/source.gz"], tmp_path / "x.gz", SHA256, content=gzip.decompress)
    assert (tmp_path / "x.gz").read_bytes() == source.read_bytes()


def test_only_the_net_is_asked(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(BODY)
    with pytest.raises(DownloadError, match="No connection adapters"):
        fetch([(tmp_path / "source").as_uri()], tmp_path / "file.bin", SHA256)


def test_a_file_has_the_mode_of_other_files(server: str, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    fetch([f"{server}/good"], tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.fixture
def mirror(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `mnist.download` takes for its second mirror; the first one is away."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    hashes = {}
    for part, count in (("train", 20), ("t10k", 5)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            head = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
            values = random.Random(kind).randbytes(math.prod(shape))
            plain = head + (values if kind == "images-idx3" else bytes(value % 10 for value in values))
            hashes[f"{part}-{kind}-ubyte"] = hashlib.sha256(plain).hexdigest()
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(plain))
    monkeypatch.setattr(mnist, "SHA256", hashes)
    Handler.files = folder
    monkeypatch.setattr(mnist, "MIRRORS", (f"{server}/absent/", f"{server}/files/"))
    return folder


def test_mnist_is_downloaded_once(mirror: Path, tmp_path: Path) -> None:
    to = mnist.download(tmp_path / "mnist")
    data = mnist.read(to, validation=5)
    assert (len(data.train), len(data.validation), len(data.test)) == (15, 5, 5)
    assert mnist.find([tmp_path]) == to
    for file in mirror.iterdir():
        file.unlink()
    assert mnist.download(to) == to


def test_mnist_in_plain_files_is_not_downloaded_again(mirror: Path, tmp_path: Path) -> None:
    for file in mirror.iterdir():
        (tmp_path / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    assert mnist.download(tmp_path) == tmp_path
    assert not list(tmp_path.glob("*.gz"))


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:25] + bytes(9) + b[34:], lambda b: b"no gzip"])
def test_a_damaged_mirror_leaves_nothing(mirror: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = mirror / "train-labels-idx1-ubyte.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DownloadError, match=r"train-labels-idx1-ubyte\.gz could not be had"):
        mnist.download(tmp_path / "mnist")
    assert {each.name for each in (tmp_path / "mnist").iterdir()} == {"train-images-idx3-ubyte.gz"}
    assert mnist.find([tmp_path / "mnist"]) is None


def test_other_digits_are_not_overwritten(mirror: Path, tmp_path: Path) -> None:
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(b"fashion"))
    with pytest.raises(DownloadError, match="is there and is not the file"):
        mnist.download(tmp_path)
    assert gzip.decompress(file.read_bytes()) == b"fashion"


@pytest.mark.parametrize("place", [".", "mnist", "MNIST", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_found(mirror: Path, tmp_path: Path, place: str, packed: bool) -> None:
    folder = tmp_path / "root" / place
    folder.mkdir(parents=True)
    for file in mirror.iterdir():
        data = file.read_bytes()
        (folder / (file.name if packed else file.stem)).write_bytes(data if packed else gzip.decompress(data))
    roots = [tmp_path / "absent", mirror.parent / "none", tmp_path / "root"]
    assert mnist.find(roots) == folder
    next(folder.glob("t10k-labels*")).unlink()
    assert mnist.find(roots) is None


def test_a_damaged_idx_file_is_one_line(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(BODY))
    packed[20:40] = bytes(20)
    (tmp_path / "x.gz").write_bytes(packed)
    with pytest.raises(ValueError, match=r"^x\.gz: (broken gzip|not an IDX file)"):
        mnist.read_idx(tmp_path / "x.gz")


def test_the_hashes_are_those_of_mnist(
    server: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Handler.files = shared / "mnist"
    monkeypatch.setattr(mnist, "MIRRORS", (f"{server}/files/",))
    data = mnist.read(mnist.download(tmp_path))
    assert len(data.train) == 55_000
