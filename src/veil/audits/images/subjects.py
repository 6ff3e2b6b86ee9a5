"""What is audited: a protection by name, in a file, or any callable; with its key, where it takes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from veil.images.forms import Form
from veil.protections import find
from veil.protections.ciphers.keys import Key
from veil.protections.image_protection import ImageProtection, Protect
from veil.runtime.seeds import seed_of

if TYPE_CHECKING:
    What = str | Path | ImageProtection | Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Subject:
    """A protection that is ready for use.

    Attributes:
        name: what reports call it.
        protect: uint8 images (N, 3, H, W), and a generator for what it draws, to the same type, N and channels.
        form: what an attacker may know of it.
        described: what tells it from others of that name; no key.
        row: of `veil.protections.PROTECTIONS`, where it is in that table or like one that is.
    """

    name: str
    protect: Protect
    form: Form = "image"
    described: str = ""
    row: ImageProtection | None = None


def subject(what: What, key: Key | None = None, *, seed: int = 0) -> Subject:
    """The protection that a person means.

    Args:
        what: see `veil.protections.find`.
        key: where it takes one; None draws one from ``seed``, for the audit alone.

    Raises:
        ValueError: where there is none of that name, or ``key`` is given to one that takes none.
        TransformationError: where a transformation file cannot be used.
    """
    row = find(what)
    if row.takes_key:
        key = key or _drawn(seed)
    protect = row.build(key)
    described = key.fingerprint if key is not None else getattr(protect, "fingerprint", "")
    return Subject(row.name, protect, row.form, str(described), row)


def _drawn(seed: int) -> Key:
    secret = torch.randint(256, (32,), generator=Generator().manual_seed(seed_of("key", seed)), dtype=torch.uint8)
    return Key(secret.numpy().tobytes())
