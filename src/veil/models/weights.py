"""Tensors and a card in one safetensors file: the weights of a network, or noise, with what is said of them.

The card is JSON under one key of the file's header. A file can come from a stranger: nothing in it is executed, nothing
larger than the file itself is made from what its card says, and every reason why it cannot be used is one line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from veil.runtime import foreign
from veil.runtime.files import printable, write_atomically
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

HEADER = "veil"
_LONGEST_CARD = 1 << 20  # characters; `json` needs some fifty times as much memory for the worst of them
_FLOATS = {"F64", "F32", "F16", "BF16"}
_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""Types of tensors as a file names them, and as torch does."""
_LONGEST_REASON = 300
Card = dict[str, Any]
Rounding = Callable[[str, "Tensor"], "Tensor"]
"""A weight as files have it, by its name and value."""
NetworkT = TypeVar("NetworkT", bound="nn.Module")


def exact(name: str, value: Tensor) -> Tensor:
    """Weights as they are."""
    return value.detach()


def half(name: str, value: Tensor) -> Tensor:
    """Floating-point weights as float16, others as they are."""
    return value.detach().half() if value.is_floating_point() else value.detach()


def half_but_statistics(name: str, value: Tensor) -> Tensor:
    """As `half`, but for statistics of batch normalisation, whose variances may leave the range of float16."""
    return value.detach() if name.endswith(("running_mean", "running_var")) else half(name, value)


def stored(network: nn.Module, rounded: Rounding) -> dict[str, Tensor]:
    """The weights of a network as a file has them, on the CPU."""
    return {name: rounded(name, value).cpu().contiguous() for name, value in network.state_dict().items()}


def freeze(network: nn.Module, rounded: Rounding, refused: type[ValueError] = ValueError) -> None:
    """Evaluation mode, no gradients, and weights as a file will have them: what is measured is what is released.

    Raises:
        ValueError: as ``refused``, for weights that are not finite then.
    """
    network.eval().requires_grad_(False)
    for name, value in network.state_dict().items():
        value.copy_(rounded(name, value))
        if not bool(torch.isfinite(value).all()):
            raise refused("the weights hold values that are not finite, or too large for float16")


def fingerprint(tensors: Iterable[tuple[str, Tensor]], about: bytes = b"") -> str:
    """Sixteen hexadecimal digits of tensors with their names, in the order given, and of what else is said."""
    digest = hashlib.sha256(about)
    for name, value in tensors:
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def write(file: Path, tensors: Mapping[str, Tensor], card: Mapping[str, object] | None = None) -> None:
    """Writes a file, whole or not at all. The same tensors and the same card give the same bytes.

    Args:
        card: None where there is none, or where it lies beside the file.
    """
    from safetensors.torch import save

    # One entry: several would be written in random order.
    header = None if card is None else {HEADER: json.dumps(card, sort_keys=True)}
    write_atomically(file, save(dict(tensors), header))


