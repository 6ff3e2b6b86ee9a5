"""Decoding in processes that can be killed: deadlines, memory, crashes, lies, and what is left when this one ends."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from stalling_images import ppm_in_words, small

from veil.images import ImageError, decoding_pool
from veil.images.decoding_messages import READY, Request
from veil.images.decoding_pool import DecodingPool

TIFF = small("TIFF")


def request(data: bytes, *, seconds: float = 60.0, memory: int = 1 << 28, max_pixels: int = 10**6) -> Request:
    return Request(size=len(data), manner="photo", max_pixels=max_pixels, seconds=seconds, memory=memory)


@pytest.fixture
def pool() -> Iterator[DecodingPool]:
    pool = DecodingPool(most=2)
    yield pool
    pool.end()


def pids(pool: DecodingPool) -> set[int]:
    return {process._process.pid for process in pool._free}


def imposter(monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """Every process started from now on says that it is ready, reads a little and does something else."""
    program = f"import os, sys, time; os.write(1, {READY!r}); os.read(0, 10); {then}"
    monkeypatch.setattr(decoding_pool, "command", lambda: [sys.executable, "-I", "-S", "-c", program])


def test_a_process_is_reused_and_gives_what_this_one_would(pool: DecodingPool) -> None:
    from veil.images import decoders

    here = decoders.photo(TIFF, 10**6)
    first = pool.decode(request(TIFF), TIFF)
    assert np.array_equal(first.pixels, here.pixels)
    assert first.notes == here.notes
    before = pids(pool)
    with pytest.raises(ImageError, match="damaged"):
        pool.decode(request(TIFF[:200]), TIFF[:200])
    pool.decode(request(TIFF), TIFF)
    assert pids(pool) == before
    assert len(before) == 1


def test_threads_share_the_processes(pool: DecodingPool) -> None:
    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(lambda _: pool.decode(request(TIFF), TIFF).pixels, range(24)))
    assert all(np.array_equal(result, results[0]) for result in results)
    assert 1 <= len(pids(pool)) <= 2


def test_a_deadline_ends_the_work_and_the_next_photo_has_a_new_process(pool: DecodingPool) -> None:
    slow = ppm_in_words(2000)
    pool.decode(request(TIFF), TIFF)
    before = pids(pool)
    with pytest.raises(ImageError, match=r"decoding took more than 0\.2 seconds, and was ended"):
        pool.decode(request(slow, seconds=0.2, max_pixels=10**8), slow)
    assert not pids(pool)
    pool.decode(request(TIFF), TIFF)
    assert pids(pool).isdisjoint(before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory a process has")
def test_memory_is_bounded(pool: DecodingPool) -> None:
    large = b"P6 6000 6000 255\n" + bytes(6000 * 6000 * 3)
    with pytest.raises(ImageError, match="not enough memory"):
        pool.decode(request(large, memory=1 << 26, max_pixels=10**8), large)
    assert pool.decode(request(large, memory=1 << 30, max_pixels=10**8), large).pixels.shape == (6000, 6000, 3)


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("os.kill(os.getpid(), 11)", r"its decoder crashed \(signal SIGSEGV\)"),
        ("sys.exit(3)", r"its decoder crashed \(exit status 3\)"),
        ("os.write(1, b'\\xff' * 99); time.sleep(60)", "its decoder crashed"),
        ("""os.write(1, b'\\x0f\\0\\0\\0{"error": false}'); time.sleep(60)""", "its decoder crashed"),
        ("""os.write(1, b'\\x10\\0\\0\\0{"error": null} '); time.sleep(60)""", "its decoder crashed"),
    ],
    ids=["signal", "exit", "long line", "wrong type", "no pixels"],
)
def test_crashes_and_lies_cost_one_photo(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch, then: str, message: str
) -> None:
    with monkeypatch.context() as replaced:
        imposter(replaced, then)
        with pytest.raises(ImageError, match=message):
            pool.decode(request(TIFF), TIFF)
    assert pool.decode(request(TIFF), TIFF).pixels.shape == (64, 64, 3)


def test_more_pixels_than_asked_for_are_not_taken(pool: DecodingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'{"error": null, "shape": [99999, 99999], "notes": [], "metadata": null}'
    imposter(monkeypatch, f"os.write(1, {len(line).to_bytes(4, 'little') + line!r}); time.sleep(60)")
    with pytest.raises(ImageError, match="its decoder crashed"):
        pool.decode(request(TIFF), TIFF)


@pytest.mark.parametrize("command", [["/nonexistent"], [sys.executable, "-c", "1 / 0"]])
def test_a_process_that_does_not_start_costs_one_photo(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(decoding_pool, "command", lambda: command)
    with pytest.raises(ImageError, match="the process that decodes photos does not start"):
        pool.decode(request(TIFF), TIFF)


def test_a_process_that_was_killed_while_it_waited_is_replaced(pool: DecodingPool) -> None:
    pool.decode(request(TIFF), TIFF)
    process = pool._free[0]
    process._process.kill()
    process._process.wait()
    assert pool.decode(request(TIFF), TIFF).pixels.shape == (64, 64, 3)


def test_an_interrupted_wait_ends_the_process(pool: DecodingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding_pool, "read_reply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.decode(request(TIFF), TIFF)
    assert not pool._free


def run(program: str, path: Path) -> subprocess.Popen[str]:
    """A program of Python, started in an empty folder."""
    text = "from veil.images import *\n" + textwrap.dedent(program)
    return subprocess.Popen([sys.executable, "-c", text, path], stdout=subprocess.PIPE, text=True, cwd=path.parent)


def gone(pid: int) -> bool:
    """Whether a process has ended, as it must within seconds."""
    for _ in range(600):
        try:
            os.kill(pid, 0)
            if "Z" in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]:
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


PRINTS_PID = "from veil.images.decoding_pool import POOL\nprint(POOL._free[0]._process.pid, flush=True)"
LIVES: dict[str, Callable[[subprocess.Popen[str]], object]] = {
    "ends": lambda process: process.wait(),
    "is killed": lambda process: process.kill(),
}


@pytest.mark.parametrize("how", LIVES)
def test_no_process_is_left_when_its_parent(tmp_path: Path, how: str) -> None:
    (tmp_path / "photo.tiff").write_bytes(TIFF)
    wait = "" if how == "ends" else "\nimport time; time.sleep(600)"
    with run(f"import sys\nload_arrays(sys.argv[1])\n{PRINTS_PID}{wait}", tmp_path / "photo.tiff") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        LIVES[how](process)
        assert gone(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_starts_processes_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "photo.tiff").write_bytes(TIFF)
    program = """
    import os, sys
    from veil.images.decoding_pool import POOL
    load_arrays(sys.argv[1])
    first = POOL._free[0]._process.pid
    child = os.fork()
    load_arrays(sys.argv[1])
    assert (POOL._free[0]._process.pid == first) == bool(child)
    if child:
        print("parent", os.waitpid(child, 0)[1])
    """
    with run(program, tmp_path / "photo.tiff") as process:
        assert process.communicate()[0] == "parent 0\n"
        assert process.returncode == 0


def test_files_in_the_current_folder_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "photo.tiff").write_bytes(TIFF)
    for name in ("numpy", "json", "PIL"):
        (tmp_path / f"{name}.py").write_text(f"open('{name} ran', 'w')")
    program = """
    import sys
    pixels = load_arrays(sys.argv[1]).pixels
    print(pixels.shape, "torch" in sys.modules)
    """
    text = "import sys; here = sys.path.pop(0); import numpy, json, PIL.Image; sys.path.insert(0, here)\n"
    text += "from veil.images import *\n" + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", text, "photo.tiff"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout == "(64, 64, 3) False\n"
    assert not list(tmp_path.glob("* ran"))


def test_the_pool_is_not_started_by_an_import() -> None:
    program = "import veil, veil.images.decoding_pool as p; assert not p.POOL._free"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert isinstance(decoding_pool.POOL, DecodingPool)
