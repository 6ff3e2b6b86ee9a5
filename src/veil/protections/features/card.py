"""What a client's and a service's file have in common: rounded weights, and a card in the header that is checked.

Weights are float16, statistics of batch normalisation, whose variances may leave its range, float32. The card is JSON.
Nothing larger than the file itself is made from what a card says: weights are compared with the network that it
describes before there is one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from veil.protections.features.encoding import Encoding
from veil.runtime.files import printable, write_atomically

CLIENT, SERVICE, HEADER = "veil obfuscator client 1", "veil obfuscator service 1", "veil"
INPUT = {"resize": "bicubic, not cropped", "range": "0 to 1", "colours": "RGB"}
"""What becomes of an image before the network, beside its size."""
_STATISTICS = ("running_mean", "running_var")
_COMMON: dict[str, type] = {
    "name": str, "network": dict, "shape": list, "encoding": dict, "target": list, "hides": list, "fingerprint": str,
    "training": dict, "measured": dict,
}  # fmt: skip
_FIELDS: dict[str, dict[str, type]] = {
    CLIENT: _COMMON | {"size": list, "input": dict, "service": str},
    SERVICE: _COMMON | {"client": str},
}
_OPTIONS = {CLIENT: {"width", "norm", "values", "levels"}, SERVICE: {"shape", "labels", "width", "norm", "head"}}
_LARGEST = 1 << 16
Card = dict[str, Any]
Network = TypeVar("Network", bound=nn.Module)


class ObfuscatorError(ValueError):
    """A file cannot be used as a client's or a service's; the message is one line."""


def freeze(network: nn.Module) -> None:
    """Evaluation mode, no gradients, and weights as a file will have them: what is measured is what is released.

    Raises:
        ObfuscatorError: for weights that are not finite then.
    """
    network.eval().requires_grad_(False)
    for name, value in network.state_dict().items():
        value.copy_(_rounded(name, value))
        if not bool(torch.isfinite(value).all()):
            raise ObfuscatorError("the weights hold values that are not finite, or too large for float16")


def fingerprint(network: nn.Module, *about: object) -> str:
    """Sixteen hexadecimal digits of the weights, as they are stored, and of what else is said, as JSON."""
    digest = hashlib.sha256(json.dumps(about).encode())
    for name, value in sorted(_stored(network).items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()[:16]


def write(file: Path, network: nn.Module, card: Card) -> None:
    """Writes a file, whole or not at all."""
    write_atomically(file, save(_stored(network), {HEADER: json.dumps(card, sort_keys=True)}))


def read(file: Path, kind: str, make: Callable[..., Network]) -> tuple[Card, Network]:
    """The card and the network of a file; to be called in `reading`.

    Args:
        make: the network of a card's options.
    """
    with safe_open(file, "pt") as stored:
        card = _checked((stored.metadata() or {}).get(HEADER), kind)
        with torch.device("meta"):
            network = make(**card["network"])
        wanted = network.state_dict()
        weights: dict[str, Tensor] = {}
        for name in stored.keys():  # noqa: SIM118
            value = stored.get_tensor(name)
            like = wanted.get(name)
            if like is None or value.shape != like.shape or value.dtype != _rounded(name, like).dtype:
                raise ObfuscatorError(f"the weights do not fit {card['network']}: {name}")
            weights[name] = value.to(like.dtype)
        if missing := set(wanted) - set(weights):
            raise ObfuscatorError(f"the weights do not fit {card['network']}: {min(missing)} missing")
    network.load_state_dict(weights, assign=True)
    return card, network


def agree(card: Card, fingerprint: str, shape: tuple[int, int, int]) -> None:
    """Refuses a card that speaks of other weights, or of features of another shape."""
    if card["fingerprint"] != fingerprint:
        raise ObfuscatorError("the weights are not those that its card speaks of")
    if card["shape"] != list(shape):
        raise ObfuscatorError("its card is damaged")


def common(card: Card) -> dict[str, Any]:
    """Fields that a client and a service have in common."""
    names = {field: tuple(card[field]) for field in ("target", "hides")}
    about = {field: card[field] for field in ("name", "training", "measured")}
    return {"encoding": Encoding(**card["encoding"]), **names, **about}


def kind_of(file: Path) -> str:
    """Which of the two a file says that it is.

    Raises:
        ObfuscatorError: where it says neither, or cannot be read.
    """
    with reading(file), safe_open(file, "pt") as stored:
        card = _parsed((stored.metadata() or {}).get(HEADER))
        if card["kind"] not in _FIELDS:
            raise ObfuscatorError("it is neither a client's nor a service's")
        return str(card["kind"])


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Every reason why a file cannot be used as one line with its name.

    Raises:
        ObfuscatorError: for whatever reading it raises.
    """
    named = printable(file)
    try:
        yield
    except SafetensorError as error:
        raise ObfuscatorError(f"{named}: not a safetensors file: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise ObfuscatorError(f"{named}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, RuntimeError, RecursionError) as error:
        reason = printable(" ".join(str(error).split())[:300])
        raise ObfuscatorError(f"{named}: not a file of `veil obfuscate train`: {reason}") from None


def _rounded(name: str, value: Tensor) -> Tensor:
    """A weight as files have it."""
    if not value.is_floating_point() or name.endswith(_STATISTICS):
        return value.detach()
    return value.detach().half()


def _stored(network: nn.Module) -> dict[str, Tensor]:
    return {name: _rounded(name, value).cpu().contiguous() for name, value in network.state_dict().items()}


def _parsed(text: str | None) -> Card:
    try:
        card = json.loads(text or "")
    except json.JSONDecodeError:
        card = None
    if not isinstance(card, dict) or not isinstance(card.get("kind"), str):
        raise ObfuscatorError("its header does not say so")
    return card


def _checked(text: str | None, kind: str) -> Card:
    """The card in a header, checked for types and sizes."""
    card = _parsed(text)
    if card["kind"] != kind:
        kinds = {CLIENT: "a client's", SERVICE: "a service's"}
        raise ObfuscatorError(f"it is {kinds.get(card['kind'], 'another thing')}, not {kinds[kind]}")
    if not all(isinstance(card.get(name), type_) for name, type_ in _FIELDS[kind].items()):
        raise ObfuscatorError("its card is damaged")
    numbers = [*card["shape"], *card.get("size", ()), *_numbers(card["network"])]
    lengths = (len(card["shape"]), len(card.get("size", (0, 0))))
    sound = (
        lengths == (3, 2)
        and set(card["network"]) == _OPTIONS[kind]
        and set(card["encoding"]) == {"dtype", "low", "high"}
        and all(type(number) is int and 1 <= number <= _LARGEST for number in numbers)
        and all(isinstance(name, str) for name in (*card["target"], *card["hides"]))
    )
    if not sound:
        raise ObfuscatorError("its card is damaged")
    if card.get("input", INPUT) != INPUT:
        raise ObfuscatorError("its images are prepared in a way that this version does not know")
    return card


def _numbers(options: Mapping[str, Any]) -> list[object]:
    """All that must be a number among a network's options; ``values`` may be none."""
    numbers: list[object] = [options[name] for name in ("width", "labels") if name in options]
    if options.get("values") is not None:
        numbers.append(options["values"])
    shape = options.get("shape", ())
    return [*numbers, *(shape if isinstance(shape, list) and len(shape) == 3 else ["?"] if "shape" in options else ())]
