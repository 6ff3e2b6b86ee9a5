"""Files are read only where reading ends: regular ones, up to a size."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from veil.runtime.files import open_regular, read_regular, require_regular

READERS: tuple[Callable[[Path], object], ...] = (open_regular, read_regular, require_regular)


@pytest.mark.parametrize("reader", READERS)
def test_pipes_folders_sockets_and_devices_are_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name in ("pipe", "link", "socket", "/dev/zero"):
            with pytest.raises(OSError, match="not a regular file"):
                reader(Path(name))
    with pytest.raises(IsADirectoryError, match="a folder, not a file"):
        reader(Path("folder"))
    with pytest.raises(FileNotFoundError):
        reader(Path("nothing"))


def test_regular_files_are_read_also_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", largest=3) == read_regular(tmp_path / "file") == b"abc"
    with open_regular(str(tmp_path / "file")) as handle:
        assert handle.read(1) == b"a"


@pytest.mark.parametrize("reader", READERS)
def test_large_files_are_refused_before_they_are_read(tmp_path: Path, reader: Callable[..., object]) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)  # takes no room
    with pytest.raises(OSError, match="1,099,511,627,776 bytes are more than the 1,000 that are read"):
        reader(tmp_path / "large", largest=1000)


def test_what_takes_the_place_of_a_file_is_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"abc")
    os.mkfifo(pipe)
    first = file.stat()
    monkeypatch.setattr(Path, "stat", lambda path: first)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(pipe)
