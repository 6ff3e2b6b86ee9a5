"""What an attack on noise is: what it knows, and what it makes of a photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseAttack:
    """A row of the table of attacks on noise.

    Attributes:
        name: by which rows keep it.
        title: what is done to the photo, as in "a protected photo is …".
        knows: what the attacker knows, in a few words.
        process: a photo, grey or RGB, to one of the same mode and size.
    """

    name: str
    title: str
    knows: str
    process: Callable[[Image.Image], Image.Image]
