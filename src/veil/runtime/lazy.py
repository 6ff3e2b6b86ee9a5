"""Large libraries, imported when they are first used.

A row of a table (`veil.runtime.tables`) lies in the file of what it describes. Names, titles and settings are read for
``--help`` and completion, where nobody wants to wait for torch. So files with rows write

    from veil.runtime.lazy import functional as F
    from veil.runtime.lazy import torch

and ``from __future__ import annotations``, and use both as ever inside functions. What is imported from Veil and needs
torch at once (networks, trainings) is imported inside the function that uses it.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule(ModuleType):
    """Stands for a module until one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import torch as torch
    from torch.nn import functional as functional
else:
    torch = LazyModule("torch")
    functional = LazyModule("torch.nn.functional")
