"""The way of files through a job: what waits is bounded, failures pass, and nothing goes on when it ends."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from veil.jobs import stream
from veil.jobs.job import Item, Row
from veil.jobs.stream import Failed, Stages, as_written, one_by_one


@dataclass(frozen=True)
class Number:
    """A file whose name is a number, of that many pixels."""

    item: Item
    pixels: int


class Refused(Exception):
    """A file is at fault."""


def items_of(count: int) -> list[Item]:
    return [Item(number, Path(), str(number), Path(__file__), str(number)) for number in range(count)]


def read(item: Item) -> Number:
    return Number(item, 10)


def write(number: Number, changed: int) -> tuple[Row, str]:
    return {"file": number.item.name, "value": changed}, "0"


def stages(**more: Any) -> Stages[Number, int, Row]:
    """Stages that negate numbers."""
    change = one_by_one(lambda number: -int(number.item.name), (Refused,))
    return Stages(**{"read": read, "change": change, "write": write, "row": as_written, "fails": (Refused,)} | more)


def rows(of: Stages[Number, int, Row], count: int, workers: int = 2) -> dict[str, Any]:
    """Values, or errors, by the files' names."""
    found = {item.name: row for item, row in stream.stream(of, items_of(count), workers)}
    return {name: str(row) if isinstance(row, Exception) else row["value"] for name, row in found.items()}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_every_file_gets_its_row(count: int, workers: int) -> None:
    assert rows(stages(), count, workers) == {str(number): -number for number in range(count)}


@pytest.mark.parametrize("stage", ["read", "change", "write"])
def test_a_file_that_fails_does_not_stop_the_others(stage: str) -> None:
    def failing(*given: Any) -> Any:
        item = given[0] if stage == "read" else given[0].item
        if item.number % 7 == 3:
            raise Refused(f"number {item.number}")
        return {"read": read, "write": write, "change": lambda number: -number.item.number}[stage](*given)

    more = {stage: one_by_one(failing, (Refused,)) if stage == "change" else failing}
    wanted = {str(number): f"number {number}" if number % 7 == 3 else -number for number in range(30)}
    assert rows(stages(**more), 30) == wanted


@pytest.mark.parametrize("stage", ["read", "change", "write"])
def test_an_unexpected_error_ends_the_job(stage: str) -> None:
    def failing(*_: Any) -> Any:
        raise RuntimeError("a bug")

    more = {stage: one_by_one(failing, (Refused,)) if stage == "change" else failing}
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="a bug"):
        rows(stages(**more), 30)
    assert threading.active_count() == before


def test_a_change_may_take_many_and_give_them_back_in_any_order() -> None:
    def backwards(taken: Iterator[Number | Failed]) -> Iterator[tuple[Number, int] | Failed]:
        for one in reversed(list(taken)):
            yield one if isinstance(one, Failed) else (one, -one.item.number)

    given = stages(change=backwards)
    order = [item.name for item, _ in stream.stream(given, items_of(9), 2)]
    assert order == [str(number) for number in reversed(range(9))]


def test_failures_are_passed_on_at_once() -> None:
    """A folder of nothing but broken files does not pile up."""

    def refuse(item: Item) -> Number:
        raise Refused("broken")

    taken: list[int] = []

    def watched() -> Iterator[Item]:
        for item in items_of(10_000):
            taken.append(item.number)
            yield item

    first = next(stream.stream(stages(read=refuse), watched(), 2))
    assert isinstance(first[1], Refused)
    assert len(taken) <= stream.FILES + 2


@pytest.mark.parametrize(("pixels", "files"), [(20, 128), (10**9, 2)])
def test_reading_ahead_stops_where_enough_waits(monkeypatch: pytest.MonkeyPatch, pixels: int, files: int) -> None:
    """Room for two: two threads have one each in hand, one is changed, and the next tells that it is alone."""
    monkeypatch.setattr(stream, "PIXELS", pixels)
    begun: list[int] = []
    ahead: list[int] = []

    def counting(item: Item) -> Number:
        begun.append(item.number)
        return read(item)

    def slow(number: Number) -> int:
        time.sleep(0.005)
        ahead.append(len(begun) - number.item.number)
        return -number.item.number

    given = stages(read=counting, change=one_by_one(slow, ()), ahead=files)
    assert rows(given, 30) == {str(number): -number for number in range(30)}
    assert 2 <= max(ahead) <= 8


@pytest.mark.parametrize(("pixels", "files"), [(20, 128), (10**9, 2)])
def test_what_waits_to_be_written_is_bounded(monkeypatch: pytest.MonkeyPatch, pixels: int, files: int) -> None:
    monkeypatch.setattr(stream, "PIXELS", pixels)
    written: list[int] = []
    ahead: list[int] = []

    def slow(number: Number, changed: int) -> Row:
        time.sleep(0.005)
        written.append(number.item.number)
        return write(number, changed)

    def change(number: Number) -> int:
        ahead.append(number.item.number - len(written))
        return -number.item.number

    rows(stages(write=slow, change=one_by_one(change, ()), behind=files), 30)
    assert max(ahead) <= 6


def test_a_file_larger_than_all_room_passes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PIXELS", 5)
    assert rows(stages(), 10, workers=3) == {str(number): -number for number in range(10)}


def test_closing_the_stream_ends_its_threads() -> None:
    before = threading.active_count()
    results = stream.stream(stages(), items_of(1000), 2)
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before
