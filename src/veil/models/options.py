"""Options of networks that a model card can set, and their allowed values.

A card may come from a stranger, and a constructor can do more than build a network: timm's opens files and fetches
weights. So a card can set only harmless options to harmless values: never a file, an address, or weights to fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veil.runtime.tables import Table

MOST_CLASSES = 100_000


class OptionRefused(ValueError):
    """An option or a value cannot be set."""


@dataclass(frozen=True)
class Option:
    """The values that an option of a network can have.

    Attributes:
        words: the values, in words.
        allows: whether a value is one of them.
    """

    words: str
    allows: Callable[[Any], bool]


def whole(most: int) -> Option:
    """A whole number from 1 to ``most``."""
    return Option(f"1 to {most:,}", lambda value: type(value) is int and 1 <= value <= most)


def wholes(most: int, count: int) -> Option:
    """A list of up to ``count`` whole numbers from 1 to ``most``."""
    one = whole(most)
    return Option(
        f"up to {count} numbers, {one.words}",
        lambda value: isinstance(value, list | tuple) and 1 <= len(value) <= count and all(map(one.allows, value)),
    )


def one_of(*names: str) -> Option:
    """One of some words."""
    listed = ", ".join(name or '""' for name in names)
    return Option(f"one of {listed}", lambda value: isinstance(value, str) and value in names)


def row_of(table: Table[Any]) -> Option:
    """The name of a row of a table."""
    return Option(f"one of {', '.join(table.names())}", lambda value: isinstance(value, str) and value in table)


SHARE = Option("0 to 1", lambda value: type(value) in (int, float) and 0 <= value <= 1)
TRUTH = Option("true or false", lambda value: type(value) is bool)


def check(options: Mapping[str, Any], allowed: Mapping[str, Option]) -> None:
    """Checks that options can be set to these values.

    Raises:
        OptionRefused: where one cannot; goes on from "does not take the options".
    """
    if unknown := [name for name in options if name not in allowed]:
        asked = ", ".join(map(repr, unknown))
        raise OptionRefused(f"{asked:.200}; a card can set {', '.join(allowed)}")
    for name, value in options.items():
        if not allowed[name].allows(value):
            raise OptionRefused(f"{name} = {value!r:.80}: {name} is {allowed[name].words}")


ZOO: dict[str, Mapping[str, Option]] = {
    "timm": {
        "num_classes": whole(MOST_CLASSES),
        "in_chans": whole(64),
        "img_size": whole(1024),
        "output_stride": whole(32),
        "drop_rate": SHARE,
        "drop_path_rate": SHARE,
        "bn_eps": SHARE,
        "bn_momentum": SHARE,
        "pad_type": one_of("", "same", "valid", "symmetric"),
        "global_pool": one_of("avg", "max", "avgmax", "catavgmax", "fast", "token", "map"),
        "act_layer": one_of(
            "relu", "relu6", "leaky_relu", "elu", "gelu", "gelu_tanh", "quick_gelu", "silu", "mish", "hard_swish"
        ),
    },
    "torchvision": {
        "num_classes": whole(MOST_CLASSES),
        "image_size": whole(1024),
        "dropout": SHARE,
        "stochastic_depth_prob": SHARE,
        "aux_logits": TRUTH,
        "transform_input": TRUTH,
        "init_weights": TRUTH,
    },
}
"""Options of all architectures of these libraries; Veil's own architectures list theirs
(`veil.models.architectures`)."""
