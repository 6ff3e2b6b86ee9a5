"""Where a result comes from: command, time, hardware and versions, for every row that results/ keeps; and what the bits
of a network's output depend on, for ``run.json`` and checkpoints."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ARITHMETIC = "arithmetic"
"""By this name, settings hold what `arithmetic` says."""
_fetched: dict[str, str] = {}
PACKAGES = ("veil", "torch", "timm", "torchvision", "pillow", "numpy", "onnx2torch", "onnxruntime")


def provenance() -> dict[str, Any]:
    """A JSON object: ``command``, ``date`` (UTC), ``hardware`` and ``versions``. No path of the machine is in it.

    ``fetched`` is in it where something was (`fetched`).
    """
    return (
        {"command": command(), "date": datetime.now(UTC).isoformat(timespec="seconds")}
        | {
            "hardware": hardware(),
            "versions": {"python": platform.python_version()}
            | {name: installed for name in PACKAGES if (installed := _version(name))},
        }
        | ({"fetched": fetched()} if fetched() else {})
    )


def note_fetched(name: str, revision: str | None) -> None:
    """Notes which revision of something was had from a hub.

    Args:
        name: what a person types, without a revision.
        revision: the commit, or what the hub calls a version that does not change; None where it is not known.
    """
    if revision is not None:
        _fetched[name] = revision


def is_revision(text: str) -> bool:
    """Whether a text can name a commit, a tag or a branch."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}", text) is not None and ".." not in text


def commit_of(place: str) -> str | None:
    """The commit in a path of the hub's cache, or in an address of the hub; None where there is none."""
    commit = re.search(r"[/@]([0-9a-f]{40})(?=/)", Path(place).as_posix())
    return None if commit is None else commit[1]


def fetched(*names: str) -> list[str]:
    """What this process had from hubs, as ``name@revision``; of all names, or of some."""
    return [f"{name}@{revision}" for name, revision in sorted(_fetched.items()) if not names or name in names]


def command() -> str:
    """The running command; of absolute paths only the last part."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv]
    return shlex.join(
        ["python" if words[0].endswith(".py") else "veil", *(words if words[0].endswith(".py") else words[1:])]
    )


def hardware() -> dict[str, Any]:
    """Model name of the processor, number of cores, and GPU where there is one."""
    import torch

    names = []
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine: dict[str, Any] = {"cpu": names[0] if names else platform.processor(), "cores": os.cpu_count()}
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    return machine


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def arithmetic(device: torch.device | None = None) -> dict[str, Any]:
    """What the last bits of a network's output depend on, as JSON. A job does not go on under other conditions.

    Args:
        device: where the network computes; the CPU if it is None.

    Returns:
        ``device`` (its kind), ``kernels`` (the instructions that torch chose on a CPU, or the name of another device)
        and ``torch`` (its version); on a CPU also ``threads``, and ``bits``: hexadecimal digits that change where the
        processor, or a setting of its libraries, has a convolution and a product of matrices end in other bits.
    """
    import torch

    kind = "cpu" if device is None else device.type
    about: dict[str, Any] = {"device": kind, "torch": str(torch.__version__)}
    if kind != "cpu":
        return about | {"kernels": torch.cuda.get_device_name(device) if kind == "cuda" else kind}
    threads = torch.get_num_threads()
    return about | {"kernels": torch.backends.cpu.get_cpu_capability(), "threads": threads, "bits": _bits(threads)}


def comparable(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are to be compared with those that a run was begun with: without what it did not say of its
    arithmetic. What an older Veil has begun said nothing of it, and goes on."""
    before, now = found.get(ARITHMETIC), wanted.get(ARITHMETIC, {})
    known = {name: value for name, value in now.items() if isinstance(before, Mapping) and name in before}
    others = {name: value for name, value in wanted.items() if name != ARITHMETIC}
    return others | ({ARITHMETIC: known} if known else {})


@cache
def _bits(threads: int) -> str:
    """Sixteen digits of the SHA-256 of a small computation, on the CPU with so many threads."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images, kernels, matrix = (
        torch.randn(size, generator=generator) for size in ((4, 16, 24, 24), (32, 16, 3, 3), (32 * 22 * 22, 40))
    )
    with torch.inference_mode():
        convolved = torch.conv2d(images, kernels)
        results = convolved, convolved.flatten(1) @ matrix, convolved.relu().mean((2, 3)).softmax(1)
    return hashlib.sha256(b"".join(result.contiguous().numpy().tobytes() for result in results)).hexdigest()[:16]
