"""One process at a time, and no file of others is touched for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import said, veil
from PIL import Image

from veil.jobs.folders import FolderError, locked
from veil.runtime.files import TOKEN

HOLD = """
import sys
from pathlib import Path
from veil.jobs.folders import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_kept_out_until_it_dies(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(FolderError, match="another process is working in"), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path):
        pass


def test_a_lock_file_that_a_killed_process_left_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    for _ in range(2):
        with locked(tmp_path):
            assert (tmp_path / ".unfinished").read_text() == f"{TOKEN}\n"
        assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_a_lock_file_of_others_is_left_as_it_is(tmp_path: Path) -> None:
    """In 7c1583f it was emptied."""
    (tmp_path / ".lock").write_text("precious")
    with pytest.raises(FolderError, match=r"\.lock is not a lock of Veil"), locked(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "precious"


@pytest.mark.parametrize("inside", [True, False])
def test_a_lock_is_not_taken_through_a_link(tmp_path: Path, inside: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """What emptied the file that such a link led to."""
    private = tmp_path / "out-private"
    victim = (private if inside else tmp_path) / "victim.txt"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    key = tmp_path / "a.key"
    command = ["encrypt", tmp_path / "a.png", "-o", tmp_path / "out", "--cipher", "tanaka", "--key", key]
    assert veil("key", "new", key) == veil(*command) == 0
    victim.write_text("precious")
    (private / ".lock").unlink()
    (private / ".lock").symlink_to(victim)
    capsys.readouterr()
    assert veil(*command) == 2
    assert victim.read_text() == "precious"
    assert ".lock is a link" in said(capsys)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderError, match="cannot write to"), locked(tmp_path / "file"):
        pass
