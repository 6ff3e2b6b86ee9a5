"""One loop for whatever Veil trains: devices and precision by Lightning Fabric, checkpoints, exact resume, a log.

A mechanism that knows no scheme. The caller brings networks, optimisers, the batches of an epoch and a *step*; `run`
brings the order of things. A run that was stopped goes on from its last finished epoch and ends with the same weights
as one that was not: all randomness of an epoch comes from the seed and the epoch's number, so nothing else needs to be
kept.

With several devices each process runs the same loop on its share of every batch: the caller's batches are those of
``fabric.global_rank``, gradients are averaged by what `fabric.setup` returned, and the first process alone writes.

In the folder of a run: ``checkpoint/`` (`veil.training.checkpoints`); ``log.jsonl`` and ``log.csv``, a row for every
epoch; and, where wanted, ``events.out.…`` for TensorBoard.
"""

import json
import logging
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from veil.runtime import csv_files, devices
from veil.runtime.devices import Precision as Precision
from veil.runtime.errors import UserError
from veil.runtime.files import write_atomically
from veil.runtime.provenance import ARITHMETIC, arithmetic
from veil.runtime.seeds import seed_of
from veil.training import checkpoints
from veil.training.checkpoints import Row, Trained

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes a second to import, which only training is worth

CHECKPOINT, LOG, TABLE = "checkpoint", "log.jsonl", "log.csv"


class TrainingError(UserError, RuntimeError):
    """A run cannot go on; the message is one line for a person."""


class Diverged(TrainingError):
    """The values of a training have left the range of numbers."""


@dataclass(frozen=True)
class Moment:
    """Where in a run a step is. ``progress`` grows from 0 to 1 over the whole run; schedules are functions of it."""

    epoch: int
    progress: float
    generator: Generator


def fabric(device: str = "auto", precision: Precision = "bf16-mixed", processes: int = 1) -> "Fabric":
    """A Fabric, launched.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto`` is bfloat16, with weights in float32, where the hardware computes in it.
        processes: how many devices, each with a process of its own that runs the same command again.

    Raises:
        ValueError: for a device that is not here.
    """
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision
    chosen = devices.choose(device)
    if precision == "auto":
        precision = "bf16-mixed" if devices.computes_bfloat16(chosen) else "32-true"
    strategy = "ddp" if processes > 1 else "auto"
    runner = Fabric(accelerator=chosen.type, devices=processes, strategy=strategy, precision=precision)
    runner.launch()
    return runner


def precision_of(runner: "Fabric") -> str:
    """What it computes in: ``32-true`` or ``bf16-mixed``, as rows and cards name it."""
    return str(runner._precision.precision)  # Fabric has no public name for it


def report(row: Row) -> None:
    """Prints a row of the log to standard error."""
    print(json.dumps(row), file=sys.stderr, flush=True)


def run(
    trained: Trained,
    batches: Callable[[int, Generator], Iterable[Any]],
    step: Callable[[Any, Moment], Mapping[str, float | Tensor]],
    *,
    epochs: int,
    steps_per_epoch: int,
    folder: Path,
    seed: int,
    settings: Mapping[str, object],
    after_epoch: Callable[[int], Mapping[str, float]] | None = None,
    runner: "Fabric | None" = None,
    tensorboard: bool = False,
    stepped: Callable[[int, int], None] = lambda done, total: None,
    logged: Callable[[Row], None] = report,
) -> list[Row]:
    """Runs ``step`` over ``batches(epoch, generator)`` for ``epochs`` epochs, from the last checkpoint in ``folder``
    on.

    Args:
        step: one update; it calls backward and the optimisers itself and returns named scalars, averaged for the log
            over the steps that returned them.
        settings: everything that the result depends on; a checkpoint written under other settings is refused, or where
            the arithmetic was another (`veil.runtime.provenance.arithmetic`; precision; number of processes).
        after_epoch: returns further scalars for the log, a validation accuracy for instance.
        runner: the Fabric that set networks and optimisers up; needed with several processes.
        tensorboard: write the log for TensorBoard, too (extra ``tensorboard``).
        stepped: called after each step with how many of all steps are done.
        logged: called with each new row of the log.

    Returns:
        The rows of ``folder / "log.jsonl"``, one per epoch.

    Raises:
        ValueError: where ``folder`` holds a checkpoint of a run with other settings.
        Diverged: where a scalar is no longer finite; the last checkpoint is that of the epoch before.
    """
    first = runner is None or runner.is_global_zero
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint: dict[str, Any] = {"seed": seed, "epochs": epochs, **{k: str(v) for k, v in settings.items()}}
    fingerprint[ARITHMETIC] = arithmetic(None if runner is None else runner.device) | (
        {} if runner is None else {"precision": precision_of(runner), "processes": runner.world_size}
    )
    log = checkpoints.load(trained, folder / CHECKPOINT, fingerprint)
    if first and log:  # a run may have been stopped between its checkpoint and its log
        _write(folder, log)
    write_events = _events(folder, log) if tensorboard and first else None
    for epoch in range(len(log), epochs):
        started = time.perf_counter()
        torch.manual_seed(seed_of("global", seed, epoch))
        generator = Generator().manual_seed(seed_of("batches", seed, epoch))
        for module in trained.modules.values():
            module.train()
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
        counts: dict[str, int] = defaultdict(int)  # steps may be of several kinds
        for count, batch in enumerate(batches(epoch, generator), start=1):
            progress = (epoch + (count - 1) / steps_per_epoch) / epochs
            for name, value in step(batch, Moment(epoch, progress, generator)).items():
                sums[name] = sums[name] + torch.as_tensor(value).detach()
                counts[name] += 1
            stepped(epoch * steps_per_epoch + count, epochs * steps_per_epoch)
        row: Row = {"epoch": epoch} | {name: _mean(total, counts[name], runner) for name, total in sums.items()}
        if after_epoch is not None:
            row |= after_epoch(epoch)
        if not all(math.isfinite(value) for value in row.values()):
            raise Diverged(f"the training has diverged in epoch {epoch}: {json.dumps(row)}")
        log.append(row | {"seconds": round(time.perf_counter() - started, 2)})
        if first:
            checkpoints.save(trained, folder / CHECKPOINT, fingerprint, log)
            _write(folder, log)
            if write_events is not None:
                write_events(log[-1])
            logged(log[-1])
        if runner is not None:
            runner.barrier()
    return log


def _write(folder: Path, log: Sequence[Row]) -> None:
    write_atomically(folder / LOG, "".join(json.dumps(row) + "\n" for row in log))
    write_atomically(folder / TABLE, _csv(log))


def _mean(total: Tensor, count: int, runner: "Fabric | None") -> float:
    if runner is not None and runner.world_size > 1:
        count *= runner.world_size
        total = torch.as_tensor(runner.all_reduce(runner.to_device(total), reduce_op="sum"))
    return float(total) / count


def _csv(log: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in log for name in row))
    text = StringIO()
    write = csv_files.writer(text)
    write(names)
    for row in log:
        write([row.get(name) for name in names])
    return text.getvalue()


def _events(folder: Path, log: Sequence[Row]) -> Callable[[Row], None]:
    """Writes rows as TensorBoard's events; what an earlier, stopped run wrote of later epochs does not count."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError('TensorBoard needs an extra: pip install "veil[tensorboard]"') from None
    writer = SummaryWriter(str(folder), purge_step=len(log))

    def write(row: Row) -> None:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, row["epoch"])
        writer.flush()

    return write
