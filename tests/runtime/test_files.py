"""Files appear whole or not at all, under names that nobody can know beforehand."""

import os
from pathlib import Path

import pytest

from veil.runtime import files
from veil.runtime.files import TOKEN, remove_partials, token_of, write_atomically


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = tmp_path / ("x" * 255)
    write_atomically(longest, "new", synced=False)
    assert longest.read_text() == "new"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(longest, "newer")
    assert longest.read_text() == "new"
    assert list(tmp_path.iterdir()) == [longest]


def test_temporary_names_are_new_each_time_and_carry_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 7c1583f the name could be known beforehand, and a file of that name was removed."""
    partials: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: partials.append(self.name) or replace(self, target))
    for _ in range(2):
        write_atomically(tmp_path / "a.txt", "text")
    assert len(set(partials)) == 2
    assert all(token_of(name) == TOKEN for name in partials)


def test_what_lies_under_a_temporary_name_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if somebody could guess it."""
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "0" * 2 * count)
    victim, partial = tmp_path / "victim.txt", tmp_path / f".{TOKEN}-{'0' * 16}.part"
    victim.write_text("precious")
    partial.symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "a.txt", "text")
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_private_file_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "private", "", mode=files.PRIVATE_FILE)
        write_atomically(tmp_path / "usual", "")
    finally:
        os.umask(before)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "usual").stat().st_mode & 0o777 == 0o666 & ~umask


def test_only_temporary_files_with_the_tokens_are_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "elsewhere")
    mine, other = f".{'a' * 16}-{'0' * 16}.part", f".{'b' * 16}-{'0' * 16}.part"
    for place in ("folder", "elsewhere"):
        for name in (mine, other, ".a.part", f"{'a' * 16}.part"):
            (tmp_path / place / name).touch()
    remove_partials(tmp_path / "folder", {"a" * 16})
    assert not (tmp_path / "folder" / mine).exists()
    assert (tmp_path / "elsewhere" / mine).exists()
    assert len(list((tmp_path / "folder").iterdir())) == 4


@pytest.mark.parametrize("synced", [True, False])
def test_a_new_name_is_on_the_disk_before_what_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool
) -> None:
    """After a power cut, a training's log was older than the row that said that the training had ended."""
    seen: list[tuple[Path, bool]] = []
    monkeypatch.setattr(files, "sync_folder", lambda folder: seen.append((folder, (folder / "a.txt").exists())))
    write_atomically(tmp_path / "a.txt", "text", synced=synced)
    assert seen == [(tmp_path, True)] * synced
