"""What all benchmarks share: where rows go, what they say, how it ends."""

import importlib.util
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from repository import REPOSITORY


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("benchmark", REPOSITORY / "benchmarks/benchmark.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark", loaded)
    spec.loader.exec_module(loaded)
    monkeypatch.setattr(loaded, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(loaded, "keep_memory", lambda: None)  # of this process
    return loaded


def made(module: Any, shown: list[Any], problem: str | None = None) -> Any:
    def measure(scale: int, given: Namespace) -> Iterator[dict[str, Any]]:
        if given.wrong:
            raise module.WrongUsage("this does not go")
        for number in range(scale):
            yield {"number": number, "error": problem if number else None}

    return module.Benchmark(
        name="made", doc="Made.", scales={"smoke": 1, "cpu": 2}, measure=measure, show=shown.append,
        options=lambda parser: parser.add_argument("--wrong", action="store_true"),
        session=lambda scale, given: {"size": scale},
    )  # fmt: skip


def test_rows_are_kept_with_where_they_come_from(module: Any, tmp_path: Path) -> None:
    shown: list[Any] = []
    assert made(module, shown).main(["--scale", "cpu"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "results/made.jsonl").read_text().splitlines()]
    assert [rows] == shown
    assert [(row["benchmark"], row["scale"], row["size"], row["number"]) for row in rows] == [
        ("made", "cpu", 2, 0), ("made", "cpu", 2, 1),
    ]  # fmt: skip
    assert {"command", "date", "hardware", "versions"} <= rows[0].keys()


def test_smoke_keeps_rows_where_it_is_told_to_only(module: Any, tmp_path: Path) -> None:
    assert made(module, []).main(["--scale", "smoke"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert made(module, []).main(["--scale", "smoke", "--out", str(tmp_path / "new/rows.jsonl")]) == 0
    assert len((tmp_path / "new/rows.jsonl").read_text().splitlines()) == 1


def test_a_row_with_an_error_is_status_1(module: Any) -> None:
    assert made(module, [], problem="broken").main(["--scale", "cpu"]) == 1


def test_wrong_usage_is_status_2(module: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[Any] = []
    with pytest.raises(SystemExit) as stop:
        made(module, shown).main(["--scale", "cpu", "--wrong"])
    assert stop.value.code == 2
    assert "this does not go" in capsys.readouterr().err
    assert shown == list(tmp_path.iterdir()) == []
