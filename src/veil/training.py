"""One loop for whatever Veil trains: devices and precision by Lightning Fabric, checkpoints, exact resume, a log.

A mechanism that knows no scheme. The caller brings networks, optimisers, the batches of an epoch and a *step*; `run`
brings the order of things. A run that was stopped goes on from its last finished epoch and ends with the same weights
as one
that was not: all randomness of an epoch comes from the seed and the epoch's number, so nothing else needs to be kept.

A checkpoint is a folder of two files, ``tensors.safetensors`` and ``state.json``, that appears by one rename.
"""

import json
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from veil.allocator import keep_memory
from veil.seeds import seed_of

Precision = Literal["32-true", "bf16-mixed"]
CHECKPOINT = "checkpoint"
LOG = "log.jsonl"


@dataclass(frozen=True)
class Trained:
    """What is trained together: networks and optimisers by name. Their order does not matter."""

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]


@dataclass(frozen=True)
class Moment:
    """Where in a run a step is. ``progress`` grows from 0 to 1 over the whole run; schedules are functions of it."""

    epoch: int
    progress: float
    generator: Generator


def fabric(device: str = "auto", precision: Precision = "bf16-mixed") -> Fabric:
    """A Fabric on ``device`` (``auto``, ``cpu``, ``cuda``, ``mps``)."""
    keep_memory()
    return Fabric(accelerator=device, devices=1, precision=precision)


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
) -> list[dict[str, Any]]:
    """Runs ``step`` over ``batches(epoch, generator)`` for ``epochs`` epochs, from the last checkpoint in ``folder``
    on.

    Args:
        step: one update; it calls backward and the optimisers itself and returns named scalars, averaged for the log.
        settings: everything that the result depends on; a checkpoint written under other settings is refused.
        after_epoch: returns further scalars for the log, a validation accuracy for instance.

    Returns:
        The rows of ``folder / "log.jsonl"``, one per epoch.

    Raises:
        ValueError: where ``folder`` holds a checkpoint of a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = {"seed": seed, "epochs": epochs, **{k: str(v) for k, v in settings.items()}}
    log: list[dict[str, Any]] = load_checkpoint(trained, folder / CHECKPOINT, fingerprint)
    for epoch in range(len(log), epochs):
        started = time.perf_counter()
        torch.manual_seed(seed_of("global", seed, epoch))
        generator = Generator().manual_seed(seed_of("batches", seed, epoch))
        for module in trained.modules.values():
            module.train()
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
        count = 0
        for count, batch in enumerate(batches(epoch, generator), start=1):
            progress = (epoch + (count - 1) / steps_per_epoch) / epochs
            for name, value in step(batch, Moment(epoch, progress, generator)).items():
                sums[name] = sums[name] + torch.as_tensor(value).detach()
        row: dict[str, Any] = {"epoch": epoch} | {name: float(total) / count for name, total in sums.items()}
        if after_epoch is not None:
            row |= after_epoch(epoch)
        log.append(row | {"seconds": round(time.perf_counter() - started, 2)})
        save_checkpoint(trained, folder / CHECKPOINT, fingerprint, log)
        (folder / LOG).write_text("".join(json.dumps(r) + "\n" for r in log), encoding="utf-8")
        print(json.dumps(log[-1]), file=sys.stderr, flush=True)
    return log


def save_checkpoint(
    trained: Trained, folder: Path, fingerprint: Mapping[str, object], log: list[dict[str, Any]]
) -> None:
    """Writes networks and optimisers to ``folder``, all or nothing."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for name, module in trained.modules.items():
        tensors |= {f"module/{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in trained.optimizers.items():
        state = optimizer.state_dict()
        scalars[name] = {"param_groups": state["param_groups"], "values": {}}
        for index, slots in state["state"].items():
            for slot, value in slots.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{name}/{index}/{slot}"] = value
                elif value is not None:
                    scalars[name]["values"][f"{index}/{slot}"] = value
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, fresh / "tensors.safetensors")
    state_file = {"fingerprint": fingerprint, "log": log, "optimizers": scalars}
    (fresh / "state.json").write_text(json.dumps(state_file), encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(trained: Trained, folder: Path, fingerprint: Mapping[str, object]) -> list[dict[str, Any]]:
    """Restores networks and optimisers in place and returns the log so far; an empty log where there is no
    checkpoint."""
    if not folder.exists():
        # A process that died between the two renames of save_checkpoint left the finished one under its other name.
        fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
        found = next((f for f in (fresh, old) if (f / "state.json").exists()), None) if old.exists() else None
        if found is None:
            return []
        found.rename(folder)
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if state["fingerprint"] != fingerprint:
        raise ValueError(
            f"{folder} belongs to a run with other settings:\n  there: {state['fingerprint']}\n  here:  {fingerprint}\n"
            "Choose another folder, or remove it to start again."
        )
    tensors = load_file(folder / "tensors.safetensors")
    for name, module in trained.modules.items():
        prefix = f"module/{name}/"
        module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    for name, optimizer in trained.optimizers.items():
        slots: dict[int, dict[str, Any]] = defaultdict(dict)
        prefix = f"optimizer/{name}/"
        for key, value in tensors.items():
            if key.startswith(prefix):
                index, slot = key[len(prefix) :].split("/")
                slots[int(index)][slot] = value
        for key, value in state["optimizers"][name]["values"].items():
            index, slot = key.split("/")
            slots[int(index)][slot] = value
        groups = state["optimizers"][name]["param_groups"]
        optimizer.load_state_dict({"state": dict(slots), "param_groups": groups})
    log: list[dict[str, Any]] = state["log"]
    return log
