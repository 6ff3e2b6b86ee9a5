"""Model cards: a TOML file that says what a classifier is, with its weights as safetensors beside it.

.. code-block:: toml

    name = "mobilenetv2_100"
    architecture = "timm/mobilenetv2_100"   # or torchvision/<name>, or veil/ and a key of `ARCHITECTURES`
    weights = "mobilenetv2_100.safetensors" # beside the card; safetensors only
    labels = "imagenet_labels.txt"          # beside the card; one class a line
    [options]                               # given to the architecture
    num_classes = 1000
    [input]
    resize = 256                            # shorter side, or [height, width]
    crop = 224
    mean = [0.5, 0.5, 0.5]
    std = [0.5, 0.5, 0.5]
    [accuracy]                              # optional; top-1 and top-5 in percent, and on what
    top1 = 89.2
    on = "..."

A card can come from a stranger: paths may not leave its folder, weights are read as plain tensors, never unpickled, and
must fit the architecture exactly.
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import nn

from veil import folders
from veil.models import zoo
from veil.models.classifier import Classifier, Preprocessing
from veil.models.mnist_cnn import MnistCnn
from veil.models.residual import ResidualNet, ResNet18
from veil.models.vgg import VGG13

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "residual": ResidualNet,
    "resnet18": ResNet18,
    "vgg13": VGG13,
    "mnist-cnn": MnistCnn,
}


class CardError(ValueError):
    """A card, or what it points to, cannot be used; the message names the card and the reason."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card says, checked. Paths are absolute."""

    name: str
    architecture: str
    weights: Path
    labels: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing
    accuracy: Mapping[str, Any] = field(default_factory=dict)


def _beside(card: Path, name: object, suffixes: tuple[str, ...]) -> Path:
    if not isinstance(name, str) or not name:
        raise CardError(f"{card}: expected a file name, found {name!r}")
    path = card.parent / name
    if path.resolve().parent != card.parent.resolve() and not path.is_symlink():
        raise CardError(f"{card}: {name!r} must lie beside the card")
    if path.suffix not in suffixes:
        raise CardError(f"{card}: {name!r} must be one of {', '.join(suffixes)}; nothing else is loaded")
    if not path.is_file():
        raise CardError(f"{card}: {name!r} is missing")
    return path


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def read(path: Path) -> Card:
    """Reads and checks a card.

    Raises:
        CardError: where it is not TOML, lacks a field, has an unknown one, or points to what is not there.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"{path}: not a readable model card: {error}") from None
    known = {"name", "architecture", "weights", "labels", "options", "input", "accuracy", "training"}
    if unknown := set(content) - known:
        raise CardError(f"{path}: unknown field {sorted(unknown)[0]!r}; a card has {', '.join(sorted(known))}")
    if missing := {"name", "architecture", "weights", "labels", "input"} - set(content):
        raise CardError(f"{path}: the field {sorted(missing)[0]!r} is missing")
    for name in ("options", "input", "accuracy"):
        if not isinstance(content.get(name, {}), dict):
            raise CardError(f"{path}: [{name}] must be a table")
    try:
        preprocessing = Preprocessing(**{"resize": None} | {k: _pair(v) for k, v in content["input"].items()})
    except (TypeError, ValueError) as error:
        raise CardError(f"{path}: [input]: {error}") from None
    return Card(
        name=str(content["name"]),
        architecture=str(content["architecture"]),
        weights=_beside(path, content["weights"], (".safetensors",)),
        labels=_beside(path, content["labels"], (".txt",)),
        options=content.get("options", {}),
        preprocessing=preprocessing,
        accuracy=content.get("accuracy", {}),
    )


def build_network(architecture: str, options: Mapping[str, Any]) -> nn.Module:
    """An untrained network of ``veil/…``, ``timm/…`` or ``torchvision/…``.

    Raises:
        CardError: where there is no such architecture or it does not take these options.
        zoo.ZooMissing: where it needs the extra ``zoo``.
    """
    library, _, name = architecture.partition("/")
    try:
        if library == "veil":
            return ARCHITECTURES[name](**options)
        if library in zoo.LIBRARIES:
            return zoo.build(library, name, options)
    except KeyError:
        raise CardError(f"there is no architecture {architecture!r}") from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise CardError(f"{architecture} does not take the options {dict(options)}: {error}") from None
    raise CardError(f"there is no architecture {architecture!r}; write veil/…, timm/… or torchvision/…")


def load(path: Path) -> Classifier:
    """The classifier that a card describes, in float32 on the CPU.

    Raises:
        CardError: where the card, the labels or the weights cannot be used, or do not fit each other.
        zoo.ZooMissing: where the architecture needs the extra ``zoo``.
    """
    card = read(path)
    network = build_network(card.architecture, card.options)
    try:
        state = load_file(card.weights)
        network.load_state_dict(state, strict=True)
    except (SafetensorError, OSError) as error:
        raise CardError(f"{path}: {card.weights.name} is not a safetensors file: {error}") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CardError(f"{path}: the weights do not fit {card.architecture}: {reason}") from None
    if not all(bool(torch.isfinite(v).all()) for v in state.values() if v.is_floating_point()):
        raise CardError(f"{path}: the weights hold values that are not finite")
    classes = [line.strip() for line in card.labels.read_text(encoding="utf-8").splitlines() if line.strip()]
    classifier = Classifier(card.name, network, card.preprocessing, classes)
    with torch.inference_mode():
        outputs = classifier(torch.zeros(1, card.preprocessing.channels, *card.preprocessing.size)).shape
    if tuple(outputs) != (1, len(classes)):
        raise CardError(f"{path}: the network gives {tuple(outputs)[1:]} outputs for {len(classes)} labels")
    return classifier


def write(
    file: Path,
    network: nn.Module,
    *,
    name: str,
    architecture: str,
    options: Mapping[str, Any],
    classes: Sequence[str],
    given: Mapping[str, Any],
    accuracy: Mapping[str, Any],
    training: Mapping[str, Any],
) -> None:
    """Writes a card, and beside it the network's weights and the names of its classes; the card last.

    Args:
        file: the card's, ending in ``.toml``.
        name: what reports call the classifier.
        options: what the architecture was made with.
        given: the fields of ``[input]``.
        accuracy: of ``[accuracy]``; top-1 and top-5 in percent.
        training: of ``[training]``, for people.
    """
    weights, labels = file.with_suffix(".safetensors"), file.with_suffix(".labels.txt")
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    folders.write_atomically(weights, serialise(state))
    folders.write_atomically(labels, "".join(" ".join(name.split()) + "\n" for name in classes))
    top = {"name": name, "architecture": architecture, "weights": weights.name, "labels": labels.name}
    tables = {"options": options, "input": given, "accuracy": accuracy, "training": training}
    lines = [*_fields(top), *(line for name, table in tables.items() for line in ("", f"[{name}]", *_fields(table)))]
    folders.write_atomically(file, "\n".join(lines) + "\n")


def _fields(table: Mapping[str, Any]) -> list[str]:
    """Lines of TOML; its strings, numbers, booleans and arrays are those of JSON."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