@contextmanager
def reading(file: Path, what: str, refused: type[ValueError] = ValueError) -> Iterator[None]:
    """Every reason why a file cannot be used as one line with its name.

    Args:
        what: the file should be, in words: "a transformation".
        refused: what is raised.

    Raises:
        ValueError: as ``refused``, for whatever reading the file raises.
    """
    from safetensors import SafetensorError

    named = printable(file)
    try:
        yield
    except foreign.Unreadable as error:
        raise refused(str(error)) from None
    except SafetensorError as error:
        raise refused(f"{named}: not a safetensors file: {one_line(error)}") from None
    except OSError as error:
        raise refused(f"{named}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, RuntimeError, RecursionError) as error:
        raise refused(f"{named}: not {what}: {one_line(error)}") from None


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """An open file, of safetensors' own type, for `card_of` and `network_of`; to be called in `reading`."""
    from safetensors import safe_open

    foreign.opened(file).close()  # safetensors would wait for a pipe without end
    with safe_open(file, "pt") as content:
        yield content


def card_of(content: Any) -> Card:
    """The card of a file: a JSON object with a ``kind``. What else it holds is for the caller to check.

    Raises:
        ValueError: where there is none.
    """
    text = (content.metadata() or {}).get(HEADER)
    if text is None:
        raise ValueError("its header does not say so")
    try:
        card = foreign.parse_json(text) if len(text) <= _LONGEST_CARD else None
    except ValueError:
        card = None
    if not isinstance(card, dict):
        raise ValueError("its header is damaged")
    if not isinstance(card.get("kind"), str):
        raise ValueError("its header does not say so")
    return card


def require_fields(card: Card, types: Mapping[str, type]) -> None:
    """Refuses a card that lacks a field, or has one of another type.

    Raises:
        ValueError: then.
    """
    if not all(isinstance(card.get(name), type_) for name, type_ in types.items()):
        raise ValueError("its card is damaged")


def network_of(content: Any, build: Callable[..., NetworkT], options: Mapping[str, Any], rounded: Rounding) -> NetworkT:
    """A network with the weights of a file, on the CPU and with the types that it is built with.

    Weights are compared with the network before there is one: a card that speaks of a large one costs nothing.

    Args:
        build: the network with ``options``, those of the card.
        rounded: as the file was written with.

    Raises:
        ValueError: where the weights do not fit.
    """
    with torch.device("meta"):
        network = build(**options)
    wanted = network.state_dict()
    if misfit := _misfit(content, {name: rounded(name, like) for name, like in wanted.items()}, exact_floats=True):
        raise ValueError(f"the weights do not fit {dict(options)}: {misfit}")
    weights = {name: content.get_tensor(name).to(like.dtype) for name, like in wanted.items()}
    network.load_state_dict(weights, assign=True)
    return network


def require_fit(content: Any, wanted: Mapping[str, Tensor]) -> None:
    """Compares names, shapes and types in a file's header with those of weights. Reads no values.

    Args:
        wanted: weights by name, with or without values; a file may have another floating-point type.

    Raises:
        ValueError: where they differ.
    """
    if misfit := _misfit(content, wanted, exact_floats=False):
        raise ValueError(f"the weights do not fit the network: {misfit}")


def _misfit(content: Any, wanted: Mapping[str, Tensor], *, exact_floats: bool) -> str | None:
    """The first weight in a file that differs from ``wanted``, and in what."""
    there = set(content.keys())
    if missing := wanted.keys() - there:
        return f"{min(missing)} missing"
    if unknown := there - wanted.keys():
        return f"{min(unknown):.100} is not one of its weights"
    for name, like in wanted.items():
        part = content.get_slice(name)
        type_, shape = part.get_dtype(), tuple(part.get_shape())
        if shape != tuple(like.shape):
            return f"{name} is of shape {shape}, where the network has {tuple(like.shape)}"
        is_float = type_ in _FLOATS and like.is_floating_point() and not exact_floats
        if not is_float and f"torch.{_TYPES.get(type_)}" != str(like.dtype):
            return f"{name} is of type {type_}, where the network has {like.dtype}"
    return None


def load_into(network: nn.Module, file: Path) -> None:
    """Gives a network the weights of a file, whatever their floating-point type; to be called in `reading`.

    Raises:
        ValueError: where they do not fit, or are not finite.
    """
    from safetensors.torch import load_file

    with opened(file) as content:
        require_fit(content, network.state_dict())
    network.load_state_dict(load_file(file), strict=True)
    if not all(bool(torch.isfinite(v).all()) for v in network.state_dict().values() if v.is_floating_point()):
        raise ValueError("the weights hold values that are not finite")


def one_line(error: Exception) -> str:
    """What an error says, as a line of a reasonable length that can be shown anywhere."""
    return printable(" ".join(str(error).split())[:_LONGEST_REASON])
