"""One process at a time, and no file of others is touched for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import said, veil
from PIL import Image

from veil.jobs.folders import FolderError, locked

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
    (tmp_path / ".lock").write_text("of an older Veil")
    for _ in range(2):
        with locked(tmp_path):
            pass


@pytest.mark.parametrize("inside", [True, False])
def test_a_lock_is_not_taken_through_a_link(tmp_path: Path, inside: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """What emptied the file that such a link led to."""
    out = tmp_path / "out"
    victim = (out if inside else tmp_path) / "victim.txt"
    out.mkdir()
    victim.write_text("precious")
    (out / ".lock").symlink_to(victim)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    key = tmp_path / "a.key"
    assert veil("key", "new", key) == 0
    capsys.readouterr()
    assert veil("encrypt", tmp_path / "a.png", "-o", out, "--cipher", "tanaka", "--key", key) == 2
    assert victim.read_text() == "precious"
    assert ".lock is a link" in said(capsys)
    assert sorted(path.name for path in out.iterdir()) == sorted([".lock", *(["victim.txt"] if inside else [])])


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderError, match="cannot write to"), locked(tmp_path / "file"):
        pass
