"""Checkpoints: networks and optimisers as a folder of ``tensors.safetensors`` and ``state.json`` that appears by one
rename."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from veil.jobs.rows import Row as Row
from veil.runtime import foreign
from veil.runtime.files import printable, sync_folder
from veil.runtime.provenance import ARITHMETIC, comparable

TENSORS, STATE = "tensors.safetensors", "state.json"
MOST_STATE_BYTES = 1 << 26
_LONGEST = 1000  # characters of the differences in a message


@dataclass(frozen=True)
class Trained:
    """Networks and optimisers that are trained together, by name. Their order does not matter."""

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]


def save(trained: Trained, folder: Path, fingerprint: Mapping[str, object], log: list[Row]) -> None:
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
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, fresh / TENSORS)
    except SafetensorError as error:  # as other writers say that the disk is full
        raise OSError(f"{printable(fresh / TENSORS)} cannot be written: {error}") from None
    state_file = {"fingerprint": fingerprint, "log": log, "optimizers": scalars}
    (fresh / STATE).write_text(json.dumps(state_file), encoding="utf-8")
    for name in (TENSORS, STATE):
        with (fresh / name).open("rb") as file:
            os.fsync(file.fileno())
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _differences(there: Mapping[str, object], here: Mapping[str, object]) -> str:
    """What differs, old → new, and why more epochs cannot be added to a training."""
    old, new = _flat(there), _flat(here)
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    text = "; ".join(f"{name} {_short(old.get(name))} → {_short(new.get(name))}" for name in names)
    if names == ["epochs"]:
        text += (
            " (learning rates follow the whole length of a training: one of more epochs is another from its first step "
            "on, and cannot go on from the end of a shorter one)"
        )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _short(value: object) -> str:
    return f"{value:.60}" if isinstance(value, str) else f"{value!s:.60}"


def _flat(fingerprint: Mapping[str, object]) -> dict[str, object]:
    """Settings by name; those of the arithmetic, which are an object among them, beside the others."""
    arithmetic = fingerprint.get(ARITHMETIC)
    others = {name: value for name, value in fingerprint.items() if name != ARITHMETIC}
    return others | (dict(arithmetic) if isinstance(arithmetic, Mapping) else {})


def load(trained: Trained, folder: Path, fingerprint: Mapping[str, object]) -> list[Row]:
    """Restores networks and optimisers in place and returns the log so far; empty without a checkpoint.

    Raises:
        ValueError: in one line, for a checkpoint of other settings, or a damaged one. Nothing may be used then.
    """
    if not folder.exists():
        # A process that died between the two renames of `save` left the finished one under its other name.
        fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
        kept = next((f for f in (fresh, old) if (f / STATE).exists()), None) if old.exists() else None
        if kept is None:
            return []
        kept.rename(folder)
    with _whole(folder):
        state = foreign.read_json(folder / STATE, MOST_STATE_BYTES)
        there, log = dict(state["fingerprint"]), [dict(row) for row in state["log"]]
    here = comparable(fingerprint, there)
    if there != here:
        raise ValueError(
            f"{printable(folder)} belongs to a run with other settings: {_differences(there, here)}. "
            "Choose another folder, or remove it to start again."
        )
    with _whole(folder):
        _restore(trained, load_file(folder / TENSORS), state["optimizers"])
    return log


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Every reason why a checkpoint cannot be read as one line."""
    try:
        yield
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        reason = printable(" ".join(str(error).split())[:200])
        raise ValueError(f"{printable(folder)} is damaged ({reason}); remove it to start again") from None


def _restore(trained: Trained, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
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
        for key, value in scalars[name]["values"].items():
            index, slot = key.split("/")
            slots[int(index)][slot] = value
        optimizer.load_state_dict({"state": dict(slots), "param_groups": scalars[name]["param_groups"]})
