"""The training loop: the loss falls, a stopped run goes on and ends the same, other settings are refused."""

import csv
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from veil import training
from veil.training import Moment, Trained, TrainingError, loop


class Stop(Exception):
    pass


def regression(folder: Path, *, epochs: int = 4, stop_after: int | None = None, seed: int = 0) -> tuple[list, dict]:
    """Fits a line with dropout and momentum, so that hidden state would show."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1))
    optimizers = {
        "sgd": torch.optim.SGD(network[:2].parameters(), lr=0.05, momentum=0.9),
        "adam": torch.optim.Adam(network[2:].parameters(), lr=0.01),
    }
    steps = 0

    def batches(epoch: int, generator: Generator) -> Iterator[Tensor]:
        for _ in range(5):
            yield torch.randn(16, 3, generator=generator)

    def step(x: Tensor, now: Moment) -> dict[str, Tensor]:
        nonlocal steps
        if steps == stop_after:
            raise Stop
        steps += 1
        loss = ((network(x)[:, 0] - x.sum(1)) ** 2).mean()
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
        return {"loss": loss}

    log = loop.run(
        Trained({"network": network}, optimizers), batches, step,
        epochs=epochs, steps_per_epoch=5, folder=folder, seed=seed, settings={"lr": 0.05},
    )  # fmt: skip
    return log, network.state_dict()


def without_times(log: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in log]


def test_loss_falls(tmp_path: Path) -> None:
    log, _ = regression(tmp_path)
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("stop_after", [3, 5, 12])
def test_resume_is_exact(tmp_path: Path, stop_after: int) -> None:
    expected_log, expected = regression(tmp_path / "whole")
    with pytest.raises(Stop):
        regression(tmp_path / "stopped", stop_after=stop_after)
    log, found = regression(tmp_path / "stopped")
    assert without_times(log) == without_times(expected_log)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_a_finished_run_only_loads(tmp_path: Path) -> None:
    log, state = regression(tmp_path)
    again, loaded = regression(tmp_path, stop_after=0)
    assert again == log
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_death_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    expected_log, _ = regression(tmp_path, epochs=4)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    log, _ = regression(tmp_path, epochs=4, stop_after=0)
    assert log == expected_log


def test_death_before_the_log_is_written_loses_nothing(tmp_path: Path) -> None:
    regression(tmp_path)
    whole = (tmp_path / "log.jsonl").read_text()
    (tmp_path / "log.jsonl").write_text("".join(whole.splitlines(keepends=True)[:-1]))
    regression(tmp_path, stop_after=0)
    assert (tmp_path / "log.jsonl").read_text() == whole


def test_other_settings_are_refused(tmp_path: Path) -> None:
    regression(tmp_path)
    with pytest.raises(ValueError, match="other settings"):
        regression(tmp_path, seed=1)


def test_progress_and_seeds_depend_on_the_epoch(tmp_path: Path) -> None:
    seen: list[tuple[int, float, int]] = []

    def step(batch: int, now: Moment) -> dict[str, float]:
        seen.append((now.epoch, now.progress, now.generator.initial_seed()))
        return {"loss": 0.0}

    loop.run(
        Trained({}, {}), lambda epoch, generator: range(2), step,
        epochs=2, steps_per_epoch=2, folder=tmp_path, seed=0, settings={},
    )  # fmt: skip
    assert [progress for _, progress, _ in seen] == [0, 0.25, 0.5, 0.75]
    assert len({seed for *_, seed in seen}) == 2


def test_the_table_of_the_log_is_the_log(tmp_path: Path) -> None:
    log, _ = regression(tmp_path)
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == log


def test_steps_and_epochs_are_told(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    rows: list[dict] = []
    log = loop.run(
        Trained({}, {}), lambda epoch, generator: range(2), lambda batch, now: {"loss": 1.0},
        epochs=2, steps_per_epoch=2, folder=tmp_path, seed=0, settings={},
        stepped=lambda done, total: steps.append((done, total)), logged=rows.append,
    )  # fmt: skip
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert rows == log


def test_a_run_that_diverges_stops_before_its_checkpoint(tmp_path: Path) -> None:
    def step(batch: int, now: Moment) -> dict[str, float]:
        return {"loss": float("nan") if now.epoch == 1 else 1.0}

    def attempt() -> None:
        loop.run(
            Trained({}, {}), lambda epoch, generator: range(2), step,
            epochs=3, steps_per_epoch=2, folder=tmp_path, seed=0, settings={},
        )  # fmt: skip

    for _ in range(2):
        with pytest.raises(TrainingError, match="diverged in epoch 1"):
            attempt()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(ValueError, match="no device 'tpu'"):
        training.fabric("tpu")


def test_events_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    for _ in range(2):  # the second run only loads
        loop.run(
            Trained({}, {}), lambda epoch, generator: range(2), lambda batch, now: {"loss": 1.0},
            epochs=2, steps_per_epoch=2, folder=tmp_path, seed=0, settings={}, tensorboard=True,
        )  # fmt: skip
    assert list(tmp_path.glob("events.out.*"))


def test_no_public_name_is_hidden_by_a_module_of_that_name() -> None:
    """Importing a module below a package sets its name there: a function of that name would be gone."""
    assert not {module.name for module in pkgutil.iter_modules(training.__path__)} & set(training.__all__)
