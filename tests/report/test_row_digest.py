"""What a page needs of rows that are gone through, and not kept."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from protection_rows import failure, row, view

from veil import report
from veil.report import accumulators


class Rows:
    """Rows that are made while they are gone through."""

    def __init__(self, count: int) -> None:
        self.count, self.times = count, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.times += 1
        for number in range(self.count):
            if number % 10 == 3:
                yield failure(f"{number}.jpg")
            else:
                yield row(f"{number}.jpg", views=[view(after=number % 5 and 1)], psnr=30 + number % 7)


def test_a_digest_is_what_lists_give() -> None:
    rows = Rows(6000)
    kept = list(rows)
    digest = report.digest(rows, shown=10)
    assert rows.times == 3
    assert digest == report.digest(kept, shown=10)
    assert digest.summary == report.summarise(kept)
    done = [each for each in kept if not each["error"]]
    missed = [each for each in done if not each["protected"]]
    assert digest.listed == done[:2000]
    assert digest.errors == [each for each in kept if each["error"]]
    assert digest.shown == [missed[number * len(missed) // 10] for number in range(10)] == report.select(kept, 10)


def test_a_page_of_a_digest_is_that_of_its_rows(tmp_path: Path) -> None:
    kept = list(Rows(40))
    pages = [
        report.write_protection_report(tmp_path, rows, settings={}, sources={}, shown=5).read_bytes()
        for rows in (kept, report.digest(kept, shown=5))
    ]
    assert pages[0] == pages[1]


def test_rows_that_can_be_gone_through_once_are_refused() -> None:
    with pytest.raises(TypeError, match="gone through twice"):
        report.digest(iter([row()]))


def test_the_page_says_when_medians_are_of_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulators, "SAMPLE", 1000)
    monkeypatch.setattr("veil.report.summary.SAMPLE", 1000)
    few, many = report.digest(Rows(1000)), report.digest(Rows(3000))
    assert "median_sample" not in few.summary["noise"]
    assert many.summary["noise"]["median_sample"] == 1000
    said = "Medians are those of 1,000 photos, drawn at random"
    for digest, is_said in ((few, False), (many, True)):
        page = report.write_protection_report(tmp_path, digest, settings={}, sources={})
        assert (said in page.read_text()) == is_said


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """20,000 rows take some 100 MB as a list."""

    def peak(count: int) -> int:
        tracemalloc.start()
        report.write_protection_report(tmp_path, Rows(count), settings={}, sources={})
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # imports and templates
    few = peak(4000)  # as many as are listed on a page
    assert peak(20_000) < few + 2_000_000
