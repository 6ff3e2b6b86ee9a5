"""What a client's and a service's file have in common: rounded weights, and a card in the header that is checked.

Weights are float16, statistics of batch normalisation, whose variances may leave its range, float32. The card is JSON.
Nothing larger than the file itself is made from what a card says: weights are compared with the network that it
describes before there is one.

What a card says of its training is read here, too: the faces (`trained_with`) and what the training's own adversaries
read in the end (`adversary_accuracies`), and how well the service was measured (`utility_line`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from torch import nn

from veil.data.face_lists import Split
from veil.models import weights
from veil.models.weights import Card
from veil.protections.features.encoding import Encoding

CLIENT, SERVICE = "veil obfuscator client 1", "veil obfuscator service 1"
INPUT = {"resize": "bicubic, not cropped", "range": "0 to 1", "colours": "RGB"}
"""What becomes of an image before the network, beside its size."""
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
Network = TypeVar("Network", bound=nn.Module)


class ObfuscatorError(ValueError):
    """A file cannot be used as a client's or a service's; the message is one line."""


def freeze(network: nn.Module) -> None:
    """Evaluation mode, no gradients, and weights as a file will have them: what is measured is what is released.

    Raises:
        ObfuscatorError: for weights that are not finite then.
    """
    weights.freeze(network, weights.half_but_statistics, ObfuscatorError)


def fingerprint(network: nn.Module, *about: object) -> str:
    """Sixteen hexadecimal digits of the weights, as they are stored, and of what else is said, as JSON."""
    stored = weights.stored(network, weights.half_but_statistics)
    return weights.fingerprint(sorted(stored.items()), json.dumps(about).encode())


def write(file: Path, network: nn.Module, card: Card) -> None:
    """Writes a file, whole or not at all."""
    weights.write(file, weights.stored(network, weights.half_but_statistics), card)


def read(file: Path, kind: str, make: Callable[..., Network]) -> tuple[Card, Network]:
    """The card and the network of a file; to be called in `reading`.

    Args:
        make: the network of a card's options.
    """
    with weights.opened(file) as content:
        card = _checked(weights.card_of(content), kind)
        return card, weights.network_of(content, make, card["network"], weights.half_but_statistics)


def agree(card: Card, fingerprint: str, shape: tuple[int, int, int]) -> None:
    """Refuses a card for other weights, or for features of another shape."""
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
    """Whether a file says that it is a client's or a service's.

    Raises:
        ObfuscatorError: where it says neither, or cannot be read.
    """
    with reading(file), weights.opened(file) as content:
        kind = weights.card_of(content)["kind"]
        if kind not in _FIELDS:
            raise ObfuscatorError("it is neither a client's nor a service's")
        return str(kind)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Every reason why a file cannot be used as one line with its name.

    Raises:
        ObfuscatorError: for whatever reading it raises.
    """
    with weights.reading(file, "a file of `veil obfuscate train`", ObfuscatorError):
        yield


def _checked(card: Card, kind: str) -> Card:
    """The card, where it is of that kind; types and sizes are those that it must have."""
    if card["kind"] != kind:
        kinds = {CLIENT: "a client's", SERVICE: "a service's"}
        raise ObfuscatorError(f"it is {kinds.get(card['kind'], 'another thing')}, not {kinds[kind]}")
    weights.require_fields(card, _FIELDS[kind])
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


@dataclass(frozen=True)
class TrainedWith:
    """The faces that a client was trained with.

    Attributes:
        name, fingerprint: of the set, as `FaceParts` has them.
        split, seed: how they were split.
        most: how many of them there were at most, where they were cut down (``--scale smoke``).
    """

    name: str
    fingerprint: str
    split: Split
    seed: int
    most: int | None = None


def trained_with(training: Mapping[str, Any]) -> TrainedWith | None:
    """What ``training`` of a card says of the faces; None where it does not say it, or not so that it can be used."""
    name, fingerprint, seed = (training.get(key) for key in ("data", "fingerprint", "split_seed"))
    split = next((known for known in get_args(Split) if known == training.get("split")), None)
    if not isinstance(name, str) or not isinstance(fingerprint, str) or type(seed) is not int or split is None:
        return None
    most = training.get("faces_at_most")
    return TrainedWith(name, fingerprint, split, seed, most if type(most) is int and most > 0 else None)


def adversary_accuracies(training: Mapping[str, Any]) -> dict[str, float]:
    """What the training's own adversaries read in the end, of validation images: balanced accuracies by attribute.

    Empty where the card does not say it, or there were no adversaries.
    """
    on_card = training.get("adversary")
    shares = on_card.get("balanced_accuracy") if isinstance(on_card, Mapping) else None
    if not isinstance(shares, Mapping):
        return {}
    return {name: float(value) for name, value in shares.items() if type(value) in (int, float) and 0 <= value <= 1}


def utility_line(measured: Mapping[str, Any], name: str) -> str:
    """How well the service tells an attribute, as ``measured`` of a card has it, as a line for people."""
    result = measured.get(name)
    if not isinstance(result, Mapping):
        return f"{name}: not measured, all test images have one value"
    low, high = result["balanced_accuracy_interval"]
    return (
        f"{name}: the service is right in {result['balanced_accuracy']:.1%} ({low:.1%} to {high:.1%}), "
        "mean of both values; a guess 50 %"
    )
