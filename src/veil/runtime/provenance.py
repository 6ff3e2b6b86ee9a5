"""Where a result comes from: command, time, hardware and versions, for every row that results/ keeps."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("veil", "torch", "timm", "torchvision", "pillow", "numpy")


def provenance() -> dict[str, Any]:
    """A JSON object: ``command``, ``date`` (UTC), ``hardware`` and ``versions``. No path of the machine is in it."""
    return {"command": command(), "date": datetime.now(UTC).isoformat(timespec="seconds")} | {
        "hardware": hardware(),
        "versions": {"python": platform.python_version()}
        | {name: installed for name in PACKAGES if (installed := _version(name))},
    }


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
