"""Every reader is fed some hundred damaged inputs; and the parts of the harness that find failures find them."""

import ctypes
import json
import mmap
import os
import re
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from fuzzing import __main__ as command
from fuzzing import campaign
from fuzzing.campaign import Amount, Worker, WorkerDied
from fuzzing.minimise import minimised
from fuzzing.mutators import GENERIC, mutated
from fuzzing.reader import CORPUS, Prepared, Reader
from fuzzing.readers import READERS
from fuzzing.structures import STRUCTURES
from fuzzing.worker import Bench
from repository import REPOSITORY

INPUTS = 40  # of every reader; an hour of `make fuzz` has some hundred thousand


def test_no_reader_fails(tmp_path: Path) -> None:
    records = campaign.run(list(READERS.values()), Amount(inputs=INPUTS), 0, tmp_path, lambda line: None)
    failed = [f"{record.reader.name}: {signature}" for record in records for signature in record.failures]
    assert not failed, f'{failed}; see SECURITY.md, or run `make fuzz FUZZ="--inputs {INPUTS}"`'
    for record in records:
        assert record.kinds.total() == INPUTS
        assert record.kinds["read"], f"{record.reader.name} reads none of its seeds"


def test_what_security_promises_is_fed() -> None:
    promised = re.findall(r"^\| `([\w-]+)` \|", (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(promised) == sorted(READERS)


def test_seeds_are_small() -> None:
    assert sum(file.stat().st_size for file in (REPOSITORY / CORPUS).rglob("*")) < 300 * 1024


@pytest.mark.parametrize("name", READERS)
def test_mutations_are_drawn_by_their_seed_alone(name: str) -> None:
    corpus = READERS[name].corpus(STRUCTURES)
    whole = [data for data, _ in corpus]
    data, structure = corpus[0]

    def drawn() -> list[bytes]:
        random = Random(7)
        return [mutated(data, structure, random, whole) for _ in range(20)]

    assert drawn() == drawn()
    assert len(set(drawn())) > 5


@pytest.mark.parametrize("mutator", GENERIC, ids=lambda mutator: mutator.__name__)
@pytest.mark.parametrize("data", [b"", b"a", b"some bytes"])
def test_mutators_take_any_bytes(mutator: Callable[..., bytes], data: bytes) -> None:
    for number in range(50):
        assert isinstance(mutator(data, Random(number), [data, b"other"]), bytes)


@pytest.mark.parametrize("suffix", STRUCTURES)
def test_structures_change_what_they_know(suffix: str) -> None:
    """Each of them changes a seed of its format, most of the time."""
    found = {structure: data for reader in READERS.values() for data, structure in reader.corpus(STRUCTURES)}
    data = found[STRUCTURES[suffix]]
    changed = []
    for number in range(60):
        try:
            changed.append(STRUCTURES[suffix](data, Random(number), [data]))
        except Exception:
            continue
    assert len(changed) > 40
    assert len(set(changed)) > 10


def test_changed_pngs_have_the_right_checksums() -> None:
    data = (REPOSITORY / CORPUS / "images/all.png").read_bytes()
    for number in range(30):
        changed, at = STRUCTURES[".png"](data, Random(number), [data]), 8
        while at < len(changed):
            (length,) = struct.unpack_from(">I", changed, at)
            chunk = changed[at + 4 : at + 8 + length]
            assert struct.unpack_from(">I", changed, at + 8 + length)[0] == zlib.crc32(chunk)
            at += 12 + length


def test_inputs_are_reduced() -> None:
    data = bytes(1000) + b"bad" + bytes(500) + b"!" + bytes(300)
    assert minimised(data, lambda fewer: b"bad" in fewer and b"!" in fewer, 60) == b"bad!"
    assert minimised(data, lambda fewer: True, 60) == b""
    assert minimised(data, lambda fewer: False, 60) == data


def reader(read: Callable[[Path], object], *refusals: type[BaseException], **limits: float) -> Reader:
    seeds = (f"{CORPUS}/sets/names.txt",)
    return Reader(
        name="own", title="own", file="own.txt", seeds=seeds, **limits,
        prepare=lambda folder: Prepared(lambda file: read(file) if b"bad" in file.read_bytes() else None, refusals),
    )  # fmt: skip


def refuses(file: Path) -> None:
    from veil.models.cards import read

    read(file)


def eats(file: Path) -> None:
    # Not from the allocator, which may hold as much already.
    with mmap.mmap(-1, 64 << 20) as fresh:
        fresh[:: mmap.PAGESIZE] = bytes([1]) * (len(fresh) // mmap.PAGESIZE)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("read", "limits", "kind"),
    [
        (lambda file: None, {}, "read"),
        (refuses, {}, "refused"),
        (lambda file: int("x"), {}, "exception"),
        (lambda file: os._exit(0), {}, "crash"),
        (lambda file: ctypes.string_at(0), {}, "crash"),
        (eats, {"mebibytes": 30}, "memory"),
        (lambda file: [None for _ in iter(int, 1)], {"seconds": 0.1}, "time"),
        (lambda file: time.sleep(60), {"seconds": 0.1}, "hang"),
    ],
    ids=["reads", "refuses", "raises", "exits", "crashes", "eats memory", "computes for ever", "waits for ever"],
)
def test_what_a_reader_does_is_seen(
    read: Callable[[Path], object], limits: dict[str, float], kind: str, tmp_path: Path
) -> None:
    """`ValueError` is allowed here, but only where Veil itself raises it."""
    outcome = Bench(tmp_path).judge_apart(reader(read, ValueError, **limits), b"bad")
    assert outcome.kind == kind, outcome
    assert outcome.failed == (kind not in ("read", "refused"))


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with Worker(tmp_path / "worker") as worker:
        task = {"do": "judge", "reader": "labels", "input": b"a.png,1\n".hex()}
        assert worker.ask(**task)["kind"] == "read"
        assert worker.process is not None
        worker.process.kill()
        with pytest.raises(WorkerDied) as died:
            worker.ask(**task)
        assert died.value.outcome.kind == "crash"
        assert worker.ask(**task)["kind"] == "read"


def test_a_kept_failure_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "failure.json").write_text(json.dumps({"reader": "labels"}))
    (tmp_path / "labels.csv").write_bytes(b"a.png,1\n")
    assert command.main(["--replay", str(tmp_path)]) == 0
    assert "kind='read'" in capsys.readouterr().out
